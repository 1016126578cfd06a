"""The tour: proven as a lab, walked with keys on the real screen with the real shell, and gone afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from scripted_lab import ScriptedEngine, make_lab
from stage import Stage, running

from labrunner import paths
from labrunner.cli import run
from labrunner.errors import ExitCode
from labrunner.run.proofs import ProofStatus
from labrunner.run.validation import LabValidation
from labrunner.target.shell_only import ShellOnly
from labrunner.tui import memory
from labrunner.tui.actions import actions, show_key
from labrunner.tui.app import LabrunnerApp
from labrunner.tui.installed_library import InstalledLibrary
from labrunner.tui.library import Entry
from labrunner.tui.screens.catalogue import CatalogueScreen
from labrunner.tui.screens.summary import SummaryScreen
from labrunner.tui.settings.model import Settings
from labrunner.tui.tour import FOLDER, tour_lab


def built_in(action_id: str) -> str:
    return show_key(actions()[action_id].keys[0])


@asynccontextmanager
async def touring(size: tuple[int, int] = (120, 36), settings: Settings | None = None) -> AsyncIterator[Stage]:
    app = LabrunnerApp(InstalledLibrary(), frozen=True, tour=True, settings=settings)
    async with app.run_test(size=size, notifications=True) as pilot:
        stage = Stage(app, pilot, ScriptedEngine(make_lab()), None)  # type: ignore[arg-type]
        await stage.until(lambda: app.lab_screen is not None and stage.lab.phase == "ready", 60)
        yield stage
        stage.lab.close_engine("quit") if app.lab_screen else None


def test_it_is_a_lab_without_mistakes_and_proven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--strict", str(FOLDER)]) == ExitCode.OK
    report = LabValidation(tour_lab(built_in), ShellOnly(), directory=tmp_path).run()
    assert report.proofs
    assert not [proof for proof in report.proofs if proof.status is not ProofStatus.PASSED]


def test_it_is_no_lab_of_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(entry.id != "tour" for entry in InstalledLibrary().entries())
    run(["list"])
    assert "tour" not in capsys.readouterr().out.split()


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_two_minutes_with_keys_only(size: tuple[int, int]) -> None:
    async with touring(size) as stage:
        await stage.press("r")
        await stage.until(lambda: stage.lab.view.steps["run"].state == "passed", 30)
        await stage.press("n", "r")
        await stage.until(lambda: stage.lab.view.steps["mend"].results["green"].status == "failed", 30)
        await stage.press("3")
        await stage.shows("expected")
        await stage.shows("blue")
        await stage.press("h")
        await stage.until(lambda: stage.lab.view.steps["mend"].hints)
        await stage.press("f6", *"echo colour: green > paint.yaml", "enter")
        await stage.until(lambda: stage.lab.view.steps["mend"].state == "passed", 30)
        await stage.press("f6", "n")
        await stage.until(lambda: stage.lab.shown == "way")
        await stage.press("tab", "enter")
        await stage.until(lambda: stage.lab.view.steps["way"].state == "passed", 30)
        await stage.press("n")
        await stage.until(lambda: isinstance(stage.app.screen, SummaryScreen))
        await stage.shows("You did it all")
        directory = stage.lab.engine.workdir.parent
        assert directory.is_dir()
        await stage.press("l")
        await stage.until(lambda: isinstance(stage.app.screen, CatalogueScreen), 30)
        assert not directory.exists()
    assert list((paths.state_dir() / "tour").iterdir()) == []
    assert not (paths.state_dir() / "sessions").exists()


async def test_its_texts_name_the_keys_that_are_set() -> None:
    async with touring(settings=Settings(keymap={"lab.run": ("f8",), "lab.next": ("f9",)})) as stage:
        assert "Press F8, or click it" in stage.text()
        await stage.press("f8")
        await stage.until(lambda: stage.lab.view.steps["run"].state == "passed", 30)


async def test_it_is_offered_to_who_is_new_and_not_again() -> None:
    from scripted_lab import ScriptedLibrary

    fresh = ScriptedLibrary(Entry("a-lab", make_lab("a-lab", "A lab")))
    async with running(library=fresh) as stage:
        await stage.shows("New here? t takes the two-minute tour")
        await stage.press("enter")
        await stage.until(lambda: stage.app.lab_screen is not None)
        await stage.until(lambda: stage.lab.phase == "ready")
        await stage.press("l")
        await stage.until(lambda: isinstance(stage.app.screen, CatalogueScreen))
        await stage.until(lambda: "New here?" not in stage.text())
    assert memory.recall("tour") == "seen"
    async with running(library=fresh) as stage:
        await stage.shows("A lab")
        assert "New here?" not in stage.text()


@pytest.mark.parametrize("how", ["key", "click", "palette"])
async def test_the_catalogue_opens_it(how: str) -> None:
    from scripted_lab import ScriptedLibrary

    fresh = ScriptedLibrary(Entry("a-lab", make_lab("a-lab", "A lab")))
    async with running(library=fresh) as stage:
        await stage.shows("New here?")
        if how == "key":
            await stage.press("t")
        elif how == "click":
            await stage.pilot.click("#offer")
        else:
            await stage.press("ctrl+p", *"tour")
            await stage.shows("Tour (t)")
            await stage.press("enter")
        await stage.until(lambda: fresh.opened and fresh.opened[0][0] == "tour")
        assert fresh.opened[0][1].target == "shell"


def test_without_a_terminal_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tour"]) == ExitCode.ENVIRONMENT
    assert "needs a terminal" in capsys.readouterr().err
