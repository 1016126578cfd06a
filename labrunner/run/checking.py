"""Evaluates a step's checks: side by side, each with its waiting, results in the step's order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from labrunner.check.evaluate import evaluate_check
from labrunner.check.kind import CheckContext, CheckKind
from labrunner.check.result import CheckResult
from labrunner.lab.model import Check
from labrunner.lab.substitution import substitute
from labrunner.run.waiting import wait_for

AT_ONCE = 6
"""Checks of one step evaluated at the same time."""
ANSWER_WITHIN = 15.0
"""Seconds one evaluation may take, waiting not counted."""


def evaluate(
    check: Check,
    context: CheckContext,
    values: Mapping[str, str],
    types: Mapping[str, str] | None = None,
    *,
    kinds: Mapping[str, CheckKind] | None = None,
    wait: bool = True,
    cancelled: threading.Event | None = None,
) -> CheckResult:
    """The check's result, `${NAME}` substituted, waited for as the check says (a fault is waited out like a failure).

    `wait=False` asks once: for the proof that a check fails before the step is done.
    """
    asked = replace(check, params=substitute(check.params, values, types), title=substitute(check.title, values) or "")
    timeout = check.wait if wait else 0.0
    until = time.monotonic() + timeout

    def observe() -> CheckResult:
        deadline = max(time.monotonic(), until) + ANSWER_WITHIN
        return evaluate_check(asked, replace(context, deadline=deadline), kinds)

    waited = wait_for(observe, lambda result: result.passed, timeout=timeout, cancelled=cancelled)
    return replace(waited.last, duration=waited.seconds, attempts=waited.attempts)


def evaluate_all(checks: Sequence[Check], one: Callable[[Check], CheckResult]) -> Iterator[CheckResult]:
    """Results in the order of `checks`; `one` is called on threads of a small pool."""
    if not checks:
        return
    with ThreadPoolExecutor(min(AT_ONCE, len(checks)), thread_name_prefix="labrunner-check") as pool:
        futures: list[Future[CheckResult]] = [pool.submit(one, check) for check in checks]
        for future in futures:
            yield future.result()
