"""Takes the engine's events on whatever thread they come and hands them over in batches, never growing without end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from labrunner.run.events import BlockOutput, Event
from labrunner.tui.session_view import OUTPUT_TAIL


class Inbox:
    """`wake` is called (on the engine's thread) when the inbox turns from empty to not empty."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._events: list[Event] = []
        self._lock = threading.Lock()

    def put(self, event: Event) -> None:
        with self._lock:
            was_empty = not self._events
            last = self._events[-1] if self._events else None
            if (
                isinstance(event, BlockOutput)
                and isinstance(last, BlockOutput)
                and (last.step, last.block) == (event.step, event.block)
            ):
                self._events[-1] = replace(event, text=(last.text + event.text)[-OUTPUT_TAIL:])
            else:
                self._events.append(event)
        if was_empty:
            self._wake()

    def take(self) -> list[Event]:
        """Everything since the last call, in order; consecutive output of one block is merged to its tail."""
        with self._lock:
            events, self._events = self._events, []
        return events
