"""Every action of the lab screen, on a scripted engine."""

from __future__ import annotations

import pytest
from scripted_lab import ScriptedEngine, make_lab
from stage import Stage, running

from labrunner.check.result import CheckStatus, Finding
from labrunner.errors import EnvironmentFault
from labrunner.run import events as ev
from labrunner.tui.library import Options
from labrunner.tui.screens.confirm import ConfirmScreen
from labrunner.tui.screens.failure import FailureScreen
from labrunner.tui.screens.help import HelpScreen
from labrunner.tui.screens.summary import SummaryScreen
from labrunner.tui.terminal.widget import ShellTerminal
from labrunner.tui.widgets.block_card import BlockCard
from labrunner.tui.widgets.quiz_card import QuizCard

WRONG_MODE = Finding(
    "different",
    "The Gateway hands TLS through instead of ending it.",
    "SIMPLE",
    "PASSTHROUGH",
    "Gateway default/apim: spec.servers[0].tls.mode",
)


def ran(stage: Stage) -> list[str]:
    return [str(call[2]) for call in stage.engine.calls if call[0] == "run_block"]


async def test_instructions_show_before_the_sandbox_is_up() -> None:
    engine = ScriptedEngine(make_lab())
    engine.hold.clear()
    async with running(lab=engine.lab, engine=engine, ready=False) as stage:
        await stage.shows("Every certificate in this lab is signed")
        await stage.shows("starting")
        await stage.press("r")
        await stage.pilot.pause()
        assert ran(stage) == []
        engine.hold.set()
        await stage.until(lambda: stage.lab.phase == "ready")


async def test_run_runs_the_first_block_that_did_not_run_then_the_next() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.press("r")
        await stage.until(lambda: ran(stage) == ["make-ca"])
        await stage.shows("exit 0")
        await stage.until(lambda: not stage.lab.command_running)
        await stage.press("r")
        await stage.until(lambda: ran(stage) == ["make-ca", "show-ca"])


async def test_run_runs_the_focused_block_again() -> None:
    async with running(lab=make_lab()) as stage:
        card = stage.lab.query(BlockCard)[1]
        card.focus()
        await stage.press("r")
        await stage.until(lambda: ran(stage) == ["show-ca"])
        await stage.until(lambda: card.state.outcome == "ok")
        await stage.press("enter")
        await stage.until(lambda: ran(stage) == ["show-ca", "show-ca"])


async def test_a_click_on_a_block_runs_it() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.pilot.click(BlockCard)
        await stage.until(lambda: ran(stage) == ["make-ca"])


async def test_run_rest_stops_at_the_first_block_that_goes_wrong() -> None:
    async with running(lab=make_lab()) as stage:
        stage.engine.outcomes["make-ca"] = "unexpected-exit"
        await stage.press("R")
        await stage.shows("exit 1, expected 0")
        await stage.until(lambda: not stage.lab._busy("shell"))
        assert ran(stage) == ["make-ca"]
        stage.engine.outcomes.clear()
        await stage.press("R")
        await stage.until(lambda: ran(stage) == ["make-ca", "make-ca", "show-ca"])


async def test_a_dangerous_block_asks_and_no_means_no() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.press("n")
        stage.lab.query(BlockCard)[1].focus()
        await stage.press("r")
        await stage.until(lambda: isinstance(stage.app.screen, ConfirmScreen))
        await stage.shows("This deletes the Gateway")
        await stage.shows("kubectl delete gateway apim")
        await stage.press("escape")
        await stage.until(lambda: stage.app.screen is stage.lab)
        assert ran(stage) == []
        await stage.press("r")
        await stage.until(lambda: isinstance(stage.app.screen, ConfirmScreen))
        await stage.press("y")
        await stage.until(lambda: ran(stage) == ["delete-gateway"])


async def test_two_commands_never_run_at_once_and_one_can_be_stopped() -> None:
    async with running(lab=make_lab()) as stage:
        stage.engine.hold.clear()
        await stage.press("r")
        await stage.until(lambda: stage.lab.command_running)
        await stage.press("r")
        await stage.shows("A command is running")
        assert ran(stage) == ["make-ca"]
        await stage.press("i")
        await stage.until(lambda: ("interrupt",) in stage.engine.calls)


async def test_checks_say_expected_observed_and_where() -> None:
    async with running(lab=make_lab(), size=(160, 48)) as stage:
        stage.engine.failing["gateway-tls"] = WRONG_MODE
        await stage.press("n", "c")
        for text in (
            "✘ Gateway apim terminates TLS",
            "expected  SIMPLE",
            "observed  PASSTHROUGH",
            "spec.servers[0].tls.mode",
        ):
            await stage.shows(text)
        await stage.shows("✔ the certificate names api.contoso.example")
        await stage.shows("2/3")
        assert "Step passed" not in stage.text()


async def test_a_check_that_could_not_be_asked_says_so_and_is_no_failure_of_the_learner() -> None:
    async with running(lab=make_lab()) as stage:
        stage.engine.failing["ca-is-ca"] = CheckStatus.ERROR
        await stage.press("c")
        await stage.shows("(no answer)")
        await stage.shows("The cluster at 127.0.0.1:6443 does not answer.")


async def test_a_passed_step_is_shown_and_the_next_is_offered() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.press("c")
        await stage.shows("✔ Step passed")
        await stage.shows("n next: An HTTPS Gateway")
        await stage.shows("✔  1 A certificate authority")
        await stage.press("n")
        await stage.until(lambda: stage.lab.shown == "gateway")
        await stage.until(lambda: ("enter", "gateway") in stage.engine.calls)
        await stage.press("p")
        await stage.until(lambda: stage.lab.shown == "ca")


async def test_hints_come_one_at_a_time_and_then_the_solution_is_offered() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.shows("hint 1 of 2")
        await stage.press("h")
        await stage.shows("Hint 1 of 2")
        assert "Hint 2 of 2" not in stage.text()
        await stage.press("h")
        await stage.shows("Hint 2 of 2")
        await stage.shows("s shows the solution")


async def test_the_solution_is_shown_only_after_asking_and_can_be_run() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.press("s")
        await stage.until(lambda: isinstance(stage.app.screen, ConfirmScreen))
        await stage.shows("There are 2 hints you did not see yet")
        await stage.press("n")
        await stage.until(lambda: stage.app.screen is stage.lab)
        assert not stage.lab.view.steps["ca"].solution_shown
        await stage.press("s")
        await stage.until(lambda: isinstance(stage.app.screen, ConfirmScreen))
        await stage.press("y")
        await stage.shows("✦ Solution")
        await stage.press("S")
        await stage.until(lambda: ran(stage) == ["solve-ca"])


async def test_skip_marks_the_step_and_goes_on() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.press("x")
        await stage.until(lambda: stage.lab.shown == "gateway")
        await stage.until(lambda: stage.lab.view.steps["ca"].state == "skipped")
        await stage.shows("skipped")


async def test_a_step_is_chosen_from_the_list() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.press("1", "down", "down", "enter")
        await stage.until(lambda: stage.lab.shown == "quiz")


async def test_a_quiz_is_answered_and_judged() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.press("n", "n")
        await stage.until(lambda: stage.lab.shown == "quiz")
        stage.lab.query_one(QuizCard).query_one("OptionList").focus()
        await stage.press("down", "enter")
        await stage.until(lambda: ("answer", "quiz", "who", "2") in stage.engine.calls)
        await stage.shows("◉ the gateway's")
        await stage.press("escape", "c")
        await stage.shows("✔ right")


async def test_an_interactive_block_takes_the_learner_to_the_shell() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.press("n", "n", "n")
        await stage.until(lambda: stage.lab.shown == "watch")
        stage.lab.query(BlockCard)[1].focus()
        await stage.press("r")
        await stage.until(lambda: isinstance(stage.app.focused, ShellTerminal))
        await stage.until(lambda: ran(stage) == ["edit"])


async def test_every_key_in_the_shell_is_the_shells_until_f6() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.press("f6")
        await stage.until(lambda: isinstance(stage.app.focused, ShellTerminal))
        await stage.press("r", "c", "question_mark", "ctrl+c", "ctrl+q", "ctrl+p", "tab", "up", "escape", "f5")
        assert stage.engine.typed == "rc?\x03\x11\x10\t\x1b[A\x1b\x1b[15~"
        assert ran(stage) == []
        await stage.press("f6")
        await stage.until(lambda: not isinstance(stage.app.focused, ShellTerminal))
        await stage.press("r")
        await stage.until(lambda: ran(stage) == ["make-ca"])


async def test_the_summary_counts_attempts_hints_and_skips() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.press("h", "c")
        await stage.shows("Step passed")
        await stage.press("n", "x")
        await stage.until(lambda: stage.lab.shown == "quiz")
        await stage.press("u")
        await stage.until(lambda: isinstance(stage.app.screen, SummaryScreen))
        for text in ("1 of 5 steps passed", "1 attempt", "1 hint used", "1 step skipped", "You can make a CA"):
            await stage.shows(text)
        await stage.press("escape")
        await stage.until(lambda: stage.app.screen is stage.lab)


async def test_next_after_the_last_step_shows_the_summary() -> None:
    async with running(lab=make_lab()) as stage:
        for _ in range(5):
            await stage.press("n")
        await stage.until(lambda: isinstance(stage.app.screen, SummaryScreen))


async def test_help_lists_every_action_with_its_key() -> None:
    async with running(lab=make_lab(), size=(120, 60)) as stage:
        await stage.press("question_mark")
        await stage.until(lambda: isinstance(stage.app.screen, HelpScreen))
        text = stage.text()
        for name in (
            "Run",
            "Run rest",
            "Check",
            "Hint",
            "Solution",
            "Next",
            "Back",
            "Skip",
            "Shell",
            "Zoom",
            "Labs",
            "Quit",
        ):
            assert name in text
        await stage.press("escape")
        await stage.until(lambda: stage.app.screen is stage.lab)


async def test_the_palette_has_the_same_actions() -> None:
    async with running(lab=make_lab()) as stage:
        commands = {command.title for command in stage.app.get_system_commands(stage.lab)}
        for name in ("Run (r)", "Check (c)", "Hint (h)", "Solution (s)", "Skip (x)", "Summary (u)", "Quit (Ctrl+Q)"):
            assert name in commands
        assert any(title.startswith("Theme: ") for title in commands)
        await stage.press("ctrl+p")
        await stage.until(lambda: stage.app.screen is not stage.lab)
        await stage.pilot.press(*"skip", "enter")
        await stage.until(lambda: stage.lab.view.steps["ca"].state == "skipped")


async def test_every_binding_has_an_id_a_description_and_a_tooltip() -> None:
    from labrunner.tui.app import LabrunnerApp
    from labrunner.tui.screens.catalogue import CatalogueScreen
    from labrunner.tui.screens.lab import LabScreen

    for owner in (LabrunnerApp, CatalogueScreen, LabScreen):
        for binding in owner.BINDINGS:
            assert binding.id and binding.description and binding.tooltip, (owner, binding)


async def test_a_key_can_be_given_to_another_action_by_id() -> None:
    async with running(lab=make_lab()) as stage:
        stage.app.set_keymap({"lab.check": "v"})
        await stage.press("v")
        await stage.shows("✔ Step passed")


async def test_resumes_at_the_step_and_state_where_the_learner_was() -> None:
    lab = make_lab()
    past = [
        ev.SessionStarted(at=1, lab=lab.id, lab_digest="d1", target="sandbox", resumed=False),
        ev.StepEntered(at=2, step="ca"),
        ev.StepStateChanged(at=3, step="ca", state="passed"),
        ev.StepEntered(at=4, step="gateway"),
        ev.BlockFinished(
            at=5, step="gateway", block="apply-gateway", role="block", exit=0, outcome="ok",
            output="", cwd="/", seconds=1,
        ),
        ev.HintShown(at=6, step="gateway", hint="#1", text="Look at the mode."),
    ]  # fmt: skip
    engine = ScriptedEngine(lab, past)
    async with running(lab=lab, engine=engine, size=(160, 48)) as stage:
        assert stage.lab.shown == "gateway"
        await stage.shows("✔  1 A certificate")
        await stage.shows("Hint 1 of 3")
        await stage.press("r")
        await stage.until(lambda: isinstance(stage.app.screen, ConfirmScreen))  # the first block ran before


async def test_at_names_the_step_to_start_with() -> None:
    async with running(lab=make_lab(), options=Options(at="quiz")) as stage:
        assert stage.lab.shown == "quiz"


async def test_a_sandbox_that_does_not_start_offers_ways_out() -> None:
    engine = ScriptedEngine(make_lab())
    engine.errors["start"] = EnvironmentFault("no port is free on 127.0.0.1", hint="end another sandbox")
    async with running(lab=engine.lab, engine=engine, ready=False) as stage:
        await stage.until(lambda: isinstance(stage.app.screen, FailureScreen))
        await stage.shows("no port is free on 127.0.0.1")
        await stage.shows("end another sandbox")
        engine.errors.clear()
        await stage.press("r")
        await stage.until(lambda: stage.lab.phase == "ready")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (EnvironmentFault("the sandbox went away", hint="start it again"), "start it again"),
        (OSError(28, "No space left on device", "/journal"), "No space left on device"),
        (RuntimeError("boom"), "The details are in"),
    ],
)
async def test_errors_of_workers_become_a_notice_with_a_way_out(error: BaseException, says: str) -> None:
    async with running(lab=make_lab()) as stage:
        stage.engine.errors["check"] = error
        await stage.press("c")
        await stage.shows(says)
        await stage.shows("That did not work")
        stage.engine.errors.clear()
        await stage.press("c")
        await stage.shows("Step passed")


async def test_a_shell_that_was_restarted_is_told() -> None:
    async with running(lab=make_lab()) as stage:
        stage.engine._say(ev.ShellRestarted, reason="bash ended (exit 1); your directory and variables are back")
        await stage.shows("The shell was restarted")


async def test_quitting_closes_the_engine() -> None:
    async with running(lab=make_lab()) as stage:
        await stage.press("ctrl+q")
        await stage.until(lambda: stage.engine.closed == "quit")
        assert stage.app.return_value == 0


async def test_quitting_asks_while_a_command_runs() -> None:
    async with running(lab=make_lab()) as stage:
        stage.engine.hold.clear()
        await stage.press("r")
        await stage.until(lambda: stage.lab.command_running)
        await stage.press("ctrl+q")
        await stage.until(lambda: isinstance(stage.app.screen, ConfirmScreen))
        await stage.press("n")
        await stage.until(lambda: stage.app.screen is stage.lab)
        assert stage.engine.closed == ""
        await stage.press("ctrl+q")
        await stage.until(lambda: isinstance(stage.app.screen, ConfirmScreen))
        await stage.press("y")
        await stage.until(lambda: stage.engine.closed == "quit")


async def test_back_to_the_catalogue_closes_the_session() -> None:
    from labrunner.tui.screens.catalogue import CatalogueScreen

    async with running(lab=make_lab()) as stage:
        await stage.press("l")
        await stage.until(lambda: isinstance(stage.app.screen, CatalogueScreen))
        assert stage.engine.closed == "quit"


async def test_zoom_shows_one_pane_alone_and_comes_back() -> None:
    async with running(lab=make_lab()) as stage:
        before = stage.lab.instructions.size
        await stage.press("z")
        await stage.until(lambda: stage.lab.instructions.size.width > before.width)
        await stage.press("z")
        await stage.until(lambda: stage.lab.instructions.size == before)


async def test_a_session_taken_over_elsewhere_says_so() -> None:
    async with running(lab=make_lab()) as stage:
        stage.engine._say(ev.SessionEnded, reason="taken-over")
        await stage.shows("Another labrunner took this session over")
        assert "Try again" not in stage.text()
        await stage.press("escape")
        await stage.until(lambda: stage.engine.closed == "quit")
