"""Evaluates one check once. Waiting and retrying are `labrunner.run.waiting`'s."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping

from labrunner.check.kind import CheckContext, CheckKind, ExplainsPass
from labrunner.check.phrase import clip, did_you_mean, listed
from labrunner.check.registry import kinds
from labrunner.check.result import CheckResult, CheckStatus, Finding
from labrunner.errors import Interrupted, LabrunnerError
from labrunner.lab.model import Check

log = logging.getLogger(__name__)


def evaluate_check(check: Check, context: CheckContext, known: Mapping[str, CheckKind] | None = None) -> CheckResult:
    """Ask the check's question; its params have their variables substituted already.

    Never raises but for interruption: what keeps the question from being put, a fault of the environment or of the
    kind itself, is a result of status ERROR.
    """
    started = time.monotonic()
    known = kinds() if known is None else known
    title = check.title or check.id
    kind = known.get(check.kind)
    if kind is None:
        message = f"There is no kind of check {check.kind!r}; there is {listed(list(known))}."
        return _error(check, title, message + did_you_mean(check.kind, known), "", started)
    try:
        title = check.title or kind.describe(check.params)
        found = kind.evaluate(check.params, dataclasses.replace(context, check_id=check.id))
        summary = found[0].message if found else _holds(kind, check)
    except Interrupted:
        raise
    except LabrunnerError as error:
        return _error(check, title, error.message, error.hint, started)
    except Exception as error:
        # The edge of a worker: one broken check must not take the session with it.
        log.exception("check %s (%s) failed inside", check.id, check.kind)
        what = clip(f"{type(error).__name__}: {error}", 200)
        message = f"The check {check.id} ({check.kind}) could not be evaluated: {what}."
        return _error(check, title, message, "This is a fault of labrunner or of the lab, not yours.", started)
    status = CheckStatus.FAILED if found else CheckStatus.PASSED
    return CheckResult(check.id, title, status, tuple(found), summary, time.monotonic() - started)


def _holds(kind: CheckKind, check: Check) -> str:
    """What a passed check says it found."""
    said = kind.passed(check.params) if isinstance(kind, ExplainsPass) else ""
    return said or kind.describe(check.params)


def _error(check: Check, title: str, message: str, hint: str, started: float) -> CheckResult:
    finding = Finding("environment", f"{message} {hint}".strip(), "an answer", message)
    return CheckResult(check.id, title, CheckStatus.ERROR, (finding,), message, time.monotonic() - started)
