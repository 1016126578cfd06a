"""A validation for people: a line per proof as it is made, what failed in full at the end.

On a terminal what is running is shown below them; elsewhere every proof is a plain line that begins with its status.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from labrunner.lab.model import Lab, Position
from labrunner.lab.problem import display_path
from labrunner.run import events
from labrunner.run.events import Event
from labrunner.run.proofs import LabReport, Proof, ProofStatus, counts

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_SHOWN_OUTPUT = 12
"""Lines of output shown with a failure; the reports have all of it."""
_WORDS = {"passed": "ok", "failed": "FAILED", "error": "ERROR", "timeout": "TIMEOUT", "skipped": "skipped"}
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COLOURS = {"passed": "32", "failed": "31", "error": "33", "timeout": "33", "skipped": "2"}


class TerminalReport:
    """Hears the events of a validation (from several threads) and writes to `out`."""

    def __init__(self, out: TextIO, *, live: bool, colour: bool) -> None:
        self._out = out
        self._colour = colour
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._skipped: tuple[str, str, str] | None = None
        self._tasks: dict[tuple[str, tuple[str, ...]], TaskID] = {}
        if live:
            self._progress = _progress(out)
            self._progress.start()

    def hear(self, lab: Lab, steps: tuple[str, ...], event: Event) -> None:
        with self._lock:
            if isinstance(event, events.ProofFinished) and not self._said_already(lab, event):
                name = f"{lab.id}/{event.step}" if event.step else lab.id
                word = self._paint(_WORDS[event.status].ljust(7), event.status)
                tail = "" if event.status == "passed" else f": {_safe(event.message)}"
                self._line(f"{word} {name} {event.proof} ({event.seconds:.2f} s){tail}")
            if self._progress is not None:
                self._show(lab, steps, event)

    def _said_already(self, lab: Lab, event: events.ProofFinished) -> bool:
        """Many proofs skipped for one reason are said once per step."""
        skipped = (lab.id, event.step, event.message) if event.status == "skipped" else None
        again = skipped is not None and skipped == self._skipped
        self._skipped = skipped
        return again

    def close(self) -> None:
        """Take the running lines away. Idempotent."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def finish(self, reports: Sequence[LabReport], *, interrupted: bool = False) -> None:
        """What did not hold, in full, and the totals."""
        self.close()
        for report in reports:
            for proof in report.proofs:
                if proof.status not in (ProofStatus.PASSED, ProofStatus.SKIPPED):
                    self._failure(report.lab, proof)
        for report in reports:
            word = self._paint(_WORDS[str(report.status)], str(report.status))
            steps = len({proof.step for proof in report.proofs if proof.step})
            self._line(f"{report.lab.id}: {word}, {steps} steps, {_totals([report])}, {report.seconds:.1f} s")
        if interrupted:
            self._line(self._paint("interrupted: not everything was proven", "error"))

    def _failure(self, lab: Lab, proof: Proof) -> None:
        name = f"{lab.id}/{proof.step}" if proof.step else lab.id
        word = self._paint(_WORDS[str(proof.status)], str(proof.status))
        self._line(f"\n{word} {name} {proof.proof}: {_safe(proof.verdict.message)}")
        verdict = proof.verdict
        for label, text in (
            ("check", verdict.check), ("expected", verdict.expected), ("observed", verdict.observed),
            ("where", verdict.where), ("lab file", _place(verdict.position)),
        ):  # fmt: skip
            if text:
                self._line(f"  {label + ':':<10}" + _safe(text).replace("\n", "\n" + " " * 12))
        lines = proof.output.splitlines()
        if lines:
            left = len(lines) - _SHOWN_OUTPUT
            self._line("  output:" + (f" (the last {_SHOWN_OUTPUT} of {len(lines)} lines)" if left > 0 else ""))
            for line in lines[-_SHOWN_OUTPUT:]:
                self._line(f"    {_safe(line)}")
        self._line("")

    def _show(self, lab: Lab, steps: tuple[str, ...], event: Event) -> None:
        assert self._progress is not None
        key = (lab.id, steps)
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(lab.id, total=len(steps), now="setting up")
        task = self._tasks[key]
        if isinstance(event, events.StepEntered):
            done = steps.index(event.step) if event.step in steps else 0
            self._progress.update(task, completed=done, now=event.step)
        elif isinstance(event, events.BlockStarted):
            command = event.command.strip().splitlines()
            self._progress.update(task, now=_safe(f"{event.step} $ {command[0] if command else ''}")[:60])
        elif isinstance(event, events.CheckStarted):
            self._progress.update(task, now=f"{event.step} ? {event.check}"[:60])
        elif isinstance(event, events.SessionEnded):
            self._progress.remove_task(self._tasks.pop(key))

    def _line(self, text: str) -> None:
        if self._progress is not None:
            from rich.text import Text

            self._progress.console.print(Text.from_ansi(text), soft_wrap=True)
        else:
            self._out.write(_printable(text, self._out) + "\n")
            self._out.flush()

    def _paint(self, text: str, status: str) -> str:
        return f"\x1b[{_COLOURS[status]}m{text}\x1b[0m" if self._colour else text


def _progress(out: TextIO) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns: list[Any] = [
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    ]  # fmt: skip
    return Progress(*columns, console=Console(file=out), transient=True, refresh_per_second=8)


def _totals(reports: Iterable[LabReport]) -> str:
    found = {status: number for status, number in counts(reports).items() if number}
    return ", ".join(f"{number} {status}" for status, number in found.items()) + " proofs"


def _place(position: Position | None) -> str:
    return f"{display_path(position.file)}:{position.line}:{position.column}" if position else ""


def _safe(text: str) -> str:
    """Text of a lab or a program, without what would drive the terminal."""
    return _CONTROL.sub("", text)


def _printable(text: str, out: TextIO) -> str:
    """What this stream's encoding can hold."""
    encoding = getattr(out, "encoding", None) or sys.getdefaultencoding()
    return text.encode(encoding, "backslashreplace").decode(encoding)
