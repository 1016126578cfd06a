"""From differences to findings: the object, the field, and values that may be shown."""

from __future__ import annotations

from typing import Any, Final

from labrunner.check.match import Difference
from labrunner.check.phrase import ABSENT, Hidden, clip, path_text, show
from labrunner.check.redact import is_secret_path, showable
from labrunner.check.result import Finding
from labrunner.target.base import KubeObject

LIMIT: Final = 20
"""Findings of one check; what is beyond is counted."""


def object_findings(obj: KubeObject, differences: list[Difference], label: str) -> list[Finding]:
    """One finding per difference between an object and its pattern."""
    shown = showable(obj)
    return [_finding(obj, shown, d, label) for d in differences]


def _finding(obj: KubeObject, shown: KubeObject, difference: Difference, label: str) -> Finding:
    field = path_text(difference.path)
    if is_secret_path(obj, difference.path):
        expected = difference.expected if difference.reason == "count" else "<hidden>"
        observed = show(_at(shown, difference.path))
    else:
        expected = clip(difference.expected)
        # A Secret is quoted from its showable copy only: an operator's own words may hold a value.
        observed = ("" if shown is not obj else difference.observed) or show(_at(shown, difference.path))
    where = f"{label}: {field}" if field else label
    return Finding(difference.reason, sentence(field or "it", difference.reason, expected, observed), expected,
                   observed, where)  # fmt: skip


def sentence(field: str, reason: str, expected: str, observed: str) -> str:
    """The difference in one sentence."""
    if reason == "missing":
        return f"{field} is missing; it should be {expected}." if observed == "absent" else (
            f"{field} lacks {expected}."
        )  # fmt: skip
    if reason == "unexpected" and expected == "absent":
        return f"{field} is {observed}; it should not be there."
    return f"{field} is {observed}; it should be {expected}."


def value_findings(differences: list[Difference], label: str) -> list[Finding]:
    """The same for a value that is no Kubernetes object (JSON of a file or a command)."""
    found = []
    for d in differences:
        field = path_text(d.path)
        expected, observed = clip(d.expected), d.observed or show(d.value)
        where = f"{label}: {field}" if field else label
        found.append(
            Finding(d.reason, sentence(field or "it", d.reason, expected, observed), expected, observed, where)
        )
    return found


def bounded(findings: list[Finding]) -> list[Finding]:
    """At most `LIMIT` findings; the last says how many were left out."""
    if len(findings) <= LIMIT:
        return findings
    rest = len(findings) - LIMIT + 1
    return [*findings[: LIMIT - 1], Finding("more", f"And {rest} more differences.", "", f"{rest} more differences")]


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        if isinstance(value, Hidden):
            return value
        in_map = isinstance(value, dict) and part in value
        in_list = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if not in_map and not in_list:
            return ABSENT
        value = value[part]
    return value
