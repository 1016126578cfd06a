"""A learner's session as a document of one's own: what was learned, commands and outputs, as Markdown or HTML.

Made from the journal's events, from which secrets are redacted already. The HTML stands alone: nothing is fetched.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from labrunner.errors import EnvironmentFault
from labrunner.lab.model import Lab, Step
from labrunner.run import events as ev
from labrunner.run.session import Session, StepRecord, StepState

_ROLES: Final = frozenset({"block", "typed", "solution"})
_STATES: Final = {
    StepState.PASSED: "passed",
    StepState.SKIPPED: "skipped",
    StepState.REGRESSED: "held before, no longer does",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One command that the learner ran."""

    command: str
    output: str
    exit: int | None
    outcome: str
    seconds: float


@dataclass(slots=True)
class SessionReport:
    """Folded from a session's events; `markdown` and `page` write it down."""

    lab: Lab
    session: Session = field(default_factory=Session)
    runs: dict[str, list[Run]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, lab: Lab, history: Iterable[ev.Event]) -> SessionReport:
        report = cls(lab)
        commands: dict[tuple[str, str], str] = {}
        for event in history:
            report.session.apply(event)
            match event:
                case ev.BlockStarted() if event.role in _ROLES:
                    commands[event.step, event.block] = event.command
                case ev.BlockFinished() if event.role in _ROLES:
                    command = commands.pop((event.step, event.block), "")
                    run = Run(command.strip("\n"), event.output, event.exit, event.outcome, event.seconds)
                    report.runs.setdefault(event.step, []).append(run)
                case ev.NoteWritten():
                    report.notes[event.step] = event.text
        return report

    # -- sentences both forms use

    def _figures(self) -> str:
        records = [self.session.record(step.id) for step in self.lab.steps]
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.session.started_at)) if records else ""
        passed = sum(record.state.done for record in records)
        return (
            f"Begun {began} on {self.session.target}; {passed} of {len(records)} steps passed, "
            f"{_count(sum(r.attempts for r in records), 'attempt')}, "
            f"{_count(sum(len(r.hints) for r in records), 'hint')} used."
        )

    def _how(self, record: StepRecord) -> str:
        words = [_STATES.get(record.state, "not done yet")]
        if record.attempts:
            words.append(_count(record.attempts, "attempt"))
        if record.hints:
            words.append(_count(len(record.hints), "hint"))
        if record.solution_shown:
            words.append("solution looked at")
        return ", ".join(words)

    def _exit(self, run: Run) -> str:
        return f"exit {run.exit}" if run.exit is not None else run.outcome

    # -- Markdown

    def markdown(self) -> str:
        lines = [f"# {_plain(self.lab.title)}", "", _plain(self.lab.summary), "", self._figures(), ""]
        for part in self.lab.parts:
            if len(self.lab.parts) > 1:
                lines += [f"## {_plain(part.title)}", ""]
            if part.summary.strip():
                lines += [f"> {_plain(part.summary)}", ""]
            for step in part.steps:
                lines += self._step_markdown(step)
        return "\n".join(lines).rstrip() + "\n"

    def _step_markdown(self, step: Step) -> list[str]:
        lines = [f"### {_plain(step.title)}", "", f"*{self._how(self.session.record(step.id))}*", ""]
        if note := self.notes.get(step.id, "").strip():
            lines += ["My notes:", "", *(f"> {line}" for line in note.splitlines()), ""]
        for run in self.runs.get(step.id, ()):
            body = "\n".join(f"{'$' if i == 0 else '>'} {line}" for i, line in enumerate(run.command.splitlines()))
            text = f"{body}\n{run.output.rstrip()}".rstrip()
            fence = "`" * max(3, 1 + max((len(found) for found in re.findall("`+", text)), default=0))
            lines += [f"{fence}console", text, fence, ""]
            if run.outcome != "ok":
                lines += [f"({self._exit(run)})", ""]
        return lines

    # -- HTML

    def page(self) -> str:
        title = html.escape(self.lab.title)
        body = [
            f"<h1>{title}</h1>",
            f"<p>{html.escape(self.lab.summary)}</p>",
            f"<p>{html.escape(self._figures())}</p>",
        ]
        for part in self.lab.parts:
            if len(self.lab.parts) > 1:
                body.append(f"<h2>{html.escape(part.title)}</h2>")
            if part.summary.strip():
                body.append(f"<blockquote>{html.escape(part.summary.strip())}</blockquote>")
            for step in part.steps:
                body += self._step_html(step)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n<style>{_STYLE}</style>'
            "</head><body>\n" + "\n".join(body) + "\n</body></html>\n"
        )

    def _step_html(self, step: Step) -> list[str]:
        record = self.session.record(step.id)
        lines = [f"<h3>{html.escape(step.title)}</h3>", f'<p class="how">{html.escape(self._how(record))}</p>']
        if note := self.notes.get(step.id, "").strip():
            lines.append(f'<p class="note">{html.escape(note)}</p>')
        for run in self.runs.get(step.id, ()):
            command, output = html.escape(run.command), html.escape(run.output.rstrip())
            lines.append(f"<pre><b>{command}</b>\n{output}</pre>")
            if run.outcome != "ok":
                lines.append(f'<p class="how">{html.escape(self._exit(run))}</p>')
        return lines


def write_report(lab: Lab, history: Iterable[ev.Event], folder: Path) -> Sequence[Path]:
    """Write `<lab>.md` and `<lab>.html` into a folder; where they are. Raises `EnvironmentFault`."""
    report = SessionReport.of(lab, history)
    written = {folder / f"{lab.id}.md": report.markdown(), folder / f"{lab.id}.html": report.page()}
    try:
        for path, text in written.items():
            path.write_text(text, "utf-8", "surrogateescape")
    except OSError as error:
        raise EnvironmentFault(f"cannot write into {folder}: {error.strerror}", hint="free some space there") from error
    return tuple(written)


_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#1c2430;"
    "background:#fff}pre{background:#f3f4f6;padding:.75rem 1rem;overflow-x:auto;font:13px/1.45 ui-monospace,monospace}"
    ".how{color:#5b6472}.note{border-left:3px solid #b45309;padding-left:.75rem;white-space:pre-wrap}"
    "@media(prefers-color-scheme:dark){body{color:#e6e9ef;background:#11151c}pre{background:#1b212b}.how{color:#9aa4b2}}"
)


def _plain(text: str) -> str:
    """A text of the lab on one line, so that it stays in its heading or quote."""
    return " ".join(text.split())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
