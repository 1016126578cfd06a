"""Time as the API writes it, and timers on the server's loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime


def timestamp(seconds: float) -> str:
    """RFC 3339 in whole seconds: metav1.Time."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(seconds: float) -> str:
    """RFC 3339 in microseconds: metav1.MicroTime."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Clock:
    """The wall clock and the event loop's timers; `scale` stretches or shrinks pretended work (0: it takes no time)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, scale: float = 1.0) -> None:
        self._loop = loop
        self.scale = scale

    def now(self) -> float:
        return time.time()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """After scaled seconds. Returns what cancels it."""
        delay = seconds * self.scale
        handle = self._loop.call_later(delay, callback) if delay > 0 else self._loop.call_soon(callback)
        return handle.cancel

    def call_at(self, when: float, callback: Callable[[], None]) -> Callable[[], None]:
        """At a wall-clock time, never scaled. Returns what cancels it."""
        return self._loop.call_later(max(0.0, when - time.time()), callback).cancel
