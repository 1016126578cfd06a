"""Help that fits: offered when nothing gets better, and a solution that says what it would change."""

from __future__ import annotations

from scripted_lab import ScriptedEngine, make_lab
from stage import running

from labrunner.check.result import Finding
from labrunner.run import events as ev
from labrunner.tui.session_view import SessionView
from labrunner.tui.settings.model import ATTEMPTS, MINUTES
from labrunner.tui.widgets.block_card import BlockCard

WRONG = Finding("different", "No.", "a", "b", "c")


async def test_help_is_offered_after_attempts_without_progress_and_not_before() -> None:
    engine = ScriptedEngine(make_lab())
    engine.failing = {"gateway-tls": WRONG, "gateway-host": WRONG, "gateway-san": WRONG}
    async with running(lab=engine.lab, engine=engine) as stage:
        await stage.press("n")
        view = stage.lab.view.steps["gateway"]
        for number in range(ATTEMPTS):
            assert "Stuck?" not in stage.text()
            await stage.press("c")
            await stage.until(lambda n=number: view.attempts == n + 1)
        await stage.shows("✦ Stuck? h hint 1 of 3")
        await stage.press("h")
        await stage.until(lambda: "Stuck?" not in stage.text())


def test_time_without_progress_counts_too_but_not_once_a_check_got_better() -> None:
    view = SessionView(make_lab())
    step = view.steps["gateway"]
    view.apply(ev.StepEntered(at=1000.0, step="gateway"))
    assert not step.stuck(1000.0 + MINUTES * 60, ATTEMPTS, MINUTES * 60)  # nothing was tried yet
    view.apply(ev.AttemptFinished(at=1010.0, step="gateway", number=1, passed=False))
    assert step.stuck(1000.0 + MINUTES * 60, ATTEMPTS, MINUTES * 60)
    assert not step.stuck(1100.0, ATTEMPTS, MINUTES * 60)
    view.apply(ev.StepStateChanged(at=1200.0, step="gateway", state="passed"))
    assert not step.stuck(9000.0, ATTEMPTS, MINUTES * 60)


async def test_the_solution_says_what_it_would_change() -> None:
    engine = ScriptedEngine(make_lab())
    engine.diffs = {"solve-gateway": "@ v1.Gateway.apim\n spec:\n-  mode: PASSTHROUGH\n+  mode: SIMPLE"}
    async with running(lab=engine.lab, engine=engine, size=(160, 48)) as stage:
        await stage.press("n", "s")
        await stage.shows("Show the solution?")
        await stage.press("y")
        await stage.shows("Against what the cluster has now")
        await stage.shows("+  mode: SIMPLE")
        engine.diffs = {"solve-gateway": ""}
        await stage.press("s")
        await stage.shows("The cluster already has all of this")
        card = next(card for card in stage.lab.query(BlockCard) if card.role == "solution")
        assert card.difference == ""
