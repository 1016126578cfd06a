"""Walks one learner through one lab: the interface that the TUI, `run` and `validate` drive.

Blocking calls, thread-safe; call them from worker threads. Everything that happens is said as an event, in order,
on the thread that caused it; durable events are in the journal before listeners hear them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from labrunner.check.result import CheckResult
from labrunner.lab.model import Block, Check, Lab, Step
from labrunner.run.events import BlockFinished, Event
from labrunner.run.going_back import BackPlan
from labrunner.run.session import Session

if TYPE_CHECKING:
    from labrunner.check.http_probe import Request
    from labrunner.run.mesh.source import MeshSource

Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One evaluation of all checks of a step."""

    step: str
    number: int
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        return all(r.passed for r in self.results)


@dataclass(frozen=True, slots=True)
class Hint:
    """`id`: a targeted hint's id or `#n`. `remaining`: ordered hints not shown yet."""

    id: str
    text: str
    remaining: int


class EngineProtocol(Protocol):
    """See `Engine` for the implementation."""

    lab: Lab

    @property
    def session(self) -> Session:
        """What the journal says so far: the state of each step, attempts, hints shown (`run.session`)."""
        ...

    @property
    def current(self) -> Step | None:
        """The step the learner is at: the last one entered."""
        ...

    @property
    def workdir(self) -> Path:
        """Where the shell starts; the learner's files of this session."""
        ...

    @property
    def values(self) -> Mapping[str, str]:
        """The lab's variables, for `${NAME}` in texts; known once started. Secrets included: redact what is shown."""
        ...

    def subscribe(self, listener: Listener) -> Callable[[], None]: ...
    def tap(self, sink: Callable[[bytes], None]) -> Callable[[], None]:
        """Every byte the shell's terminal prints from now on, as it comes (prompts and echo too), on the reader's
        thread: what a terminal widget draws. Not redacted. A sink that blocks holds the shell back. Returns the
        unsubscriber."""
        ...

    def history(self) -> Sequence[Event]:
        """The durable events of this session so far, oldest first; from the journal when resumed, before `start`."""
        ...

    def start(self) -> None:
        """Target, shell, variables, setup blocks (once per session); resumes where the journal ends."""
        ...

    def enter(self, step: Step) -> None: ...
    def run_block(self, step: Step, block: Block, *, role: str = "block") -> BlockFinished: ...
    def interrupt(self) -> None:
        """Ctrl-C to the command that runs in the shell; never blocks."""
        ...

    def send_input(self, text: str) -> None:
        """Keys for the shell (prompts, full-screen programs); never blocks."""
        ...

    def resize(self, rows: int, columns: int) -> None: ...
    def check(self, step: Step) -> Attempt: ...
    def stop_waiting(self) -> None:
        """End the waiting of the `check` that runs: it judges what it saw last. Never blocks."""
        ...

    def go_live(self) -> None:
        """From now on checks look again by themselves: when the cluster changes, after commands, now and then. Only
        what changed is said (`CheckFinished`, `CheckCaused`, `StepStateChanged`); no attempt is counted."""
        ...

    def answer(self, step: Step, check_id: str, answer: str) -> None: ...
    def note(self, step: Step, text: str) -> None:
        """Keep the learner's own note on a step (`NoteWritten`); it replaces the one before."""
        ...

    def hint(self, step: Step) -> Hint | None:
        """The next hint: a targeted one that fits the last attempt and was not shown yet, else the next in order."""
        ...

    def show_solution(self, step: Step) -> Sequence[Block]:
        """The solution's blocks; journals that the learner looked (`SolutionShown`, once per step)."""
        ...

    def plan_back(self, step: Step) -> BackPlan | None:
        """What `go_back` would do; None when nothing was kept of the step's beginning."""
        ...

    def go_back(self, step: Step) -> None:
        """Put the world, the files and the shell back as they were when the step was begun (`StepReset` for each step
        that is open again, then `StepEntered`)."""
        ...

    def steps_before(self, step: Step) -> Sequence[Step]:
        """The steps not passed yet whose solutions `jump_to` applies."""
        ...

    def jump_to(self, step: Step) -> None:
        """Do the steps before this one and enter it. Raises when one of them does not pass; the learner is there."""
        ...

    @property
    def can_undo(self) -> bool:
        """Whether there is a `go_back` or `jump_to` to undo."""
        ...

    def undo(self) -> str:
        """Undo the last of them; the id of the step where the learner was."""
        ...

    def solution_diff(self, step: Step) -> Mapping[str, str]:
        """What each block of the solution would change in the cluster, by block id: a diff, empty when nothing. Left
        out: blocks that do not just apply manifests. Changes nothing; takes as long as the cluster does."""
        ...

    def solve(self, step: Step) -> list[BlockFinished]:
        """Run the step's solution."""
        ...

    @property
    def mesh(self) -> MeshSource | None:
        """What there is to see of the mesh and to ask of it; None where this engine may not ask."""
        ...

    def requests_of(self, step: Step, check: Check) -> Sequence[Request]:
        """The requests that a check sends (of `connectivity` those that went wrong); empty for other kinds."""
        ...

    def skip(self, step: Step) -> None: ...
    def close(self, reason: str = "quit") -> None:
        """End shell and target; nothing of ours keeps running. Idempotent, quick, never raises."""
        ...
