"""Every key of the screen below, what the symbols mean, and how the shell works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from labrunner.tui.symbols import Symbols


class HelpScreen(ModalScreen[None]):
    """Any of the keys that opened it closes it."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "Close", id="help.close", tooltip="Close this help"),
    ]

    def __init__(self, keys: Sequence[tuple[str, str, str]], symbols: Symbols) -> None:
        """`keys`: (key, name, what it does)."""
        super().__init__()
        self._keys = keys
        self._symbols = symbols

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "Help"
            dialog.border_subtitle = "Esc closes"
            yield Static(Content.styled("Keys", "bold $accent"))
            yield Static(self._key_table())
            yield Static(Content.styled("\nSymbols", "bold $accent"))
            yield Static(self._symbol_table())
            yield Static(Content.styled("\nChecks", "bold $accent"))
            yield Static(
                Content(
                    "They look again by themselves when the cluster changes, after each command, and twice a minute; "
                    "a step turns passed without a key. c asks them at once and waits for what takes time; i stops the "
                    "waiting. A step that held and was broken since is marked, with the command that did it."
                )
            )
            yield Static(Content.styled("\nGoing back", "bold $accent"))
            yield Static(
                Content(
                    "Each step begins with a copy of the sandbox, your files and the shell. b puts them back to the "
                    "start of the step shown, U undoes that; go to an earlier step first to go back further. J on a "
                    "later step has the steps before it done for you. A live cluster keeps no copies; b says so."
                )
            )
            yield Static(Content.styled("\nThe shell", "bold $accent"))
            yield Static(
                Content(
                    "It is the bash in which the blocks run, so cd, export and history carry over. F6 goes there; in "
                    "it every key, Ctrl+C too, belongs to the shell. F6 again (or Ctrl+]) comes back. Shift+PageUp or "
                    "the wheel looks back, End returns. Drag to select, and copy with Ctrl+C outside the shell."
                )
            )

    def _key_table(self) -> Content:
        width = max((len(key) for key, _, _ in self._keys), default=1)
        names = max((len(name) for _, name, _ in self._keys), default=1)
        return Content("\n").join(
            Content.assemble((key.rjust(width), "bold $accent"), f"  {name.ljust(names)}", (f"  {text}", "$muted"))
            for key, name, text in self._keys
        )

    def _symbol_table(self) -> Content:
        symbols = self._symbols
        rows = (
            (symbols.passed, "$success", "passed"),
            (symbols.failed, "$error", "failed"),
            (symbols.regressed, "$warning", "held before, no longer does"),
            (symbols.error, "$warning", "could not be asked: says nothing about your work"),
            (symbols.skipped, "$muted", "skipped"),
            (symbols.running, "$accent", "running"),
            (symbols.current, "$accent", "where you are"),
        )
        return Content("\n").join(Content.assemble((mark, style), f"  {text}") for mark, style, text in rows)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
