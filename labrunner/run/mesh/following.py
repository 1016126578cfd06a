"""Follows a sandbox's graph of traffic on a thread of its own, while somebody looks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from labrunner.errors import LabrunnerError
from labrunner.run.mesh.picture import Picture

PAUSE = 0.25
"""Seconds at least between two pictures."""
RETRY = (0.5, 8.0)
"""Seconds until the next try after a failure: at first, at most."""


class Follower:
    """`ask(picture)` blocks until there is a newer picture than the one given, or for some seconds; it raises
    `LabrunnerError` when the world cannot be asked."""

    def __init__(self, ask: Callable[[Picture], Picture]) -> None:
        self._ask = ask
        self._picture = Picture()
        self._listeners: list[Callable[[], None]] = []
        self._wake = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def picture(self) -> Picture:
        return self._picture

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        with self._wake:
            self._listeners.append(changed)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="labrunner-mesh", daemon=True)
                self._thread.start()
            self._wake.notify_all()

        def unsubscribe() -> None:
            with self._wake, contextlib.suppress(ValueError):
                self._listeners.remove(changed)

        return unsubscribe

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._listeners.clear()
            self._wake.notify_all()

    def _run(self) -> None:
        pause = RETRY[0]
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._listeners)
                if self._closed:
                    return
            try:
                found = self._ask(self._picture)
                pause = RETRY[0]
            except LabrunnerError as error:
                old = self._picture
                found = Picture(old.nodes, old.edges, old.problem, old.pending, error.message, True)
                with self._wake:
                    self._wake.wait_for(lambda: self._closed, pause)
                pause = min(pause * 2, RETRY[1])
            if found != self._picture:
                self._picture = found
                for listener in list(self._listeners):
                    listener()
                with self._wake:  # under load there is always news
                    self._wake.wait_for(lambda: self._closed, PAUSE)
