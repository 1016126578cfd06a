"""Three columns, two, one pane with tabs; a terminal that is too small says so and recovers."""

from __future__ import annotations

import pytest
from scripted_lab import ScriptedEngine, make_lab
from stage import running

from labrunner.check.result import Finding
from labrunner.tui.plain_filter import PlainFilter
from labrunner.tui.symbols import ASCII
from labrunner.tui.terminal.widget import ShellTerminal
from labrunner.tui.widgets.checks_pane import ChecksPane


async def test_wide_shows_steps_text_checks_and_shell_side_by_side() -> None:
    async with running(lab=make_lab(), size=(160, 48)) as stage:
        lab = stage.lab
        steps, text, shell = (lab.query_one(i).region for i in ("#steps-box", "#instructions", "#shell-box"))
        assert steps.right <= text.x and text.right <= shell.x
        assert steps.height == shell.height


async def test_medium_shows_all_four_in_two_columns() -> None:
    async with running(lab=make_lab(), size=(120, 36)) as stage:
        lab = stage.lab
        await stage.until(lambda: lab.query_one("#shell-box").region.height > 10)
        steps, text, shell, checks = (
            lab.query_one(i).region for i in ("#steps-box", "#instructions", "#shell-box", "#checks")
        )
        assert text.right <= steps.x == shell.x
        assert steps.bottom <= shell.y and text.bottom <= checks.y


async def test_narrow_reaches_every_pane_by_key_and_says_how_the_others_do() -> None:
    async with running(lab=make_lab(), size=(80, 24)) as stage:
        await stage.shows("1 Steps 0/5")
        await stage.shows("Every certificate")
        await stage.press("c")
        await stage.shows("3 Checks 2/2 ✔")
        await stage.shows("Step passed")
        await stage.press("1")
        await stage.shows("Who checks the certificate?")
        await stage.press("4")
        await stage.until(lambda: isinstance(stage.app.focused, ShellTerminal))
        await stage.shows("lab:~/apim-istio$")
        await stage.press("f6")
        await stage.shows("Every certificate")


async def test_narrow_tabs_can_be_clicked() -> None:
    async with running(lab=make_lab(), size=(80, 24)) as stage:
        await stage.pilot.click("#tabs", offset=(4, 0))
        await stage.until(lambda: stage.lab.pane == "steps")


async def test_narrow_shows_the_end_of_the_output_beside_the_block() -> None:
    async with running(lab=make_lab(), size=(80, 24)) as stage:
        await stage.press("r")
        await stage.shows("│ configured")


@pytest.mark.parametrize("size", [(59, 24), (80, 15), (20, 5)])
async def test_too_small_says_so_and_recovers(size: tuple[int, int]) -> None:
    async with running(lab=make_lab(), size=size) as stage:
        await stage.shows("too")
        await stage.shows("needs 60")
        await stage.pilot.resize_terminal(120, 36)
        await stage.shows("Every certificate")
        assert "needs 60" not in stage.text()
        await stage.pilot.resize_terminal(*size)
        await stage.shows("needs 60")


async def test_a_resize_storm_ends_in_the_right_layout_and_tells_the_shell() -> None:
    async with running(lab=make_lab(), size=(120, 36)) as stage:
        for width, height in [(160, 48), (80, 24), (61, 17), (30, 8), (200, 60), (80, 24), (140, 40), (120, 36)]:
            await stage.pilot.resize_terminal(width, height)
        shell = stage.lab.shell
        await stage.until(
            lambda: (
                (shell.emulator.rows, shell.emulator.columns)
                == shell.size.__class__(shell.size.height, shell.size.width)
            )
        )
        await stage.until(lambda: ("resize", shell.size.height, shell.size.width) == stage.engine.calls[-1])
        assert stage.lab.has_class("-medium")


async def test_without_utf8_everything_is_ascii() -> None:
    async with running(lab=make_lab(), size=(120, 36), symbols=ASCII) as stage:
        await stage.press("c")
        await stage.shows("v Step passed")
        assert stage.text().isascii(), stage.text()


async def test_what_textual_draws_by_itself_is_ascii_too() -> None:
    """Scrollbars, frames, the palette; and what the terminal cannot hold keeps its width."""
    engine = ScriptedEngine(make_lab())
    engine.failing["gateway-tls"] = Finding("different", "It hands TLS through. " * 60, "SIMPLE", "→ 日本", "x")
    async with running(lab=engine.lab, engine=engine, size=(120, 36), symbols=ASCII) as stage:
        stage.app._plain = PlainFilter("ascii")
        await stage.press("n", "c")
        await stage.shows("x Gateway apim terminates TLS")
        pane = stage.lab.query_one(ChecksPane)
        assert pane.show_vertical_scrollbar
        while pane.scroll_offset.y < pane.max_scroll_y:  # every shape of the scrollbar's ends
            assert stage.text().isascii(), stage.text()
            pane.scroll_relative(y=1, animate=False)
            await stage.pilot.pause()
        await stage.shows("? ????")
        await stage.press("ctrl+p")
        await stage.shows("Search for commands")
        assert stage.text().isascii(), stage.text()
