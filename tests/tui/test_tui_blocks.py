"""Blocks as text: edited before running, copied, run again, their output kept."""

from __future__ import annotations

from scripted_lab import ScriptedEngine, make_lab
from stage import running
from textual.widgets import TextArea

from labrunner.run import events as ev
from labrunner.tui.screens.edit import EditScreen
from labrunner.tui.screens.output import OutputScreen


async def test_a_block_is_edited_and_runs_as_edited() -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine) as stage:
        said: list[ev.Event] = []
        engine.subscribe(said.append)
        await stage.press("e")
        await stage.until(lambda: isinstance(stage.app.screen, EditScreen))
        area = stage.app.screen.query_one(TextArea)
        assert area.text.startswith("openssl req")
        area.text = "echo mine"
        await stage.press("ctrl+r")
        await stage.shows("run as you edited it")
        started = next(event for event in said if isinstance(event, ev.BlockStarted))
        assert (started.block, started.command) == ("make-ca", "echo mine")
        assert "openssl req -x509" in stage.text()  # the lab's own text stays
        await stage.press("e")
        await stage.until(lambda: isinstance(stage.app.screen, EditScreen))
        await stage.press("escape")
        await stage.until(lambda: not isinstance(stage.app.screen, EditScreen))
        assert sum(isinstance(event, ev.BlockStarted) for event in said) == 1


async def test_what_was_edited_to_nothing_does_not_run() -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine) as stage:
        await stage.press("e")
        await stage.until(lambda: isinstance(stage.app.screen, EditScreen))
        stage.app.screen.query_one(TextArea).text = "  "
        await stage.press("ctrl+r")
        await stage.until(lambda: not isinstance(stage.app.screen, EditScreen))
        assert not [call for call in engine.calls if call[0] == "run_block"]


async def test_an_edited_block_that_asks_first_still_asks() -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine) as stage:
        await stage.press("n", "tab", "tab")
        await stage.press("e")
        await stage.until(lambda: isinstance(stage.app.screen, EditScreen))
        assert "kubectl delete" in stage.app.screen.query_one(TextArea).text
        await stage.press("ctrl+r")
        await stage.shows("requests fail until you apply it again")


async def test_a_command_and_its_output_are_copied_and_the_output_is_kept() -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine) as stage:
        await stage.press("y")
        await stage.until(lambda: stage.app.clipboard.startswith("openssl req"))
        await stage.press("r")
        await stage.shows("exit 0")
        engine.print("\x1b[2J\x1b[H")
        await stage.press("o")
        await stage.until(lambda: isinstance(stage.app.screen, OutputScreen))
        await stage.shows("configured")
        await stage.press("y")
        assert stage.app.clipboard == "configured\n"
        await stage.press("escape")
        await stage.until(lambda: not isinstance(stage.app.screen, OutputScreen))


async def test_a_focused_block_names_its_keys_and_runs_again() -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine, size=(160, 48)) as stage:
        await stage.press("tab")
        await stage.shows("e Edit")
        assert "y Copy" in stage.text() and "o Output" in stage.text()
        for times in (1, 2):
            await stage.press("r")
            await stage.until(lambda n=times: sum(call[0] == "run_block" for call in engine.calls) == n)
            await stage.until(lambda: not stage.lab.command_running)


async def test_every_line_of_wrapped_output_is_behind_the_bar() -> None:
    engine = ScriptedEngine(make_lab())
    engine.outcomes["make-ca"] = "unexpected-exit"
    async with running(lab=engine.lab, engine=engine, size=(80, 24)) as stage:
        step = engine.lab.steps[0]
        long = "error: " + "word " * 40 + "日本" * 30
        engine._say(ev.BlockStarted, step=step.id, block="make-ca", role="block", command="x")
        engine._say(
            ev.BlockFinished, step=step.id, block="make-ca", role="block", exit=1, outcome="unexpected-exit",
            output=long, cwd="/", seconds=0.1,
        )  # fmt: skip
        await stage.shows("日本")
        for size in ((80, 24), (100, 30), (80, 24)):
            await stage.pilot.resize_terminal(*size)
            await stage.pilot.pause()
            shown = [line for line in stage.text().splitlines() if "word" in line or "日本" in line]
            assert len(shown) >= 3 and all(line.startswith("│ ▌ │ ") for line in shown), stage.text()


async def test_running_the_rest_brings_each_block_into_view_and_says_what_became_of_it() -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine, size=(80, 24)) as stage:
        await stage.press("R")
        await stage.shows("2 blocks ran.")
        await stage.shows("openssl x509 -in certs/ca.crt")  # the last of them


async def test_running_the_rest_says_what_it_left_out() -> None:
    engine = ScriptedEngine(make_lab())
    engine.outcomes["make-ca"] = "unexpected-exit"
    async with running(lab=engine.lab, engine=engine, size=(80, 24)) as stage:
        await stage.press("R")
        await stage.shows("did not go well")
        assert ("run_block", "ca", "show-ca", "block") not in engine.calls


async def test_a_block_typed_by_hand_is_shown_as_run() -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine) as stage:
        typed = "openssl   x509 -in certs/ca.crt"
        engine._say(ev.BlockStarted, step="ca", block="show-ca", role="typed", command=typed)
        await stage.shows("running")
        engine._say(
            ev.BlockFinished, step="ca", block="show-ca", role="typed", exit=0, outcome="ok", output="", cwd="/",
            seconds=0.1,
        )  # fmt: skip
        await stage.shows("typed by hand")
        assert "run as you edited it" not in stage.text()
