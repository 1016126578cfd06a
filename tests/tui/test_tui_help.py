"""The help: all keys by place, the symbols, the ways out; searched by typing."""

from __future__ import annotations

import pytest
from scripted_lab import make_lab
from stage import Stage, running
from textual.widgets import Input

from labrunner.tui.actions import actions
from labrunner.tui.help_topics import topics
from labrunner.tui.screens.help import HelpScreen
from labrunner.tui.settings.model import Settings
from labrunner.tui.symbols import ASCII, UNICODE


async def open_help(stage: Stage) -> HelpScreen:
    await stage.press("question_mark")
    await stage.until(lambda: isinstance(stage.app.screen, HelpScreen))
    screen = stage.app.screen
    assert isinstance(screen, HelpScreen)
    return screen


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 48)])
async def test_it_begins_with_how_to_get_unstuck(size: tuple[int, int]) -> None:
    async with running(lab=make_lab(), size=size) as stage:
        await open_help(stage)
        await stage.shows("Stuck?")
        assert "type to search" in stage.text()
        assert "stops a command that hangs" in stage.text()


async def test_typing_searches_keys_symbols_and_texts() -> None:
    async with running(lab=make_lab()) as stage:
        await open_help(stage)
        await stage.press(*"undo")
        await stage.shows("Undo the last restart or jump")
        assert "Stuck?" not in stage.text()
        await stage.press("escape")
        await stage.shows("Stuck?")
        await stage.press(*"could not be asked")
        await stage.shows("says nothing about your work")
        await stage.press("escape", *"xyzzy")
        await stage.shows("Nothing here is about “xyzzy”")


@pytest.mark.parametrize("how", ["escape", "question_mark", "enter"])
async def test_the_keys_that_close_it(how: str) -> None:
    async with running(lab=make_lab()) as stage:
        screen = await open_help(stage)
        await stage.press(how)
        await stage.until(lambda: stage.app.screen is not screen)


async def test_escape_clears_the_search_before_it_closes() -> None:
    async with running(lab=make_lab()) as stage:
        screen = await open_help(stage)
        await stage.press(*"hint", "escape")
        await stage.until(lambda: not screen.query_one(Input).value)
        assert stage.app.screen is screen
        await stage.press("escape")
        await stage.until(lambda: stage.app.screen is not screen)


async def test_it_scrolls_by_key_and_wheel_to_its_end() -> None:
    async with running(lab=make_lab(), size=(80, 24)) as stage:
        screen = await open_help(stage)
        body = screen.query_one("#topics")
        await stage.press("pagedown", "down")
        await stage.until(lambda: body.scroll_y == 11)
        await stage.press("up")
        await stage.until(lambda: body.scroll_y == 10)
        await stage.press(*["pagedown"] * 30)
        await stage.shows("docs/configuration.md")


def test_every_action_is_in_it_with_the_key_it_has() -> None:
    settings = Settings(keymap={"lab.check": ("f9",)})

    def keys_of(action_id: str) -> tuple[str, ...]:
        return settings.keymap.get(action_id) or actions()[action_id].keys

    found = topics(keys_of, UNICODE, here="lab", settings_file="~/config.yaml")
    rows = {
        (entry.name, entry.text): entry for topic in found if topic.title.startswith("Keys") for entry in topic.entries
    }
    assert len(rows) >= len({(action.name, action.purpose) for action in actions().values()})
    assert rows["Check", "Check this step"].mark == "F9"
    assert found[1].title == "Keys: in a lab"
    assert any(entry.mark == "F9" for entry in found[0].entries)


def test_symbols_are_those_on_the_screen() -> None:
    found = topics(lambda i: actions()[i].keys, ASCII, here="lab", settings_file="x")
    marks = {entry.mark for topic in found if topic.title == "Symbols" for entry in topic.entries}
    assert ASCII.passed in marks and UNICODE.passed not in marks


async def test_in_the_catalogue_its_keys_come_first() -> None:
    async with running() as stage:
        await stage.shows("Your first pod")
        screen = await open_help(stage)
        assert screen._topics[1].title == "Keys: the list of labs"


async def test_the_palette_reaches_every_action_of_the_screen() -> None:
    async with running(lab=make_lab()) as stage:
        titles = {command.title.partition(" (")[0] for command in stage.app.get_system_commands(stage.lab)}
        wanted = {a.name for a in actions().values() if a.prefix in ("lab", "app") and a.id != "app.palette"}
        assert wanted <= titles
