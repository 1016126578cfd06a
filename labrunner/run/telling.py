"""Tells what happens: redacted, journalled when it is durable, folded into the session, then said to listeners."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from labrunner.run import events
from labrunner.run.events import Event
from labrunner.run.journal import Journal
from labrunner.run.protocol import Listener
from labrunner.run.redaction import Redactor
from labrunner.run.session import Session, load


class Teller:
    """One session's voice. Events are told one at a time, in the order in which `say` was called."""

    def __init__(self, directory: Path) -> None:
        self.redactor = Redactor()
        self.session = Session()
        self._directory = directory
        self._journal = Journal(directory / "journal.jsonl")
        self._listeners: list[Listener] = []
        self._lock = threading.RLock()
        self._closed = False

    def open(self) -> list[str]:
        """Read the journal and open it for more; notes on what was skipped. Raises `EnvironmentFault`."""
        self._journal.open()
        self.session, notes = load(self._directory)
        return notes

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def say(self, event: Event) -> None:
        """Raises `EnvironmentFault` when a durable event cannot be kept: then nobody is told of it.

        After `end` nothing durable is said any more: another runner may have the session.
        """
        with self._lock:
            if event.durable:
                if self._closed:
                    return
                event = self.redactor.value(event)
                self._journal.write(event)
                self.session.apply(event)
            for listener in list(self._listeners):
                listener(event)

    def end(self, event: events.SessionEnded) -> None:
        """Say the last event and close the journal. Idempotent; raises `EnvironmentFault` as `say` does."""
        with self._lock:
            try:
                if self._journal.is_open:
                    self.say(event)
            finally:
                self._closed = True
                self._journal.close()
