"""Looking back in the shell: search, selection and copying with the keyboard; and whose a key is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from scripted_lab import make_lab
from stage import Stage, running
from textual import events

from labrunner.tui.terminal.look_back import LookBack, Position, Span


class Text:
    """Lines that may be looked back at; the first are forgotten already."""

    def __init__(self, *lines: str, first: int = 0) -> None:
        self.lines = list(lines)
        self.first = first

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1

    def texts(self, first: int, last: int) -> Sequence[str]:
        return self.lines[first - self.first : last - self.first + 1]


def press(look: LookBack, *keys: str) -> list[str]:
    return [look.key(key, key if len(key) == 1 else None) for key in keys]


POEM = ("one Error here", "two", "three error, error", "日本 four", "five")


def at_the_end(*lines: str, first: int = 0) -> LookBack:
    text = Text(*lines, first=first)
    return LookBack(text, 3, Position(text.last, 0))


def test_a_search_goes_to_the_newest_match_and_older_and_newer_ones_from_there() -> None:
    look = at_the_end(*POEM, first=100)
    press(look, "/", *"error")
    assert look.note == "search: error   3 of 3" and look.cursor == (102, 13)
    press(look, "enter", "n")
    assert look.note == "search: error   2 of 3" and look.cursor == (102, 6)
    press(look, "n")
    assert look.cursor == (100, 4)
    press(look, "n")
    assert look.cursor == (102, 13)  # around
    press(look, "N")
    assert look.cursor == (100, 4)
    press(look, "N")
    assert look.cursor == (102, 6)


def test_capitals_matter_only_when_there_are_some() -> None:
    look = at_the_end(*POEM)
    press(look, "/", *"Error")
    assert look.note == "search: Error   1 of 1"


def test_what_is_not_there_is_said_and_escape_returns_to_where_the_search_began() -> None:
    look = at_the_end(*POEM)
    press(look, "/", *"two", "x")
    assert look.note == "search: twox   not found" and look.cursor == (4, 0)
    press(look, "backspace")
    assert look.cursor == (1, 0)
    press(look, "escape")
    assert look.cursor == (4, 0) and look.note == "" and press(look, "q") == ["leave"]


def test_matches_and_cursor_are_marked_by_cells() -> None:
    look = at_the_end("日本 four four")
    press(look, "/", *"four")
    assert look.spans(0) == [Span(5, 9, "match"), Span(10, 14, "found"), Span(10, 11, "cursor")]


def test_a_selection_may_end_within_lines_or_take_whole_ones() -> None:
    look = at_the_end(*POEM)
    press(look, "g", *"llll", "v", "j", "j", "$")
    assert look.selected() == "Error here\ntwo\nthree error, error"
    press(look, "escape")
    assert not look.selecting
    press(look, "G", "k", "V")
    assert look.selected() == "日本 four"
    press(look, "escape", "0", "shift+right", "shift+right", "shift+right")
    assert look.selected() == "日本"
    assert press(look, "y") == ["copy"]


@pytest.mark.parametrize("key", ["up", "pageup", "left", "k", "ctrl+b", "h", "home", "g"])
def test_no_key_leads_out_of_the_text(key: str) -> None:
    look = at_the_end("only")
    press(look, *[key] * 5)
    assert look.cursor == (0, 0)


def test_the_cursor_stays_on_the_screen() -> None:
    look = at_the_end(*(f"line {number}" for number in range(50)))
    assert look.top(47) == 47
    press(look, "g")
    assert look.top(47) == 0
    press(look, "pagedown", "pagedown")
    assert look.top(0) == 2


# -- in the shell pane


async def shell(stage: Stage) -> None:
    await stage.press("f6")
    await stage.until(lambda: stage.app.focused is stage.lab.shell)


def below(stage: Stage) -> str:
    return str(stage.lab.query_one("#shell-box").border_subtitle)


async def test_the_scrollback_is_searched_and_a_line_copied() -> None:
    async with running(lab=make_lab()) as stage:
        await shell(stage)
        stage.engine.print("".join(f"pod-{number} Running\n" for number in range(3000)))
        stage.engine.print("\x1b[31mpod-x CrashLoopBackOff\x1b[0m\n" + "later\n" * 300)
        await stage.shows("later")
        await stage.press("f7")
        await stage.until(lambda: "search" in below(stage))
        await stage.press("slash", *"crashloop")
        await stage.until(lambda: "1 of 1" in below(stage))
        await stage.shows("pod-x CrashLoopBackOff")
        stage.engine.print("more\n" * 50)  # what is looked at stays
        assert stage.lab.shell.wait_drained()
        await stage.shows("pod-x CrashLoopBackOff")
        await stage.press("enter", "0", "V", "y")
        await stage.until(lambda: stage.app.clipboard == "pod-x CrashLoopBackOff")
        await stage.shows("Copied.")
        await stage.shows("more")
        assert stage.engine.typed == "" and below(stage) == ""
        await stage.press("l", "s")
        await stage.until(lambda: stage.engine.typed == "ls")


async def test_every_match_of_ten_thousand_lines_is_counted_and_no_more_are_kept() -> None:
    async with running(lab=make_lab()) as stage:
        await shell(stage)
        for start in range(0, 12_000, 1000):
            stage.engine.print("".join(f"needle {number}\n" for number in range(start, start + 1000)))
            assert stage.lab.shell.wait_drained()
        assert stage.lab.shell.emulator.history_length == 10_000
        await stage.press("f7", "slash", *"needle 11")
        await stage.until(lambda: "of 1000" in below(stage))
        await stage.press("f7")
        await stage.until(lambda: below(stage) == "")


async def test_dragging_over_the_shell_copies_what_was_selected() -> None:
    async with running(lab=make_lab()) as stage:
        stage.engine.print("\x1b[2J\x1b[H日本 kubectl get pods\n")
        await stage.shows("kubectl get pods")
        terminal = stage.lab.shell
        await stage.pilot.mouse_down(terminal, offset=(5, 0))
        await stage.pilot.hover(terminal, offset=(12, 0))
        await stage.pilot.mouse_up(terminal, offset=(12, 0))
        await stage.until(lambda: "kubectl" in stage.app.clipboard)
        assert stage.app.clipboard.strip() == "kubectl"
        await stage.shows("Copied.")


# -- keys typed in the very instant of a change of panes


def burst(stage: Stage, *keys: str) -> None:
    """As a terminal sends what was typed faster than we read."""
    for key in keys:
        stage.app.post_message(events.Key(key, key if len(key) == 1 else {"enter": "\r"}.get(key)))


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
@pytest.mark.parametrize("key", ["4", "f6"])
async def test_keys_typed_with_the_key_to_the_shell_are_the_shells(key: str, size: tuple[int, int]) -> None:
    async with running(lab=make_lab(), size=size) as stage:
        before = list(stage.engine.calls)
        burst(stage, key, *"rRcxh4", "enter")
        await stage.until(lambda: stage.engine.typed == "rRcxh4\r")
        assert [call for call in stage.engine.calls if call not in before and call[0] != "resize"] == []
        assert stage.app.focused is stage.lab.shell


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
@pytest.mark.parametrize("key", ["f6", "ctrl+right_square_bracket"])
async def test_keys_typed_with_the_key_back_are_the_labs(key: str, size: tuple[int, int]) -> None:
    async with running(lab=make_lab(), size=size) as stage:
        await shell(stage)
        burst(stage, "a", key, "c")
        await stage.until(lambda: ("check", "ca") in stage.engine.calls)
        assert stage.engine.typed == "a"


async def test_a_digit_of_an_answer_is_no_shortcut() -> None:
    from textual.widgets import Input

    async with running(lab=make_lab()) as stage:
        field = Input()
        await stage.lab.instructions.mount(field)
        field.focus()
        await stage.until(lambda: stage.app.focused is field)
        await stage.press("4", "2")
        await stage.until(lambda: field.value == "42")


async def test_the_shell_keeps_the_keys_through_every_size_of_the_terminal() -> None:
    async with running(lab=make_lab()) as stage:
        await shell(stage)
        for size in ((30, 5), (80, 24), (160, 48), (59, 15), (100, 18), (120, 36)):
            await stage.pilot.resize_terminal(*size)
            await stage.pilot.pause()
        await stage.press("l", "s")
        await stage.until(lambda: stage.engine.typed == "ls")
        assert stage.lab.pane == "shell"
