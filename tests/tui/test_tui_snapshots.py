"""What the screens look like, at three sizes and in three themes. Renew with `pytest tests/tui --snapshot-update`."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from scripted_lab import ScriptedEngine, make_lab, make_library
from scripted_mesh import ScriptedMesh
from textual.pilot import Pilot

from labrunner import paths
from labrunner.check.result import Finding
from labrunner.errors import EnvironmentFault
from labrunner.run import events as ev
from labrunner.run.lock import Holder, SessionHeld
from labrunner.tui.app import LabrunnerApp
from labrunner.tui.library import Entry
from labrunner.tui.screens.lab import LabScreen
from labrunner.tui.settings.loader import load_settings
from labrunner.tui.symbols import ASCII, UNICODE, Symbols

SIZES = {"narrow": (80, 24), "medium": (120, 36), "wide": (160, 48)}
WRONG_MODE = Finding(
    "different",
    "The Gateway hands TLS through instead of ending it.",
    "SIMPLE",
    "PASSTHROUGH",
    "Gateway default/apim: spec.servers[0].tls.mode",
)

Compare = Callable[..., bool]
Before = Callable[[Pilot[int]], Awaitable[None]]


@pytest.fixture(autouse=True)
def one_time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def app(*, lab: bool = True, symbols: Symbols = UNICODE, theme: str = "night", mesh: bool = False) -> LabrunnerApp:
    engine = ScriptedEngine(make_lab())
    engine.mesh = ScriptedMesh() if mesh else None
    engine.failing["gateway-tls"] = WRONG_MODE
    made = LabrunnerApp(make_library(engine), lab=engine.lab if lab else None, symbols=symbols, frozen=True)
    made.theme = f"labrunner-{theme}"
    return made


def keys(*pressed: str, phase: str = "ready") -> Before:
    """Wait for the screen to settle, then press keys, settling after each."""

    async def before(pilot: Pilot[int]) -> None:
        deadline = time.monotonic() + 10
        screen = getattr(pilot.app, "lab_screen", None)
        while isinstance(screen, LabScreen) and screen.phase != phase and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for key in ("", *pressed):
            if key:
                await pilot.press(key)
            await settle(pilot)

    return before


async def settle(pilot: Pilot[int]) -> None:
    """Until no worker runs that will end, and the shell pane has painted what it was fed."""
    deadline = time.monotonic() + 10
    screen = getattr(pilot.app, "lab_screen", None)
    while time.monotonic() < deadline:
        await pilot.pause()
        await asyncio.sleep(0.06)
        ending = [
            w for w in pilot.app.workers if w.is_running and w.group not in ("ask", "failure", "summary", "trust")
        ]
        if not ending and (not isinstance(screen, LabScreen) or screen.shell.wait_drained(0)):
            break
    await asyncio.sleep(0.1)
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
def test_catalogue(snap_compare: Compare, size: str) -> None:
    assert snap_compare(app(lab=False), terminal_size=SIZES[size], run_before=keys())


@pytest.mark.parametrize("size", SIZES)
def test_lab(snap_compare: Compare, size: str) -> None:
    assert snap_compare(app(), terminal_size=SIZES[size], run_before=keys("r"))


@pytest.mark.parametrize("size", SIZES)
def test_failing_checks_and_a_hint(snap_compare: Compare, size: str) -> None:
    assert snap_compare(app(), terminal_size=SIZES[size], run_before=keys("n", "c", "h"))


@pytest.mark.parametrize("theme", ["day", "contrast"])
def test_themes(snap_compare: Compare, theme: str) -> None:
    assert snap_compare(app(theme=theme), terminal_size=SIZES["medium"], run_before=keys("r", "c"))


def test_ascii(snap_compare: Compare) -> None:
    assert snap_compare(app(symbols=ASCII), terminal_size=SIZES["medium"], run_before=keys("n", "c"))


def test_solution(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=SIZES["wide"], run_before=keys("s", "y"))


def test_quiz(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=SIZES["medium"], run_before=keys("n", "n"))


def test_summary(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=SIZES["medium"], run_before=keys("h", "c", "n", "x", "u"))


def test_help(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=SIZES["medium"], run_before=keys("question_mark"))


def test_confirm(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=SIZES["medium"], run_before=keys("s"))


def test_no_match(snap_compare: Compare) -> None:
    assert snap_compare(app(lab=False), terminal_size=SIZES["medium"], run_before=keys("slash", *"quantum", "down"))


def test_too_small(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=(50, 12), run_before=keys())


def test_consent(snap_compare: Compare) -> None:
    made = app()
    made._lab = dataclasses.replace(make_lab(), directory=Path("/home/ada/labs/apim-istio"))
    made.library.untrusted.add("apim-istio")  # type: ignore[attr-defined]
    assert snap_compare(made, terminal_size=SIZES["medium"], run_before=keys(phase="opening"))


def test_session_open_elsewhere(snap_compare: Compare) -> None:
    made = app()
    holder = Holder(4711, "desk", 0.0)
    held = SessionHeld(Path("/sessions"), holder)
    held.message = "this lab is already open (process 4711 on desk, since 09:30)"
    made.library.held = held  # type: ignore[attr-defined]
    assert snap_compare(made, terminal_size=SIZES["medium"], run_before=keys(phase="failed"))


def test_sandbox_did_not_start(snap_compare: Compare) -> None:
    made = app()
    fault = EnvironmentFault("port 6443 on 127.0.0.1 is taken", hint="End what uses it: ss -ltnp 'sport = :6443'")
    made.library.engine.errors["start"] = fault  # type: ignore[attr-defined]
    assert snap_compare(made, terminal_size=SIZES["medium"], run_before=keys(phase="failed"))


def said(*events: tuple[type[ev.Event], dict[str, object]], then: tuple[str, ...] = ()) -> Before:
    """Let the engine say something, then press keys."""

    async def before(pilot: Pilot[int]) -> None:
        await keys()(pilot)
        engine = pilot.app.library.engine  # type: ignore[attr-defined]
        for event, fields in events:
            engine._say(event, **fields)
        await settle(pilot)
        for key in then:
            await pilot.press(key)
            await settle(pilot)

    return before


GONE = "The cluster at https://127.0.0.1:6443 cannot be reached: connection refused. Is the cluster up?"
TROUBLE = (ev.CheckTroubled, {"step": "ca", "check": "ca-is-ca", "message": GONE})
CHECKING = (ev.CheckStarted, {"step": "ca", "check": "ca-is-ca"})
PASSED = (ev.StepStateChanged, {"step": "ca", "state": "passed"})
REGRESSED = (ev.StepStateChanged, {"step": "ca", "state": "regressed"})


@pytest.mark.parametrize("size", ["narrow", "medium"])
def test_unreachable_while_waiting(snap_compare: Compare, size: str) -> None:
    before = said(CHECKING, TROUBLE, then=("3",) if size == "narrow" else ())
    assert snap_compare(app(), terminal_size=SIZES[size], run_before=before)


def test_regressed(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=SIZES["medium"], run_before=said(PASSED, REGRESSED))


def test_passed_on_a_small_terminal(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=SIZES["narrow"], run_before=keys("c", "2"))


@pytest.mark.parametrize("theme", ["day", "contrast"])
def test_failing_in_other_themes(snap_compare: Compare, theme: str) -> None:
    assert snap_compare(app(theme=theme), terminal_size=SIZES["wide"], run_before=keys("n", "c", "h"))


@pytest.mark.parametrize(("pane", "key"), [("steps", "1"), ("shell", "4")])
def test_one_pane_on_a_small_terminal(snap_compare: Compare, pane: str, key: str) -> None:
    assert snap_compare(app(), terminal_size=SIZES["narrow"], run_before=keys("r", key))


def test_one_question_left(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=SIZES["narrow"], run_before=keys("n", "n", "1", "c"))


def test_help_searched(snap_compare: Compare) -> None:
    before = keys("question_mark", *"back")
    assert snap_compare(app(), terminal_size=SIZES["narrow"], run_before=before)


def test_edit_a_block(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=SIZES["medium"], run_before=keys("e"))


def test_output_of_a_block(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=SIZES["medium"], run_before=keys("r", "o"))


def test_done(snap_compare: Compare) -> None:
    steps = ("ca", "gateway", "quiz", "watch", "read")
    before = said(*((ev.StepStateChanged, {"step": step, "state": "passed"}) for step in steps), then=("u",))
    assert snap_compare(app(theme="day"), terminal_size=SIZES["narrow"], run_before=before)


def test_catalogue_of_who_is_new(snap_compare: Compare) -> None:
    made = app(lab=False)
    made.library.listed = [Entry("apim-istio", make_lab())]  # type: ignore[attr-defined]
    assert snap_compare(made, terminal_size=SIZES["narrow"], run_before=keys())


def test_catalogue_filtered(snap_compare: Compare) -> None:
    assert snap_compare(app(lab=False), terminal_size=SIZES["medium"], run_before=keys("v", "v", "v"))


def test_no_labs(snap_compare: Compare) -> None:
    made = app(lab=False)
    made.library.listed = ()  # type: ignore[attr-defined]
    assert snap_compare(made, terminal_size=SIZES["narrow"], run_before=keys())


def test_a_mistake_in_the_settings(snap_compare: Compare) -> None:
    file = paths.config_dir() / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("theem: day\nkeymap: {lab.check: h}\n")
    made = app(lab=False)
    made.settings = load_settings()
    assert snap_compare(made, terminal_size=SIZES["medium"], run_before=keys())


@pytest.mark.parametrize("size", SIZES)
def test_mesh_map(snap_compare: Compare, size: str) -> None:
    assert snap_compare(app(mesh=True), terminal_size=SIZES[size], run_before=keys("m", "down", "right"))


@pytest.mark.parametrize("theme", ["day", "contrast"])
def test_mesh_map_in_themes(snap_compare: Compare, theme: str) -> None:
    assert snap_compare(app(mesh=True, theme=theme), terminal_size=SIZES["wide"], run_before=keys("m", "down"))


def test_mesh_map_in_ascii(snap_compare: Compare) -> None:
    assert snap_compare(app(mesh=True, symbols=ASCII), terminal_size=SIZES["wide"], run_before=keys("m"))


@pytest.mark.parametrize("size", SIZES)
def test_mesh_matrix(snap_compare: Compare, size: str) -> None:
    pressed = keys("m", "x", "r", "down", "down", "right")
    assert snap_compare(app(mesh=True), terminal_size=SIZES[size], run_before=pressed)


@pytest.mark.parametrize("size", SIZES)
def test_mesh_trace(snap_compare: Compare, size: str) -> None:
    # The third caller is notify, and payment denies it.
    pressed = keys("m", "x", "r", "down", "down", "right", "t")
    assert snap_compare(app(mesh=True), terminal_size=SIZES[size], run_before=pressed)


@pytest.mark.parametrize("size", SIZES)
def test_mesh_composer(snap_compare: Compare, size: str) -> None:
    pressed = keys("m", "x", "r", "down", "down", "right", "a", "f5")
    assert snap_compare(app(mesh=True), terminal_size=SIZES[size], run_before=pressed)


def test_mesh_workload(snap_compare: Compare) -> None:
    assert snap_compare(app(mesh=True), terminal_size=SIZES["medium"], run_before=keys("m", "down", "enter"))
