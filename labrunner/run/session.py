"""One learner's way through one lab on one target: what the journal's events add up to.

Imports nothing heavy: the catalogue and `labrunner progress` read many sessions.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from labrunner.check.result import CheckResult
from labrunner.paths import state_dir
from labrunner.run import events
from labrunner.run.events import Event
from labrunner.run.journal import Reader

OUTPUT_KEPT = 16_384
"""Characters of a block's output that its event carries: head and tail."""


class StepState(StrEnum):
    OPEN = "open"
    CURRENT = "current"
    """Entered, not passed yet, and the learner is there."""
    PASSED = "passed"
    SKIPPED = "skipped"
    REGRESSED = "regressed"
    """Had passed; a later attempt failed."""

    @property
    def done(self) -> bool:
        return self is StepState.PASSED


@dataclass(slots=True)
class BlockRun:
    """The last run of a block."""

    outcome: str
    exit: int | None
    at: float
    runs: int = 1


@dataclass(slots=True)
class StepRecord:
    """What happened in one step."""

    state: StepState = StepState.OPEN
    attempts: int = 0
    results: dict[str, CheckResult] = field(default_factory=dict)
    """The last result of each check."""
    hints: list[str] = field(default_factory=list)
    """Ids of hints shown, in order."""
    hint_texts: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, BlockRun] = field(default_factory=dict)
    solution_shown: bool = False
    typed: int = 0
    """Commands typed by hand while the learner was here."""


@dataclass(slots=True)
class Session:
    """Folded from events by `apply`; never changed otherwise."""

    lab: str = ""
    target: str = ""
    lab_digest: str = ""
    current: str = ""
    """Id of the step last entered."""
    steps: dict[str, StepRecord] = field(default_factory=dict)
    setup_done: bool = False
    cwd: str = ""
    """Directory of the shell after the last block."""
    started_at: float = 0.0
    updated_at: float = 0.0
    ended: str = ""
    """Reason of the last end; empty while a runner holds it (or was killed)."""

    def record(self, step_id: str) -> StepRecord:
        """The step's record; one that is not kept when nothing has happened there yet."""
        return self.steps.get(step_id) or StepRecord()

    def state(self, step_id: str) -> StepState:
        """What to show for the step: `current` for an open step where the learner is."""
        state = self.record(step_id).state
        return StepState.CURRENT if state is StepState.OPEN and step_id == self.current else state

    def passed(self, step_ids: Iterable[str]) -> int:
        return sum(self.record(step_id).state.done for step_id in step_ids)

    def answers(self) -> dict[str, str]:
        """All quiz answers by check id."""
        return {check: answer for record in self.steps.values() for check, answer in record.answers.items()}

    def apply(self, event: Event) -> None:
        self.updated_at = max(self.updated_at, event.at)
        if isinstance(event, events.SessionStarted):
            self.lab, self.target, self.lab_digest = event.lab, event.target, event.lab_digest
            self.started_at = self.started_at or event.at
            self.ended = ""
            return
        if isinstance(event, events.SessionEnded):
            self.ended = event.reason
            return
        if isinstance(event, events.SetupFinished):
            self.setup_done = True
            return
        step_id = getattr(event, "step", "")
        if not step_id:
            return
        step = self.steps.setdefault(step_id, StepRecord())
        if isinstance(event, events.StepEntered):
            self.current = step_id
        elif isinstance(event, events.StepStateChanged):
            with contextlib.suppress(ValueError):  # a state of a newer version
                step.state = StepState(event.state)
        elif isinstance(event, events.StepReset):
            step.state, step.typed = StepState.OPEN, 0
            step.results.clear()
            step.blocks.clear()
        elif isinstance(event, events.BlockFinished):
            step.typed += event.role == "typed"
            before = step.blocks.get(event.block)
            if event.block:
                runs = before.runs + 1 if before else 1
                step.blocks[event.block] = BlockRun(event.outcome, event.exit, event.at, runs)
            self.cwd = event.cwd or self.cwd
        elif isinstance(event, events.CheckFinished):
            step.results[event.check] = event.result
        elif isinstance(event, events.AttemptFinished):
            step.attempts = event.number
        elif isinstance(event, events.HintShown):
            if event.hint not in step.hints:
                step.hints.append(event.hint)
            step.hint_texts[event.hint] = event.text
        elif isinstance(event, events.SolutionShown):
            step.solution_shown = True
        elif isinstance(event, events.AnswerGiven):
            step.answers[event.check] = event.answer


def sessions_dir() -> Path:
    return state_dir() / "sessions"


def session_dir(lab_id: str, target: str) -> Path:
    """Journal, lock, work directory and the shell's files of one session."""
    return sessions_dir() / lab_id / target


def load(directory: Path) -> tuple[Session, list[str]]:
    """The session as its journal has it, and notes on lines that were skipped. Raises `EnvironmentFault`."""
    session = Session()
    reader = Reader(directory / "journal.jsonl")
    for event in reader.read():
        session.apply(event)
    return session, reader.notes


@dataclass(frozen=True, slots=True)
class Progress:
    """What a catalogue shows of a session. `states`: step id -> state, of steps where something happened."""

    lab: str
    target: str
    current: str
    states: dict[str, str]
    attempts: int
    hints: int
    started_at: float
    updated_at: float

    @property
    def passed(self) -> int:
        return sum(state == StepState.PASSED for state in self.states.values())


def progress(lab_id: str, target: str) -> Progress | None:
    """The session's progress; None when there is no session. Cached beside the journal, keyed by its size."""
    directory = session_dir(lab_id, target)
    try:
        size = (directory / "journal.jsonl").stat().st_size
    except OSError:
        return None
    cached = _cached(directory, size)
    if cached is not None:
        return cached
    session, _ = load(directory)
    made = Progress(
        lab=session.lab or lab_id,
        target=session.target or target,
        current=session.current,
        states={step_id: str(session.state(step_id)) for step_id in session.steps},
        attempts=sum(record.attempts for record in session.steps.values()),
        hints=sum(len(record.hints) for record in session.steps.values()),
        started_at=session.started_at,
        updated_at=session.updated_at,
    )
    _keep(directory, size, made)
    return made


def all_progress() -> Iterator[Progress]:
    """Progress of every session of this user, by lab and target."""
    for journal in sorted(sessions_dir().glob("*/*/journal.jsonl")):
        found = progress(journal.parent.parent.name, journal.parent.name)
        if found is not None:
            yield found


def _cached(directory: Path, size: int) -> Progress | None:
    try:
        data: dict[str, Any] = json.loads((directory / "progress.json").read_text("utf-8"))
        return Progress(**data["progress"]) if data["size"] == size else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _keep(directory: Path, size: int, made: Progress) -> None:
    """Best effort: a read-only or full disk only costs the time to fold the journal again."""
    new = directory / f"progress.json.{os.getpid()}"
    try:
        new.write_text(json.dumps({"size": size, "progress": dataclasses.asdict(made)}), "utf-8")
        os.replace(new, directory / "progress.json")
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
