"""The `conditions` lists of statuses: found by type, times kept as long as the status stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labrunner.sandbox.kube.controllers.meta import timestamp

Condition = dict[str, Any]


def find(conditions: Iterable[Condition] | None, type_: str) -> Condition | None:
    return next((c for c in conditions or () if c.get("type") == type_), None)


def is_true(conditions: Iterable[Condition] | None, type_: str) -> bool:
    condition = find(conditions, type_)
    return bool(condition) and condition is not None and condition.get("status") == "True"


def put(
    conditions: Iterable[Condition] | None,
    now: float,
    type_: str,
    status: str,
    reason: str = "",
    message: str = "",
    **extra: Any,
) -> list[Condition]:
    """The list with this condition set; lastTransitionTime moves only when `status` changes."""
    entries = list(conditions or ())
    entry: Condition = {"type": type_, "status": status, "lastTransitionTime": timestamp(now)}
    if reason:
        entry["reason"] = reason
    if message:
        entry["message"] = message
    entry |= extra
    for index, existing in enumerate(entries):
        if existing.get("type") == type_:
            if existing.get("status") == status:
                entry["lastTransitionTime"] = existing.get("lastTransitionTime", entry["lastTransitionTime"])
            entries[index] = entry
            return entries
    return [*entries, entry]


def drop(conditions: Iterable[Condition] | None, type_: str) -> list[Condition]:
    return [c for c in conditions or () if c.get("type") != type_]
