"""What somebody sees who uses it for the first time on a small terminal: every next action is on the screen."""

from __future__ import annotations

import dataclasses

from scripted_lab import ScriptedEngine, make_lab
from stage import running

from labrunner.check.result import Finding
from labrunner.lab.model import Block, Lab, Part, Step
from labrunner.tui.widgets.quiz_card import QuizCard


def long_lab() -> Lab:
    """Blocks far below the first page."""
    text = "\n\n".join(f"Paragraph {number} says something." for number in range(30))
    lab = make_lab()
    blocks = (Block("far", "echo far", "Far below"),)
    step = Step("long", "A long text", f"{text}\n\n```run:far\n```\n", blocks, lab.steps[0].checks)
    return dataclasses.replace(lab, parts=(Part("p", "P", (step, *lab.steps[1:])),))


async def test_a_block_that_runs_comes_into_view() -> None:
    lab = long_lab()
    async with running(lab=lab, size=(80, 24)) as stage:
        assert "Far below" not in stage.text()
        await stage.press("r")
        await stage.shows("✔ exit 0")
        assert "Far below" in stage.text()


async def test_when_a_step_passes_the_line_of_tabs_says_what_goes_on() -> None:
    async with running(lab=make_lab(), size=(80, 24)) as stage:
        await stage.press("c")
        await stage.shows("Step passed")
        await stage.press("2")
        await stage.shows("✔ passed  n goes on")


async def test_a_question_says_how_it_is_answered_and_the_check_key_leads_to_it() -> None:
    async with running(lab=make_lab(), size=(80, 24)) as stage:
        await stage.press("n", "n")
        await stage.shows("Tab comes here; up and down, then Enter, choose. Or click.")
        await stage.press("1", "c")
        await stage.shows("One question is left")
        assert ("check", "quiz") not in stage.engine.calls
        quiz = stage.lab.query_one(QuizCard)
        await stage.until(lambda: stage.app.focused in list(quiz.query("OptionList")))
        await stage.press("down", "enter")
        await stage.until(lambda: ("answer", "quiz", "who", "2") in stage.engine.calls)


async def test_a_question_left_open_is_no_failed_check() -> None:
    lab = make_lab()
    engine = ScriptedEngine(lab)
    async with running(lab=lab, engine=engine, size=(80, 24)) as stage:
        await stage.press("c")
        await stage.shows("3 Checks 2/2 ✔")
        engine.failing["ca-key"] = Finding("different", "No.", "a", "b", "c")
        await stage.press("c")
        await stage.shows("✘")


async def test_the_summary_says_which_steps_were_left_open() -> None:
    async with running(lab=make_lab(), size=(120, 36)) as stage:
        await stage.press("c")
        await stage.shows("Step passed")
        await stage.press("n", "n")
        await stage.until(lambda: stage.lab.view.steps["quiz"].visited)
        await stage.press("u")
        await stage.shows("→ begun and still open: 2 An HTTPS Gateway")
        assert "3 Who checks the certificate?" in stage.text()
