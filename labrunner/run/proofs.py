"""What validating a lab gives: one proof after another, gathered by lab. Reports print these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from labrunner.errors import ExitCode
from labrunner.lab.model import Lab, Position


class ProofStatus(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    """It could not be put to the test: says nothing about the lab."""
    TIMEOUT = "timeout"
    """A time limit was reached before the outcome was known."""
    SKIPPED = "skipped"
    """It builds on something that did not hold, or does not apply; `message` says which."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one proof. `message` is one sentence; `check` the check it is about, if it is about one."""

    status: ProofStatus
    message: str
    check: str = ""
    expected: str = ""
    observed: str = ""
    where: str = ""
    position: Position | None = None
    """Where the lab's author has to look."""


@dataclass(frozen=True, slots=True)
class Proof:
    """`step` is empty for proofs about the whole lab (setup, cleanup). `proof`: see `events.ProofFinished`.

    `output`: the blocks that ran for it and what they printed. `seconds`: wall time.
    """

    step: str
    proof: str
    verdict: Verdict
    seconds: float
    output: str = ""

    @property
    def status(self) -> ProofStatus:
        return self.verdict.status

    @property
    def detail(self) -> str:
        """Check, expected, observed and where, a line each, as far as known."""
        verdict = self.verdict
        named = (
            ("check", verdict.check), ("expected", verdict.expected), ("observed", verdict.observed),
            ("where", verdict.where), ("lab file", str(verdict.position) if verdict.position else ""),
        )  # fmt: skip
        return "\n".join(f"{name}: {text}" for name, text in named if text)


@dataclass(slots=True)
class LabReport:
    """All proofs of one lab, in the order they were made. `started`: seconds since the epoch."""

    lab: Lab
    target: str
    started: float
    seconds: float = 0.0
    proofs: list[Proof] = field(default_factory=list)

    @property
    def status(self) -> ProofStatus:
        return overall(self.proofs)


def overall(proofs: Iterable[Proof]) -> ProofStatus:
    """One status for many: a failure is known for sure, so it comes first."""
    found = {proof.status for proof in proofs}
    for status in (ProofStatus.FAILED, ProofStatus.ERROR, ProofStatus.TIMEOUT, ProofStatus.PASSED):
        if status in found:
            return status
    return ProofStatus.SKIPPED


def counts(reports: Iterable[LabReport]) -> dict[str, int]:
    """Proofs by status, every status named."""
    found = Counter(proof.status for report in reports for proof in report.proofs)
    return {str(status): found[status] for status in ProofStatus}


def exit_code(reports: Iterable[LabReport], *, interrupted: bool = False) -> ExitCode:
    """What the command contract says."""
    if interrupted:
        return ExitCode.INTERRUPTED
    status = overall(proof for report in reports for proof in report.proofs)
    return {
        ProofStatus.FAILED: ExitCode.CHECK_FAILED,
        ProofStatus.ERROR: ExitCode.ENVIRONMENT,
        ProofStatus.TIMEOUT: ExitCode.TIMEOUT,
    }.get(status, ExitCode.OK)
