"""Waiting, in one place: ask again until it holds or the time is over, and keep the last thing seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Waited(Generic[T]):
    """`last`: the last observation, also when it did not hold. `attempts`: observations made. `seconds`: taken."""

    holds: bool
    last: T
    attempts: int
    seconds: float


def wait_for(
    observe: Callable[[], T],
    holds: Callable[[T], bool],
    *,
    timeout: float,
    cancelled: threading.Event | None = None,
) -> Waited[T]:
    """Observe until `holds`, at most `timeout` seconds; the last observation is made at the deadline, not before it.

    A `timeout` of 0 observes once. When `cancelled` is set, returns after the observation in hand.
    What `observe` raises ends the waiting.
    """
    started = time.monotonic()
    deadline = started + max(0.0, timeout)
    pause = FIRST_PAUSE
    attempts = 0
    while True:
        asked = time.monotonic()
        last = observe()
        attempts += 1
        done = holds(last)
        now = time.monotonic()
        if done or asked >= deadline or (cancelled is not None and cancelled.is_set()):
            return Waited(done, last, attempts, now - started)
        rest = max(0.0, min(pause, deadline - now))
        if cancelled is not None:
            cancelled.wait(rest)
        else:
            time.sleep(rest)
        pause = min(pause * 1.5, LONGEST_PAUSE)
