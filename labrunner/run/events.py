"""Everything the engine says. The TUI, the reports and the workshop only listen.

Events are values; `to_json`/`from_json` round-trip them, and the journal is a file of such lines. Secrets are
redacted before an event is made, so no listener ever sees one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from labrunner.check.result import CheckResult, CheckStatus, Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`at`: seconds since the epoch. `durable`: journalled before it is shown."""

    durable: ClassVar[bool] = True
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted(Event):
    lab: str
    lab_digest: str
    target: str
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Event):
    """`reason`: finished, quit, interrupted, taken-over, failed, reset."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupFinished(Event):
    """The lab's setup blocks ran well; a resumed session does not run them again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEntered(Event):
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStateChanged(Event):
    """`state`: see `labrunner.run.session.StepState`."""

    step: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReset(Event):
    """The world is back at the step's start: its state, results and runs are forgotten; attempts and hints are not."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStarted(Event):
    """`role`: setup, block, solution, mistake, cleanup, typed (by the learner), variable."""

    step: str
    block: str
    role: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockOutput(Event):
    """Output as it comes (decoded, control sequences kept). Too many to journal one by one."""

    durable: ClassVar[bool] = False
    step: str
    block: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFinished(Event):
    """`exit` is None when there was none (timed out, interrupted, shell died: see `outcome`).

    `outcome`: ok, unexpected-exit, unexpected-output, timeout, interrupted, shell-died, started (background),
    not-run (bash refuses its syntax: `output` says why).
    `output` is plain text without control sequences, at most `session.OUTPUT_KEPT` characters: head and tail.
    """

    step: str
    block: str
    role: str
    exit: int | None
    outcome: str
    output: str
    cwd: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellRestarted(Event):
    """The shell died or was replaced; environment and directory were restored."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckStarted(Event):
    durable: ClassVar[bool] = False
    step: str
    check: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTroubled(Event):
    """What keeps a check that is waited for from being asked right now; empty: it can be asked again."""

    durable: ClassVar[bool] = False
    step: str
    check: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFinished(Event):
    step: str
    check: str
    result: CheckResult


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCaused(Event):
    """Which command of the learner's led to the failure that `CheckFinished` said just before. `ran_at`: epoch
    seconds at which it was started."""

    step: str
    check: str
    command: str
    ran_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFinished(Event):
    """All checks of a step were evaluated once."""

    step: str
    number: int
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HintShown(Event):
    """`hint`: the targeted hint's id, or `#1`, `#2` ... for the ordered ones."""

    step: str
    hint: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SolutionShown(Event):
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerGiven(Event):
    """A quiz question was answered (`check` is the quiz check's id)."""

    step: str
    check: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteWritten(Event):
    """The learner's own note on a step, whole: it replaces the one before."""

    step: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofFinished(Event):
    """One proof of `validate` for one step.

    `proof`: setup, fails-before, solution, passes-after, idempotent, mistake:<id>, cleanup.
    `status`: passed, failed, error, skipped. `message`: one sentence; `detail`: expected, observed, where, output.
    """

    step: str
    proof: str
    status: str
    message: str
    detail: str
    seconds: float


_TYPES: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        SessionStarted, SessionEnded, SetupFinished, StepEntered, StepStateChanged, StepReset, BlockStarted,
        BlockOutput, BlockFinished, ShellRestarted, CheckStarted, CheckFinished, CheckCaused, AttemptFinished,
        HintShown, SolutionShown, AnswerGiven, NoteWritten, ProofFinished,
    )
}  # fmt: skip


def to_json(event: Event) -> dict[str, Any]:
    """The event as plain JSON, with its type under `event`."""
    return {"event": type(event).__name__, **dataclasses.asdict(event)}


def from_json(data: dict[str, Any]) -> Event | None:
    """The event that `to_json` made; None for a type this version does not know.

    Raises TypeError, ValueError or KeyError on fields that are none of this event's, or not of their type.
    """
    fields = dict(data)
    cls = _TYPES.get(fields.pop("event", ""))
    if cls is None:
        return None
    if "result" in fields:
        fields["result"] = _result(fields["result"])
    for field in dataclasses.fields(cls):
        accepted = _ACCEPTED[str(field.type)]
        if not isinstance(fields.get(field.name), accepted):
            raise TypeError(f"{field.name} of {cls.__name__} is not {field.type}")
    return cls(**fields)


_ACCEPTED: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "int": (int,),
    "int | None": (int, type(None)),
    "float": (float, int),
    "CheckResult": (CheckResult,),
}


def _result(data: Any) -> CheckResult:
    fields = {**data, "status": CheckStatus(data["status"])}
    fields["findings"] = tuple(Finding(**finding) for finding in fields.get("findings", ()))
    return CheckResult(**fields)
