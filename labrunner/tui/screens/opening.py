"""The first frame of `labrunner run`: up at once, while the lab's files are read."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from labrunner.tui.screens.base import SizedScreen
from labrunner.tui.widgets.header_bar import HeaderBar
from labrunner.tui.widgets.key_bar import KeyBar


class OpeningScreen(SizedScreen):
    """Only says what is going on; the app replaces it."""

    CSS_PATH = "opening.tcss"

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        yield HeaderBar()
        yield Static(f"opening {self._what}", id="opening", markup=False)
        yield self.too_small()
        yield KeyBar()
