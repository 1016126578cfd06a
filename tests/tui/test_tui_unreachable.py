"""A cluster that goes away is said at once, with the way out, and looks unlike a failed check."""

from __future__ import annotations

import asyncio
import threading

import pytest
from scripted_lab import ScriptedEngine, make_lab
from stage import running

from labrunner.check.result import CheckResult, CheckStatus, Finding
from labrunner.lab.model import Check
from labrunner.run import checking
from labrunner.run import events as ev
from labrunner.tui.session_view import SessionView
from labrunner.tui.symbols import ASCII
from labrunner.tui.widgets.checks_pane import ChecksPane

GONE = "The cluster at 127.0.0.1:6443 cannot be reached: connection refused. Is it running?"
WRONG = Finding("different", "It hands TLS through.", "SIMPLE", "PASSTHROUGH", "Gateway apim")


def error(check_id: str) -> CheckResult:
    finding = Finding("environment", GONE, "an answer", GONE)
    return CheckResult(check_id, check_id, CheckStatus.ERROR, (finding,), GONE)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 48)])
async def test_it_is_said_while_the_check_still_waits(size: tuple[int, int]) -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine, size=size) as stage:
        engine.waits.clear()
        await stage.press("c")
        await stage.shows("stops the waiting")
        engine._say(ev.CheckTroubled, step="ca", check="ca-is-ca", message=GONE)
        await stage.shows("! Cannot be asked: this is no mistake of yours")
        assert "The cluster at 127.0.0.1:6443" in stage.text()
        assert "→ l, then opening the lab again" in stage.text()
        assert "✘" not in stage.text()
        if size[0] < 100:
            assert "3 Checks 0/2 !" in stage.text()
            assert "(waiting for an answer)" in stage.text()
        engine._say(ev.CheckTroubled, step="ca", check="ca-is-ca", message="")
        await stage.until(lambda: "Cannot be asked" not in stage.text())
        engine.waits.set()
        await stage.shows("Step passed")


async def test_a_step_that_could_not_be_asked_is_not_a_failed_step() -> None:
    engine = ScriptedEngine(make_lab())
    engine.failing = {"ca-is-ca": CheckStatus.ERROR, "ca-key": CheckStatus.ERROR}
    async with running(lab=engine.lab, engine=engine, size=(160, 48)) as stage:
        await stage.press("c")
        await stage.shows("(no answer)")
        assert stage.lab.view.steps["ca"].state == "error"
        assert "✘" not in stage.text() and "no answer" in stage.text()
        assert not stage.lab.query_one(ChecksPane).has_class("-failed")
        assert stage.lab.query_one(ChecksPane).has_class("-unreachable")
        engine.failing = {"ca-is-ca": WRONG}
        await stage.press("c")
        await stage.shows("✘ certs/ca.crt is a certificate authority")
        assert stage.lab.view.steps["ca"].state == "failed"
        assert "Cannot be asked" not in stage.text()
        assert not stage.lab.query_one(ChecksPane).has_class("-unreachable")


async def test_in_ascii_too_words_and_signs_tell_them_apart() -> None:
    engine = ScriptedEngine(make_lab())
    engine.failing = {"ca-is-ca": CheckStatus.ERROR, "ca-key": CheckStatus.ERROR}
    async with running(lab=engine.lab, engine=engine, symbols=ASCII, size=(80, 24)) as stage:
        await stage.press("c")
        await stage.shows("! certs/ca.crt is a certificate authority  (no answer)")
        assert stage.text().isascii()


def test_errors_do_not_count_as_the_learners_attempts_without_progress() -> None:
    view = SessionView(make_lab())
    step = view.steps["ca"]
    view.apply(ev.StepEntered(at=1.0, step="ca"))
    for number in range(1, 7):
        for check in ("ca-is-ca", "ca-key"):
            view.apply(ev.CheckFinished(at=2.0, step="ca", check=check, result=error(check)))
        view.apply(ev.AttemptFinished(at=2.0, step="ca", number=number, passed=False))
    assert step.stalled == 0 and step.state == "error" and step.unreachable == GONE
    failed = CheckResult("ca-key", "x", CheckStatus.FAILED, (WRONG,))
    view.apply(ev.CheckFinished(at=3.0, step="ca", check="ca-key", result=failed))
    assert step.state == "failed" and not step.unreachable


async def test_waiting_says_trouble_once_and_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = threading.Event()
    gone.set()
    told: list[str] = []
    asked = 0

    def evaluate(check: Check, *_: object) -> CheckResult:
        nonlocal asked
        asked += 1
        if gone.is_set():
            return error(check.id)
        return CheckResult(check.id, "x", CheckStatus.FAILED if asked < 8 else CheckStatus.PASSED)

    def trouble(message: str) -> None:
        told.append(message)

    monkeypatch.setattr(checking, "evaluate_check", evaluate)
    check = Check("c", "file", {}, "x", wait=30.0)
    from labrunner.check.kind import CheckContext

    context = CheckContext.__new__(CheckContext)
    monkeypatch.setattr(checking, "replace", lambda thing, **_: thing)
    waiting = asyncio.create_task(asyncio.to_thread(checking.evaluate, check, context, {}, trouble=trouble))
    async with asyncio.timeout(20):
        while asked < 4:
            await asyncio.sleep(0.01)
        assert told == [GONE]
        gone.clear()
        await waiting
    assert told == [GONE, ""]
