"""Restart, jump and undo from the lab screen, each said plainly and asked first."""

from __future__ import annotations

from scripted_lab import ScriptedEngine, make_lab
from stage import running

from labrunner.lab.model import Block
from labrunner.run.going_back import BackPlan


async def test_a_step_is_started_over_after_asking_and_that_is_undone() -> None:
    engine = ScriptedEngine(make_lab())
    engine.plan = BackPlan("ca", True, ("ca", "gateway"))
    async with running(lab=engine.lab, engine=engine) as stage:
        await stage.press("c")
        await stage.shows("Step passed")
        await stage.press("b")
        await stage.shows("Start over?")
        await stage.shows("The sandbox, your files and the shell go back")
        assert "2 An HTTPS Gateway" in stage.text()
        await stage.press("n")
        assert ("go_back", "ca") not in engine.calls
        await stage.press("b")
        await stage.shows("Start over?")
        await stage.press("y")
        await stage.until(lambda: stage.lab.view.steps["ca"].state == "todo")
        await stage.until(lambda: "Step passed" not in stage.text())
        assert ("go_back", "ca") in engine.calls
        await stage.press("U")
        await stage.until(lambda: ("undo",) in engine.calls)


async def test_on_a_live_cluster_what_is_deleted_is_said_first() -> None:
    engine = ScriptedEngine(make_lab())
    engine.plan = BackPlan("ca", False, ("ca",), (Block("clean", "kubectl delete gateway apim"),))
    async with running(lab=engine.lab, engine=engine) as stage:
        await stage.press("b")
        await stage.shows("A live cluster keeps no")
        await stage.shows("kubectl delete gateway apim")
        assert "U undoes" not in stage.text()


async def test_a_step_never_begun_is_jumped_to_instead() -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine) as stage:
        await stage.press("n", "n")
        await stage.press("b")
        await stage.shows("You have not begun this step")
        assert not [call for call in engine.calls if call[0] == "go_back"]
        await stage.press("J")
        await stage.shows("Jump here?")
        await stage.shows("kubectl apply -f solution/gateway.yaml")
        await stage.press("y")
        await stage.until(lambda: ("jump_to", "quiz") in engine.calls)
        await stage.until(lambda: stage.lab.view.steps["gateway"].state == "passed")


async def test_nothing_goes_back_while_a_command_runs() -> None:
    engine = ScriptedEngine(make_lab())
    engine.plan = BackPlan("ca", True, ("ca",))
    async with running(lab=engine.lab, engine=engine) as stage:
        engine.hold.clear()
        await stage.press("r")
        await stage.until(lambda: stage.lab.command_running)
        await stage.press("b")
        await stage.shows("A command is running")
        assert "Start over?" not in stage.text()
        engine.hold.set()
