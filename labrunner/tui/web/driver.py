"""Textual's web driver, made to leave in order: when the page or the server goes, the session is closed first."""

from __future__ import annotations

import contextlib
import os
import threading
from functools import partial
from typing import TYPE_CHECKING

from textual.drivers.web_driver import WebDriver

if TYPE_CHECKING:
    from labrunner.tui.app import LabrunnerApp


class BrowserDriver(WebDriver):
    """The app is a `LabrunnerApp`."""

    def start_application_mode(self) -> None:
        self._write = partial(self._write_all)
        super().start_application_mode()

    def _write_all(self, data: bytes) -> int:
        """All of it, or nothing when the server is gone."""
        rest = memoryview(data)
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(self.fileno, rest) :]
        return len(data)

    def on_meta(self, packet_type: str, payload: dict[str, object]) -> None:
        if packet_type == "quit":
            self._leave()
        else:
            super().on_meta(packet_type, payload)

    def run_input_thread(self) -> None:
        super().run_input_thread()
        if not self.exit_event.is_set():
            self._leave()  # the server ended

    def _leave(self) -> None:
        app: LabrunnerApp = self._app  # type: ignore[assignment]
        if app._loop is not None and threading.current_thread() is not threading.main_thread():
            with contextlib.suppress(RuntimeError):
                app._loop.call_soon_threadsafe(app.told_to_stop)
