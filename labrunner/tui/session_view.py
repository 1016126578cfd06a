"""What the screens show of a session: the engine's events folded into plain state. Knows nothing of Textual."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from labrunner.check.result import CheckResult, CheckStatus
from labrunner.lab.model import Lab, Step
from labrunner.run import events as ev

LONGEST_PAUSE = 600.0
"""Seconds between two events beyond which the learner was away: such gaps do not count as time spent."""

OUTPUT_TAIL = 4000
"""Characters of a running block's output kept to show beside it."""


@dataclass(slots=True)
class BlockView:
    """The last run of a block. `outcome`: see `BlockFinished.outcome`; `running` and the empty string besides."""

    outcome: str = ""
    exit: int | None = None
    seconds: float = 0.0
    output: str = ""
    """While it runs its tail, then all that the session keeps (head and tail)."""
    started_at: float = 0.0
    command: str = ""
    """What was run: the block's own, or as the learner edited it."""
    typed: bool = False
    """The learner typed it by hand."""

    @property
    def running(self) -> bool:
        return self.outcome == "running"

    @property
    def state(self) -> str:
        """idle, running, ok, started or failed: the key for symbols and styles."""
        if self.outcome in ("", "running", "ok", "started"):
            return {"": "idle"}.get(self.outcome, self.outcome)
        return "failed"


@dataclass(slots=True)
class StepView:
    """One step as the learner sees it. `state`: todo, passed, failed, error (not to be
    asked: no verdict), skipped, regressed."""

    step: Step
    state: str = "todo"
    visited: bool = False
    results: dict[str, CheckResult] = field(default_factory=dict)
    checking: set[str] = field(default_factory=set)
    trouble: dict[str, str] = field(default_factory=dict)
    """Of checks that are waited for: what keeps them from being asked now."""
    causes: dict[str, ev.CheckCaused] = field(default_factory=dict)
    """Of failing checks: the command that led there."""
    attempts: int = 0
    hints: list[ev.HintShown] = field(default_factory=list)
    solution_shown: bool = False
    answers: dict[str, str] = field(default_factory=dict)
    note: str = ""
    """The learner's own."""
    seconds: float = 0.0
    """Time the learner spent on it."""
    stalled: int = 0
    """Attempts and commands since something last got better, a hint was shown or the step was entered."""
    progress_at: float = 0.0
    """Epoch seconds of that."""
    best: int = 0
    """Most checks that passed at once."""
    attempts_forgotten: int = 0
    """Attempts before the learner began the step anew."""
    blocks: dict[str, BlockView] = field(default_factory=dict)

    def stuck(self, now: float, attempts: int, seconds: float) -> bool:
        """Whether to offer help: so many attempts or commands, or so long, without progress; 0 is never."""
        if self.done or not self.step.checks or not self.tried or not self.progress_at:
            return False
        return 0 < attempts <= self.stalled or 0 < seconds <= now - self.progress_at

    def _progress(self, at: float) -> None:
        self.stalled, self.progress_at = 0, at

    @property
    def tried(self) -> bool:
        """Whether the learner did something here: before that, what is not there yet is no failure."""
        return self.attempts > self.attempts_forgotten or bool(self.blocks) or self.state not in ("todo", "skipped")

    def shown_result(self, check_id: str) -> CheckResult | None:
        """The check's last result, unless it only says that nothing was done yet."""
        result = self.results.get(check_id)
        return result if result is not None and (self.tried or result.passed) else None

    @property
    def failing(self) -> bool:
        """Whether a check that was shown says that something is wrong."""
        found = (self.shown_result(check.id) for check in self.step.checks)
        return any(result is not None and result.status is CheckStatus.FAILED for result in found)

    @property
    def unreachable(self) -> str:
        """Why checks cannot be asked now, when none says that the learner's work is wrong; else nothing."""
        if any(r.status is CheckStatus.FAILED for r in self.results.values()) and not any(self.trouble.values()):
            return ""
        errors = [r.why_not_asked for r in self.results.values()]
        return next((message for message in [*self.trouble.values(), *errors] if message), "")

    @property
    def _open_state(self) -> str:
        """Of a step that was checked and did not pass: whether that says anything about the learner's work."""
        return "error" if self.unreachable else "failed"

    @property
    def passing(self) -> int:
        return sum(1 for check in self.step.checks if (r := self.results.get(check.id)) is not None and r.passed)

    @property
    def ordered_hints_left(self) -> int:
        shown = sum(1 for hint in self.hints if hint.hint.startswith("#"))
        return max(0, len(self.step.hints) - shown)

    @property
    def done(self) -> bool:
        return self.state in ("passed", "skipped")


class SessionView:
    """Folds events. `apply` returns what changed as (step id, aspect) so that a screen repaints only that."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.steps: dict[str, StepView] = {step.id: StepView(step) for step in lab.steps}
        self.current: str = lab.steps[0].id if lab.steps else ""
        self.seconds = 0.0
        self.resumed = False
        self.ended = ""
        self.shell_notice = ""
        self._last_at: float | None = None

    @classmethod
    def of(cls, lab: Lab, history: Iterable[ev.Event]) -> SessionView:
        view = cls(lab)
        for event in history:
            view.apply(event)
        return view

    @property
    def order(self) -> Sequence[Step]:
        return self.lab.steps

    @property
    def step(self) -> StepView:
        return self.steps[self.current]

    @property
    def done(self) -> int:
        return sum(1 for step in self.steps.values() if step.done)

    @property
    def finished(self) -> bool:
        return bool(self.steps) and self.done == len(self.steps)

    @property
    def attempts(self) -> int:
        return sum(step.attempts for step in self.steps.values())

    @property
    def hints_used(self) -> int:
        return sum(len(step.hints) for step in self.steps.values())

    @property
    def running(self) -> tuple[str, str] | None:
        """Step and block that run in the shell now."""
        for step_id, step in self.steps.items():
            for block_id, block in step.blocks.items():
                if block.running:
                    return step_id, block_id
        return None

    def neighbour(self, offset: int) -> Step | None:
        """The step `offset` places from the current one."""
        order = [step.id for step in self.order]
        index = order.index(self.current) + offset
        return self.order[index] if 0 <= index < len(order) else None

    def next_open(self) -> Step | None:
        """The next step not done yet, looking forward from the current one, then from the start."""
        order = [step.id for step in self.order]
        here = order.index(self.current)
        for step_id in order[here + 1 :] + order[:here]:
            if not self.steps[step_id].done:
                return self.steps[step_id].step
        return None

    def apply(self, event: ev.Event) -> tuple[str, str]:
        """Take one event in; returns (step id, aspect): step, block, check, hint, solution, session or nothing."""
        if event.durable:
            self._count_time(event.at)
        match event:
            case ev.SessionStarted():
                self.resumed, self.ended = event.resumed, ""
                self._last_at = event.at
                self._forget_running()
                return "", "session"
            case ev.SessionEnded():
                self.ended = event.reason
                self._forget_running()
                return "", "session"
            case ev.ShellRestarted():
                self.shell_notice = event.reason
                self._forget_running()
                return "", "shell"
        step = self.steps.get(getattr(event, "step", ""))
        if step is None:
            return "", ""
        return step.step.id, self._apply_to(step, event)

    def _apply_to(self, step: StepView, event: ev.Event) -> str:
        match event:
            case ev.StepEntered():
                self.current = step.step.id
                step.visited = True
                step._progress(event.at)
                return "step"
            case ev.StepStateChanged():
                step.state = normal_state(event.state)
                return "step"
            case ev.StepReset():
                step.state, step.stalled, step.best = "todo", 0, 0
                step.attempts_forgotten = step.attempts
                step.results.clear()
                step.causes.clear()
                step.checking.clear()
                step.blocks.clear()
                return "step"
            case ev.BlockStarted():
                step.blocks[event.block] = BlockView(
                    outcome="running", started_at=event.at, command=event.command, typed=event.role == "typed"
                )
                return "block"
            case ev.BlockOutput():
                block = step.blocks.setdefault(event.block, BlockView())
                block.output = (block.output + event.text)[-OUTPUT_TAIL:]
                return "output"
            case ev.BlockFinished():
                step.stalled += event.role in ("block", "typed")
                before = step.blocks.get(event.block)
                step.blocks[event.block] = BlockView(
                    event.outcome,
                    event.exit,
                    event.seconds,
                    event.output,
                    command=before.command if before else "",
                    typed=event.role == "typed",
                )
                return "block"
            case ev.CheckStarted():
                step.checking.add(event.check)
                step.trouble.pop(event.check, None)
                return "check"
            case ev.CheckTroubled():
                step.trouble[event.check] = event.message
                return "check"
            case ev.CheckFinished():
                step.checking.discard(event.check)
                step.trouble.pop(event.check, None)
                step.results[event.check] = event.result
                if step.state in ("failed", "error"):
                    step.state = step._open_state
                step.causes.pop(event.check, None)
                if step.passing > step.best:
                    step.best = step.passing
                    step._progress(event.at)
                return "check"
            case ev.CheckCaused():
                step.causes[event.check] = event
                return "check"
            case ev.AttemptFinished():
                step.attempts = max(step.attempts + 1, event.number)
                step.checking.clear()
                step.trouble.clear()
                if not event.passed:
                    step.stalled += not step.unreachable
                    if step.state in ("todo", "failed", "error"):
                        step.state = step._open_state
                return "attempt"
            case ev.HintShown():
                if all(hint.hint != event.hint for hint in step.hints):
                    step.hints.append(event)
                step._progress(event.at)
                return "hint"
            case ev.SolutionShown():
                step.solution_shown = True
                return "solution"
            case ev.NoteWritten():
                step.note = event.text
                return "note"
            case ev.AnswerGiven():
                step.answers[event.check] = event.answer
                return "answer"
        return ""

    def _count_time(self, at: float) -> None:
        if self._last_at is not None:
            gap = at - self._last_at
            if 0 < gap <= LONGEST_PAUSE:
                self.seconds += gap
                if self.current in self.steps:
                    self.steps[self.current].seconds += gap
        self._last_at = at

    def _forget_running(self) -> None:
        """What ran when a shell or a session ended no longer runs."""
        for step in self.steps.values():
            step.checking.clear()
            for block in step.blocks.values():
                if block.running:
                    block.outcome = "interrupted"


def normal_state(state: str) -> str:
    """The journal's step state as the screens name it."""
    return {"pending": "todo", "open": "todo", "active": "todo", "current": "todo", "entered": "todo"}.get(state, state)
