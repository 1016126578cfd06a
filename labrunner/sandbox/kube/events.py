"""How often an Event is written: repeats are counted, similar ones combined, a flood of them dropped.

Source: k8s.io/client-go/tools/record/events_cache.go (EventCorrelator).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_REMEMBERED = 4096
"""How many keys each cache holds; the one used longest ago goes first."""
_BURST, _REFILL = 25, 300.0
"""Events about one object from one source at once; then one each so many seconds."""
_SIMILAR, _INTERVAL = 10, 600.0
"""Messages under one reason before they are combined; seconds after which counting begins anew."""
_COMBINED = "(combined from similar events): "


@dataclass(frozen=True, slots=True)
class Source:
    """Who says it about whom."""

    component: str
    host: str
    kind: str
    namespace: str
    name: str
    uid: str
    field_path: str = ""


@dataclass(slots=True)
class Verdict:
    """What to write: an Event of that name, its message, how often it happened and since when."""

    name: str
    message: str
    count: int
    first: float


@dataclass(slots=True)
class _Similar:
    last: float
    messages: set[str] = field(default_factory=set)


class _Lru(OrderedDict[K, V], Generic[K, V]):
    def recent(self, key: K) -> V | None:
        if key in self:
            self.move_to_end(key)
            return self[key]
        return None

    def keep(self, key: K, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        while len(self) > _REMEMBERED:
            self.popitem(last=False)


class EventCorrelator:
    """Remembers what was written lately; nothing of it survives a restart, as in Kubernetes."""

    def __init__(self) -> None:
        self._tokens: _Lru[Source, tuple[float, float]] = _Lru()
        self._similar: _Lru[tuple[Source, str, str], _Similar] = _Lru()
        self._written: _Lru[tuple[Source, str, str, str], Verdict] = _Lru()
        self._last_stamp = 0

    def correlate(self, source: Source, type_: str, reason: str, message: str, now: float) -> Verdict | None:
        """What becomes of an event; None: nothing, there were too many."""
        group = (source, type_, reason)
        similar = self._similar.recent(group)
        if similar is None or now - similar.last > _INTERVAL:
            similar = _Similar(now)
        similar.last = now
        similar.messages.add(message)
        self._similar.keep(group, similar)
        key = (*group, message)
        if len(similar.messages) > _SIMILAR:
            similar.messages.pop()
            message, key = _COMBINED + message, (*group, "")
        known = self._written.recent(key)
        if known is None:
            known = Verdict(self._name(source.name, now), message, 0, now)
        verdict = Verdict(known.name, message, known.count + 1, known.first)
        self._written.keep(key, verdict)
        return verdict if self._may_write(source, now) else None

    def renamed(self, verdict: Verdict, source: Source, now: float) -> Verdict:
        """The same as a new Event, where the one written before is gone."""
        return Verdict(self._name(source.name, now), verdict.message, 1, now)

    def _name(self, name: str, now: float) -> str:
        """`<object>.<nanoseconds>`: later events of an object sort after earlier ones."""
        self._last_stamp = max(int(now * 1e9), self._last_stamp + 1)
        return f"{name}.{self._last_stamp:x}"

    def _may_write(self, source: Source, now: float) -> bool:
        about = Source(source.component, source.host, source.kind, source.namespace, source.name, source.uid)
        tokens, last = self._tokens.recent(about) or (float(_BURST), now)
        tokens = min(float(_BURST), tokens + max(0.0, now - last) / _REFILL)
        allowed = tokens >= 1
        self._tokens.keep(about, (tokens - 1 if allowed else tokens, now))
        return allowed
