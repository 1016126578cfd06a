"""What a block printed when it last ran: kept with the session, however far the shell has scrolled since."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.highlight import highlight
from textual.screen import ModalScreen
from textual.widgets import Static


class OutputScreen(ModalScreen[None]):
    """Scrolls; `y` copies the output."""

    CSS_PATH = "output.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,o,q,enter", "dismiss", "Close", id="output.close", tooltip="Back to the lab"),
        Binding("y", "copy", "Copy", id="output.copy", tooltip="Copy the output"),
    ]

    def __init__(self, title: str, command: str, note: Content, output: str) -> None:
        super().__init__()
        self._title, self._command, self._note, self._output = title, command, note, output

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog -output") as dialog:
            dialog.border_title = self._title
            dialog.border_subtitle = "y copies it   Esc closes"
            yield Static(highlight(self._command.rstrip(), language="bash"), classes="code")
            yield Static(self._note)
            yield Static(Content(self._output.rstrip() or "It printed nothing."), id="output")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self._output)
        self.notify("The output was copied.")
