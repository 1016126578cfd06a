"""Evaluates a step's checks: side by side, each with its waiting, results as they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_any
from dataclasses import replace

from labrunner.check.evaluate import evaluate_check
from labrunner.check.kind import CheckContext, CheckKind
from labrunner.check.result import CheckResult, CheckStatus
from labrunner.lab.model import Check
from labrunner.lab.substitution import substitute
from labrunner.run.waiting import wait_for

AT_ONCE = 6
"""Checks of one step evaluated at the same time."""
ANSWER_WITHIN = 15.0
"""Seconds one evaluation may take, waiting not counted."""
FAULT_PATIENCE = 8.0
"""Seconds that a fault of the environment is waited out: what restarts is back by then, what is gone stays gone."""


def evaluate(
    check: Check,
    context: CheckContext,
    values: Mapping[str, str],
    types: Mapping[str, str] | None = None,
    *,
    kinds: Mapping[str, CheckKind] | None = None,
    wait: bool = True,
    cancelled: threading.Event | None = None,
    trouble: Callable[[str], None] | None = None,
) -> CheckResult:
    """The check's result, `${NAME}` substituted, waited for as the check says (with a fault not as long).

    `wait=False` asks once: for the proof that a check fails before the step is done.
    `trouble` hears, while it is waited for, what keeps the check from being asked, and the empty text when it can be.
    """
    asked = replace(check, params=substitute(check.params, values, types), title=substitute(check.title, values) or "")
    timeout = check.wait if wait else 0.0
    until = time.monotonic() + timeout
    faulty_since: float | None = None

    troubled = ""

    def observe() -> CheckResult:
        nonlocal troubled
        deadline = max(time.monotonic(), until) + ANSWER_WITHIN
        result = evaluate_check(asked, replace(context, deadline=deadline), kinds)
        now = result.why_not_asked
        if now != troubled and trouble is not None and time.monotonic() < until:
            trouble(now)
        troubled = now
        return result

    def settled(result: CheckResult) -> bool:
        nonlocal faulty_since
        if result.status is not CheckStatus.ERROR:
            faulty_since = None
            return result.passed
        now = time.monotonic()
        faulty_since = now if faulty_since is None else faulty_since
        return now - faulty_since >= FAULT_PATIENCE

    waited = wait_for(observe, settled, timeout=timeout, cancelled=cancelled)
    return replace(waited.last, duration=waited.seconds, attempts=waited.attempts)


def evaluate_all(checks: Sequence[Check], one: Callable[[Check], CheckResult]) -> Iterator[CheckResult]:
    """Results as they come; those that come together, in the order of `checks`.

    `one` is called on threads of a small pool.
    """
    if not checks:
        return
    with ThreadPoolExecutor(min(AT_ONCE, len(checks)), thread_name_prefix="labrunner-check") as pool:
        pending = [pool.submit(one, check) for check in checks]
        while pending:
            done, _ = wait_for_any(pending, return_when=FIRST_COMPLETED)
            for future in [future for future in pending if future in done]:
                pending.remove(future)
                yield future.result()
