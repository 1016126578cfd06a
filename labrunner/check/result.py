"""What a check says: never only "failed", always what was expected, what was observed, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    """The question could not be put (unreachable cluster, missing tool): says nothing about the learner's work."""
    SKIPPED = "skipped"
    """Not asked, because something it builds on failed or the target lacks a feature; never counts as passed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between what should be and what is."""

    reason: str
    """A short stable code in kebab-case: `missing`, `different`, `count`, `not-ready`, `expired`, `san-missing` ..."""
    message: str
    """One sentence for the learner."""
    expected: str = ""
    observed: str = ""
    where: str = ""
    """The object and field (`Gateway default/apim: spec.servers[0].tls.mode`), file:line or command."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    check_id: str
    title: str
    status: CheckStatus
    findings: tuple[Finding, ...] = ()
    """Empty when passed."""
    summary: str = ""
    """One line: what was found to hold, or the first finding's message."""
    duration: float = 0.0
    """Seconds, waiting included."""
    attempts: int = 1
    """Evaluations made while waiting."""

    @property
    def passed(self) -> bool:
        return self.status is CheckStatus.PASSED

    @property
    def why_not_asked(self) -> str:
        """Of an ERROR: what stood in the way, and the next step; of anything else nothing."""
        if self.status is not CheckStatus.ERROR:
            return ""
        return self.findings[0].message if self.findings else self.summary
