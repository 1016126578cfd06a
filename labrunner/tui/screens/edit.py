"""A text to change: a block's command before it runs, or the learner's note on a step."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, TextArea


class EditScreen(ModalScreen[str | None]):
    """Dismisses with the text, or None. `yes`: what Ctrl+R does with it. `empty`: it may be."""

    CSS_PATH = "edit.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r,f5", "run", "Take it", id="edit.run", tooltip="Take the text as it is", priority=True),
        Binding("escape", "cancel", "Leave it", id="edit.cancel", tooltip="Back without running", priority=True),
    ]

    def __init__(self, title: str, command: str, *, yes: str = "Run it", empty: bool = False) -> None:
        super().__init__()
        self._yes, self._empty = yes, empty
        self._title, self._command = title, command.rstrip("\n")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -edit") as dialog:
            dialog.border_title = self._title
            dialog.border_subtitle = f"Ctrl+R {self._yes.lower()}   Esc leave it"
            area = TextArea(self._command, language=None, soft_wrap=True, tab_behavior="focus", id="command")
            yield area
            with Horizontal(classes="buttons"):
                yield Button("Leave it (Esc)", id="no", compact=True)
                yield Button(f"{self._yes} (Ctrl+R)", id="yes", variant="warning", compact=True)

    def on_mount(self) -> None:
        area = self.query_one(TextArea)
        area.focus()
        area.cursor_location = area.document.end

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self.action_run()
        else:
            self.action_cancel()

    def action_run(self) -> None:
        text = self.query_one(TextArea).text
        self.dismiss(text if text.strip() or self._empty else None)

    def action_cancel(self) -> None:
        self.dismiss(None)
