"""Which command of the learner's led to a failure: the changes a watch saw, laid over the commands of the session."""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final, TypeVar

from labrunner.check.result import CheckResult
from labrunner.run.events import BlockFinished, BlockStarted, Event
from labrunner.target.base import Change

_V = TypeVar("_V")

_KEPT_COMMANDS: Final = 200
_KEPT_OBJECTS: Final = 2000
_AFTER: Final = 2.0
"""Seconds after a command's end in which a change still counts as its doing."""
_ROLES: Final = frozenset({"block", "typed", "solution", "mistake"})
_OBJECT: Final = re.compile(r"^(?P<kind>[A-Z]\w+) (?:(?P<namespace>[a-z0-9.-]+)/)?(?P<name>[a-z0-9][a-z0-9.-]*)")
"""How findings name an object (`Finding.where`)."""


@dataclass(slots=True)
class Command:
    """One command of the learner's; epoch seconds, `ended` None while it runs."""

    text: str
    started: float
    ended: float | None = None


class Causes:
    """Thread-safe. Changes that only controllers make (status) do not count."""

    def __init__(self) -> None:
        self._commands: deque[Command] = deque(maxlen=_KEPT_COMMANDS)
        self._changed: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._seen: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        self._lock = threading.Lock()

    def hear(self, event: Event) -> None:
        """Take in the session's events."""
        with self._lock:
            if isinstance(event, BlockStarted) and event.role in _ROLES:
                self._commands.append(Command(event.command.strip(), event.at))
            elif isinstance(event, BlockFinished) and event.role in _ROLES and self._commands:
                self._commands[-1].ended = event.at

    def saw(self, change: Change, at: float) -> bool:
        """Take in a change of the cluster at epoch second `at`. False when only its status or bookkeeping changed."""
        metadata = change.object.get("metadata") or {}
        key = (str(change.object.get("kind")), str(metadata.get("namespace", "")), str(metadata.get("name", "")))
        intent = change.type if change.type == "DELETED" else _intent(change)
        with self._lock:
            if self._seen.get(key) == intent:
                return False
            _keep(self._seen, key, intent)
            _keep(self._changed, key, at)
            return True

    def of(self, result: CheckResult, *, broke: bool) -> Command | None:
        """The command that led to a failed result: the one that changed an object its findings name, or, for a check
        that held until now (`broke`), the last one."""
        with self._lock:
            for finding in result.findings:
                at = self._change_of(finding.where)
                if at is not None and (command := self._at(at)) is not None:
                    return command
            return self._commands[-1] if broke and self._commands else None

    def _change_of(self, where: str) -> float | None:
        found = _OBJECT.match(where)
        if found is None:
            return None
        kind, namespace, name = found["kind"], found["namespace"] or "", found["name"]
        return self._changed.get((kind, namespace, name))

    def _at(self, at: float) -> Command | None:
        for command in reversed(self._commands):
            if command.started <= at and (command.ended is None or at <= command.ended + _AFTER):
                return command
        return None


def _intent(change: Change) -> str:
    """What somebody wants of the object: everything but its status and the server's bookkeeping."""
    metadata = change.object.get("metadata") or {}
    wanted = {key: value for key, value in change.object.items() if key not in ("status", "metadata")}
    wanted["metadata"] = {key: metadata.get(key) for key in ("labels", "annotations", "deletionTimestamp", "uid")}
    return json.dumps(wanted, sort_keys=True, default=str)


def _keep(kept: OrderedDict[tuple[str, str, str], _V], key: tuple[str, str, str], value: _V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > _KEPT_OBJECTS:
        kept.popitem(last=False)
