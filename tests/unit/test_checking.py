"""How the checks of a step are asked: side by side, waited for, with less patience for a fault than for a failure."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from check_world import context

from labrunner.check.kind import CheckContext
from labrunner.check.result import CheckResult, CheckStatus, Finding
from labrunner.errors import EnvironmentFault
from labrunner.lab.model import Check
from labrunner.run import checking


class Scripted:
    """Answers what it is told, in turn; the last answer for ever."""

    name = "scripted"

    def __init__(self, *answers: list[Finding] | EnvironmentFault) -> None:
        self.answers = list(answers)
        self.asked = 0

    def describe(self, params: Mapping[str, Any]) -> str:
        return "scripted"

    def evaluate(self, params: Mapping[str, Any], where: CheckContext) -> list[Finding]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, EnvironmentFault):
            raise answer
        return answer


GONE = EnvironmentFault("The cluster is gone.")
LATER = [Finding("missing", "Not there yet.", "there", "nothing", "x")]


def result_of(kind: Scripted, tmp_path: Path, wait: float) -> CheckResult:
    check = Check("c", "scripted", {}, wait=wait)
    return checking.evaluate(check, context(tmp_path), {}, kinds={"scripted": kind})  # type: ignore[dict-item]


def test_a_fault_that_stays_is_not_waited_for_as_long_as_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "FAULT_PATIENCE", 0.2)
    result = result_of(Scripted(GONE), tmp_path, wait=60)
    assert result.status is CheckStatus.ERROR
    assert result.attempts > 1 and result.duration < 30


def test_a_fault_that_ends_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "FAULT_PATIENCE", 60.0)
    assert result_of(Scripted(GONE, GONE, LATER, []), tmp_path, wait=60).passed


def test_a_result_does_not_wait_for_those_before_it() -> None:
    """Else one that cannot be asked hides what the others found."""
    first, second = Check("first", "x", {}), Check("second", "x", {})
    go_on = threading.Event()

    def one(check: Check) -> CheckResult:
        if check is first:
            assert go_on.wait(30)
        return CheckResult(check.id, check.id, CheckStatus.PASSED, (), "", 0.0)

    results = checking.evaluate_all([first, second], one)
    assert next(results).check_id == "second"
    go_on.set()
    assert next(results).check_id == "first"
