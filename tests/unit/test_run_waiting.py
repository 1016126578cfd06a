"""Waiting: the last look is at the deadline, and what was last seen is told."""

from __future__ import annotations

import threading
import time

import pytest

from labrunner.run.waiting import wait_for


def test_no_time_means_one_look() -> None:
    waited = wait_for(lambda: "seen", lambda _: False, timeout=0)
    assert (waited.holds, waited.last, waited.attempts) == (False, "seen", 1)


def test_it_returns_as_soon_as_it_holds() -> None:
    seen = iter(range(100))
    waited = wait_for(lambda: next(seen), lambda n: n == 2, timeout=30)
    assert (waited.holds, waited.last, waited.attempts) == (True, 2, 3) and waited.seconds < 5


def test_what_becomes_true_just_before_the_deadline_is_seen() -> None:
    start = time.monotonic()
    waited = wait_for(lambda: time.monotonic() - start, lambda age: age >= 0.29, timeout=0.3)
    assert waited.holds


def test_it_looks_again_at_the_deadline() -> None:
    start = time.monotonic()
    looks: list[float] = []
    wait_for(lambda: looks.append(time.monotonic() - start), lambda _: False, timeout=0.2)
    assert looks[-1] >= 0.2


def test_cancelling_ends_the_wait() -> None:
    cancelled = threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    waited = wait_for(lambda: 1, lambda _: False, timeout=30, cancelled=cancelled)
    assert not waited.holds and waited.seconds < 5


def test_what_the_look_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_for(lambda: 1 // 0, bool, timeout=1)
