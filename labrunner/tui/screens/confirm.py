"""One question with a clear way out."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.highlight import highlight
from textual.screen import ModalScreen
from textual.widgets import Button, Static


class ConfirmScreen(ModalScreen[bool]):
    """Dismisses with the answer; Escape means no. `code`: the command in question."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", id="confirm.yes", tooltip="Go on"),
        Binding("n,escape", "answer(False)", "No", id="confirm.no", tooltip="Leave it"),
        Binding("left,right", "app.focus_next", "Other button", id="confirm.other", show=False),
    ]

    def __init__(self, title: str, question: str, *, yes: str = "Yes", no: str = "No", code: str = "") -> None:
        super().__init__()
        self._title, self._question, self._yes, self._no, self._code = title, question, yes, no, code

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog -danger", can_focus=False) as dialog:
            dialog.border_title = self._title
            yield Static(Content(self._question))
            if self._code:
                yield Static(highlight(self._code.rstrip(), language="bash"), classes="code")
            with Horizontal(classes="buttons"):
                yield Button(f"{self._no} (n)", id="no", compact=True)
                yield Button(f"{self._yes} (y)", id="yes", variant="warning", compact=True)

    def on_mount(self) -> None:
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)
