"""The catalogue: what it says of each lab, search, and the ways into a lab."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_lab import ScriptedEngine, make_lab, make_library
from stage import Stage, running

from labrunner.errors import UsageError
from labrunner.run.lock import Holder, SessionHeld
from labrunner.tui.screens.busy import BusyScreen
from labrunner.tui.screens.catalogue import CatalogueScreen
from labrunner.tui.screens.consent import ConsentScreen


async def test_lists_labs_with_level_time_tags_and_progress() -> None:
    async with running() as stage:
        for text in ("Your first pod", "5/5", "Publish an Istio mesh", "2/5", "beginner", "15 min", "#kubernetes"):
            await stage.shows(text)
        await stage.shows("first: Publish an Istio mesh")


async def test_offers_the_lab_that_was_begun() -> None:
    async with running() as stage:
        await stage.shows("2 of 5 steps")
        await stage.press("enter")
        await stage.until(lambda: stage.app.lab_screen is not None)
        assert stage.lab.lab.id == "apim-istio"


async def test_search_narrows_as_one_types_and_escape_shows_all() -> None:
    async with running() as stage:
        await stage.shows("Your first pod")
        await stage.press("slash", *"zero")
        await stage.until(lambda: "Your first pod" not in stage.text())
        await stage.shows("Zero-trust")
        await stage.shows("1 of 5")
        await stage.press("escape")
        await stage.shows("Your first pod")


async def test_search_finds_all_words_anywhere() -> None:
    async with running() as stage:
        await stage.shows("Your first pod")
        await stage.press("slash", *"tls adv")
        await stage.shows("Mutual TLS")
        await stage.until(lambda: "Zero-trust" not in stage.text() and "Your first pod" not in stage.text())


async def test_a_search_without_a_match_says_so_and_how_to_go_back() -> None:
    async with running() as stage:
        await stage.shows("Your first pod")
        await stage.press("slash", *"quantum")
        await stage.shows("No lab matches")
        await stage.shows("Esc shows all")


async def test_enter_in_the_search_opens_the_only_match() -> None:
    async with running() as stage:
        await stage.shows("Your first pod")
        await stage.press("slash", *"zero", "enter")
        await stage.until(lambda: stage.app.lab_screen is not None)
        assert stage.lab.lab.id == "zero-trust"


async def test_no_labs_at_all_says_what_a_lab_is() -> None:
    library = make_library()
    library.listed = ()
    async with running(library=library) as stage:
        await stage.shows("There are no labs yet")


async def test_labs_that_cannot_be_read_show_the_reason_and_can_be_read_again() -> None:
    library = make_library()
    library.fault = UsageError("'/x' in LABRUNNER_LABS is not a folder", hint="Correct LABRUNNER_LABS, or unset it.")
    async with running(library=library) as stage:
        await stage.shows("'/x' in LABRUNNER_LABS is not a folder")
        await stage.shows("Correct LABRUNNER_LABS")
        library.fault = None
        await stage.press("f5")
        await stage.shows("Your first pod")


async def test_a_broken_lab_is_listed_with_its_error_and_not_opened() -> None:
    async with running() as stage:
        await stage.shows("its files have errors")
        await stage.press("end", "enter")
        await stage.shows("unknown key `stepz`")
        assert stage.app.lab_screen is None


async def test_a_click_opens_a_lab() -> None:
    async with running() as stage:
        await stage.shows("Your first pod")
        await stage.pilot.click("#labs", offset=(10, 2))
        await stage.until(lambda: stage.app.lab_screen is not None)
        assert stage.lab.lab.id == "first-pod"


async def test_an_untrusted_lab_shows_what_it_runs_and_no_runs_nothing() -> None:
    import dataclasses

    lab = dataclasses.replace(make_lab(), directory=Path("/somewhere/else"))
    engine = ScriptedEngine(lab)
    library = make_library(engine)
    library.untrusted.add(lab.id)
    async with running(lab=lab, library=library, engine=engine, ready=False, size=(120, 60)) as stage:
        await stage.until(lambda: isinstance(stage.app.screen, ConsentScreen))
        await stage.shows("/somewhere/else")
        await stage.shows("openssl req -x509")
        await stage.press("n")
        await stage.until(lambda: isinstance(stage.app.screen, CatalogueScreen))
        assert library.opened == [] and engine.calls == []


async def test_consent_opens_the_lab() -> None:
    lab = make_lab()
    engine = ScriptedEngine(lab)
    library = make_library(engine)
    library.untrusted.add(lab.id)
    async with running(lab=lab, library=library, engine=engine, ready=False) as stage:
        await stage.until(lambda: isinstance(stage.app.screen, ConsentScreen))
        await stage.press("y")
        await stage.until(lambda: stage.lab.phase == "ready")
        assert library.untrusted == set()


def _held() -> SessionHeld:
    return SessionHeld(Path("/sessions/apim-istio"), Holder(4711, "desk", 0.0))


async def test_a_session_open_elsewhere_can_be_taken_over() -> None:
    lab = make_lab()
    library = make_library(ScriptedEngine(lab))
    library.held = _held()
    async with running(lab=lab, library=library, ready=False) as stage:
        await stage.until(lambda: isinstance(stage.app.screen, BusyScreen))
        await stage.shows("process 4711 on desk")
        await stage.press("t")
        await stage.until(lambda: stage.lab.phase == "ready")
        assert library.opened[-1][2:] == (True, False)


async def test_looking_on_runs_nothing() -> None:
    lab = make_lab()
    engine = ScriptedEngine(lab)
    library = make_library(engine)
    library.held = _held()
    async with running(lab=lab, library=library, engine=engine, ready=False) as stage:
        await stage.until(lambda: isinstance(stage.app.screen, BusyScreen))
        await stage.press("l")
        await stage.until(lambda: stage.lab.phase == "ready")
        await stage.shows("looking on")
        await stage.press("r", "c", "x")
        await stage.pilot.pause()
        assert not any(call[0] in ("run_block", "check", "skip", "enter") for call in engine.calls)


async def test_cancelling_goes_back_to_the_catalogue() -> None:
    lab = make_lab()
    library = make_library(ScriptedEngine(lab))
    library.held = _held()
    async with running(lab=lab, library=library, ready=False) as stage:
        await stage.until(lambda: isinstance(stage.app.screen, BusyScreen))
        await stage.press("escape")
        await stage.until(lambda: isinstance(stage.app.screen, CatalogueScreen))


async def test_quits() -> None:
    async with running() as stage:
        await stage.shows("Your first pod")
        await stage.press("ctrl+q")
        await stage.until(lambda: stage.app.return_value == 0)


async def test_filters_by_level_state_and_tag() -> None:
    async with running() as stage:
        await stage.shows("Your first pod")
        await stage.press("v")
        await stage.until(lambda: shown(stage) == ["first-pod"])
        await stage.press("v", "v")
        await stage.until(lambda: shown(stage) == ["mtls", "zero-trust"])
        assert "2 of 5" in stage.text()
        await stage.press("f", "f")
        await stage.shows("No lab matches advanced, begun")
        await stage.press("escape")
        await stage.until(lambda: len(shown(stage)) == 5)
        await stage.press("f", "f")
        await stage.until(lambda: shown(stage) == ["apim-istio"])
        await stage.press("f")
        await stage.until(lambda: shown(stage) == ["first-pod"])
        await stage.press("f", "slash", *"#tls", "down")
        await stage.until(lambda: shown(stage) == ["apim-istio", "mtls"])


async def test_a_filter_can_be_clicked() -> None:
    async with running() as stage:
        await stage.shows("every level")
        lines = stage.text().splitlines()
        row = next(y for y, line in enumerate(lines) if "every level" in line)
        await stage.pilot.click(offset=(lines[row].index("new, begun") + 1, row))
        await stage.until(lambda: shown(stage) == ["mtls", "zero-trust"])


async def test_escape_is_offered_only_when_it_has_something_to_clear() -> None:
    async with running(size=(80, 24)) as stage:
        await stage.shows("Your first pod")
        assert "All labs" not in stage.text() and "Ctrl+Q Quit" in stage.text()
        await stage.press("v")
        await stage.shows("Esc All labs")


@pytest.mark.parametrize("size", [(80, 24), (60, 16)])
async def test_what_a_lab_is_about_is_in_view_on_small_terminals(size: tuple[int, int]) -> None:
    async with running(size=size) as stage:
        await stage.until(lambda: shown(stage))
        await stage.press("home")
        await stage.shows("Your first pod")
        await stage.shows("Run, look at, and delete a pod.")


def shown(stage: Stage) -> list[str]:
    screen = stage.app.screen
    assert isinstance(screen, CatalogueScreen)
    return [entry.id for entry in screen._shown]
