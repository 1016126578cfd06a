"""Checks that looked again by themselves, as the lab screen shows them."""

from __future__ import annotations

import time

from scripted_lab import ScriptedEngine, make_lab
from stage import running

from labrunner.check.result import CheckResult, CheckStatus, Finding
from labrunner.run import events as ev

WRONG = Finding("different", "TLS is handed through.", "SIMPLE", "PASSTHROUGH", "Gateway default/apim: spec")


def result(check: str, *findings: Finding) -> CheckResult:
    return CheckResult(check, check, CheckStatus.FAILED if findings else CheckStatus.PASSED, findings)


def look(engine: ScriptedEngine, step: str, check: str, *findings: Finding) -> None:
    engine._say(ev.CheckFinished, step=step, check=check, result=result(check, *findings))


async def test_live_checks_begin_with_the_lab_and_say_nothing_bad_before_anything_was_tried() -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine) as stage:
        assert ("go_live",) in engine.calls
        look(engine, "ca", "ca-is-ca", WRONG)
        look(engine, "ca", "ca-key")
        await stage.shows("✔ ca-key")
        assert "✘" not in stage.text() and "PASSTHROUGH" not in stage.text()
        await stage.press("r")
        await stage.shows("PASSTHROUGH")


async def test_a_step_turns_passed_by_itself_then_regresses_and_says_what_was_run() -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine) as stage:
        await stage.press("n", "r")
        for check in ("gateway-tls", "gateway-host", "gateway-san"):
            look(engine, "gateway", check)
        engine._say(ev.StepStateChanged, step="gateway", state="passed")
        await stage.shows("Step passed")
        at = time.mktime((2026, 5, 4, 13, 14, 15, 0, 0, -1))
        look(engine, "gateway", "gateway-tls", WRONG)
        engine._say(ev.CheckCaused, step="gateway", check="gateway-tls", command="kubectl apply -f x.yaml", ran_at=at)
        engine._say(ev.StepStateChanged, step="gateway", state="regressed")
        await stage.shows("no longer does")
        await stage.shows("you ran   kubectl apply -f x.yaml")
        assert "13:14:15" in stage.text()
        assert stage.lab.view.steps["gateway"].attempts == 0
        look(engine, "gateway", "gateway-tls")
        await stage.until(lambda: "you ran" not in stage.text())
