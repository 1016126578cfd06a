"""Runs the real screens on a scripted engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from scripted_lab import ScriptedEngine, ScriptedLibrary, make_lab, make_library
from textual.pilot import Pilot

from labrunner.lab.model import Lab
from labrunner.report.session_report import write_report
from labrunner.tui.app import LabrunnerApp
from labrunner.tui.library import Options
from labrunner.tui.screens.lab import LabScreen
from labrunner.tui.settings.model import Settings
from labrunner.tui.symbols import UNICODE, Symbols


@dataclass
class Stage:
    """A running app and what is behind it."""

    app: LabrunnerApp
    pilot: Pilot[int]
    engine: ScriptedEngine
    library: ScriptedLibrary

    @property
    def lab(self) -> LabScreen:
        screen = self.app.lab_screen
        assert isinstance(screen, LabScreen), self.app.screen_stack
        return screen

    async def until(self, holds: Callable[[], object], seconds: float = 5.0) -> None:
        """Wait for a condition; a failure shows what is on the screen."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"never held; on the screen:\n{self.text()}")
            await self.pilot.pause()
            await asyncio.sleep(0.01)
        await self.pilot.pause()

    def text(self) -> str:
        """What the screen shows, as text."""
        _, height = self.app.size
        lines = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines[:height])

    async def shows(self, text: str, seconds: float = 5.0) -> None:
        await self.until(lambda: text in self.text(), seconds)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)


@asynccontextmanager
async def running(
    *,
    lab: Lab | None = None,
    engine: ScriptedEngine | None = None,
    library: ScriptedLibrary | None = None,
    size: tuple[int, int] = (120, 36),
    options: Options | None = None,
    symbols: Symbols = UNICODE,
    ready: bool = True,
    settings: Settings | None = None,
) -> AsyncIterator[Stage]:
    """The lab screen, ready for work; `lab=None` with a library: the catalogue."""
    engine = engine or ScriptedEngine(lab or make_lab())
    library = library or make_library(engine)
    app = LabrunnerApp(
        library, lab=lab, options=options, symbols=symbols, frozen=True, export=write_report, settings=settings
    )
    async with app.run_test(size=size, notifications=True) as pilot:
        stage = Stage(app, pilot, engine, library)
        if lab is not None and ready:
            await stage.until(lambda: stage.lab.phase == "ready")
        yield stage
