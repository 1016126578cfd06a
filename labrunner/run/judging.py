"""Evaluates a step's checks, says what came of them, and judges the step: passed, regressed or still open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from labrunner.check.kind import CheckContext, CheckKind
from labrunner.check.result import CheckResult, CheckStatus
from labrunner.lab.model import Check, Step
from labrunner.lab.substitution import substitute
from labrunner.run import checking, events
from labrunner.run.causes import Causes
from labrunner.run.protocol import Attempt
from labrunner.run.session import StepState
from labrunner.run.telling import Teller


class Judge:
    """`context`: what checks look at now; it raises `EnvironmentFault` while the lab is not open. `values`: the lab's
    variables, `types` their types. `closing`: set when the lab is being closed. Thread-safe."""

    def __init__(
        self,
        teller: Teller,
        causes: Causes,
        context: Callable[[], CheckContext],
        values: Callable[[], Mapping[str, str]],
        types: Mapping[str, str],
        kinds: Mapping[str, CheckKind] | None,
        closing: threading.Event,
    ) -> None:
        self._teller = teller
        self._causes = causes
        self._context = context
        self._values = values
        self._types = types
        self._kinds = kinds
        self._closing = closing
        self._waiting: set[threading.Event] = set()

    def check(self, step: Step, *, wait: bool = True, only: Sequence[str] | None = None) -> Attempt:
        """`only`: ids of the checks to evaluate; the step's state then stays as it is."""
        self._context()
        cancelled = threading.Event()
        self._waiting.add(cancelled)
        if self._closing.is_set():
            cancelled.set()
        checks = [check for check in step.checks if only is None or check.id in only]
        for check in checks:
            self._teller.say(events.CheckStarted(at=time.time(), step=step.id, check=check.id))
        results = []
        try:
            for result in self._evaluate(checks, wait, cancelled, step.id):
                self._say_result(step, result)
                results.append(result)
        finally:
            self._waiting.discard(cancelled)
        order = [check.id for check in checks]
        results.sort(key=lambda result: order.index(result.check_id))
        attempt = Attempt(step.id, self._teller.session.record(step.id).attempts + 1, tuple(results))
        if only is None:
            self._teller.say(
                events.AttemptFinished(at=time.time(), step=step.id, number=attempt.number, passed=attempt.passed)
            )
            self._judge(step, attempt)
        return attempt

    def passes(self, step: Step) -> bool:
        """Check it, the questions left out: nobody answers them for the learner."""
        attempt = self.check(step, only=[check.id for check in step.checks if check.kind != "quiz"])
        if attempt.passed:
            self.change(step, StepState.PASSED)
        return attempt.passed

    def look_again(self, step: Step, *, skip_slower: float | None = None, in_doubt: bool = False) -> bool:
        """See `live_checks.Observed`."""
        if self._waiting:
            return True  # the learner's own check says it, and its end has us look again
        record = self._teller.session.record(step.id)
        answered = record.answers
        kept = {
            check.id: record.results.get(check.id)
            for check in step.checks
            if (check.kind == "quiz" and check.id not in answered)
            or (
                skip_slower is not None
                and (last := record.results.get(check.id)) is not None
                and last.duration > skip_slower
            )
        }
        asked = [check for check in step.checks if check.id not in kept]
        results = {check_id: result for check_id, result in kept.items() if result is not None}
        waited_for = False
        patient = {check.id for check in asked if check.wait > 0}
        for result in self._evaluate(asked, False, self._closing):
            if self._waiting:
                return True
            before = record.results.get(result.check_id)
            if before is None or _differ(before, result):
                self._say_result(step, result)
            results[result.check_id] = result
            waited_for |= result.status is CheckStatus.FAILED and result.check_id in patient
        if not step.checks or len(results) < len(step.checks):
            return True
        if in_doubt and waited_for and record.state is StepState.PASSED:
            return False
        self._judge(step, Attempt(step.id, record.attempts, tuple(results.values())))
        return True

    def stop_waiting(self) -> None:
        for cancelled in list(self._waiting):
            cancelled.set()

    def params(self, check: Check) -> Mapping[str, Any]:
        """A check's parameters, variables substituted."""
        values = {**self._context().environment, **self._values()}
        params: Mapping[str, Any] = substitute(check.params, values, self._types)
        return params

    def change(self, step: Step, state: StepState) -> None:
        """Say the step's new state, if it is one."""
        if self._teller.session.record(step.id).state is not state:
            self._teller.say(events.StepStateChanged(at=time.time(), step=step.id, state=str(state)))

    def _evaluate(
        self, checks: Sequence[Check], wait: bool, cancelled: threading.Event, step: str = ""
    ) -> Iterator[CheckResult]:
        """`step`: whose checks they are, when trouble met while waiting is to be said."""
        context = self._context()
        values = {**context.environment, **self._values()}

        def one(check: Check) -> CheckResult:
            def trouble(message: str) -> None:
                if step and not cancelled.is_set():
                    told = self._teller.redactor.text(message)
                    self._teller.say(events.CheckTroubled(at=time.time(), step=step, check=check.id, message=told))

            return checking.evaluate(
                check, context, values, self._types, kinds=self._kinds, wait=wait, cancelled=cancelled, trouble=trouble
            )

        for result in checking.evaluate_all(checks, one):
            self._context()
            yield self._teller.redactor.value(result)

    def _say_result(self, step: Step, result: CheckResult) -> None:
        before = self._teller.session.record(step.id).results.get(result.check_id)
        self._teller.say(events.CheckFinished(at=time.time(), step=step.id, check=result.check_id, result=result))
        if result.status is CheckStatus.FAILED:
            cause = self._causes.of(result, broke=before is not None and before.passed)
            if cause is not None:
                self._teller.say(
                    events.CheckCaused(
                        at=time.time(), step=step.id, check=result.check_id, command=cause.text, ran_at=cause.started
                    )
                )

    def _judge(self, step: Step, attempt: Attempt) -> None:
        """A step has passed when all its checks have; one that passed before and fails now has regressed."""
        state = self._teller.session.record(step.id).state
        if attempt.passed:
            self.change(step, StepState.PASSED)
            return
        asked = not any(r.status is CheckStatus.ERROR for r in attempt.results)  # else the world is in doubt
        if state is StepState.PASSED and asked and any(r.status is CheckStatus.FAILED for r in attempt.results):
            self.change(step, StepState.REGRESSED)


def _differ(before: CheckResult, now: CheckResult) -> bool:
    """Whether the learner would see another result."""
    return (before.status, before.findings, before.title) != (now.status, now.findings, now.title)
