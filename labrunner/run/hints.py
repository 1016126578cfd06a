"""Which hint comes next: one that fits what went wrong, else the next in order."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from labrunner.check.result import CheckResult, CheckStatus, Finding
from labrunner.lab.model import Step, TargetedHint


def fitting(step: Step, results: Iterable[CheckResult]) -> list[TargetedHint]:
    """The step's targeted hints that fit these results, in the step's order."""
    failed = {r.check_id: r for r in results if r.status is CheckStatus.FAILED}
    return [hint for hint in step.targeted_hints if hint.check in failed and _fits(hint, failed[hint.check].findings)]


def _fits(hint: TargetedHint, findings: Iterable[Finding]) -> bool:
    if not hint.reason and not hint.matches:
        return True
    return any(
        (not hint.reason or finding.reason == hint.reason)
        and (
            not hint.matches
            or any(re.search(hint.matches, text) for text in (finding.message, finding.expected, finding.observed))
        )
        for finding in findings
    )


def next_hint(step: Step, results: Iterable[CheckResult], shown: Collection[str]) -> tuple[str, str] | None:
    """Id and text of the next hint, or None when all that fit were shown."""
    for targeted in fitting(step, results):
        if targeted.id not in shown:
            return targeted.id, targeted.text
    for number, text in enumerate(step.hints, 1):
        if f"#{number}" not in shown:
            return f"#{number}", text
    return None


def remaining(step: Step, shown: Collection[str]) -> int:
    """Ordered hints that were not shown."""
    return sum(f"#{number}" not in shown for number in range(1, len(step.hints) + 1))
