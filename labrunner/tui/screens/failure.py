"""Something outside the lab stands in the way: what, and the ways out."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static


class FailureScreen(ModalScreen[str]):
    """Dismisses with `retry`, `back` or `quit`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "answer('retry')", "Try again", id="failure.retry", tooltip="Do the same once more"),
        Binding("b,escape", "answer('back')", "Back", id="failure.back", tooltip="Back to where you were"),
        Binding("q", "answer('quit')", "Quit", id="failure.quit", tooltip="Leave labrunner"),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self, title: str, message: str, hint: str = "", *, can_retry: bool = True) -> None:
        super().__init__()
        self._title, self._message, self._hint, self._can_retry = title, message, hint, can_retry

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog -danger", can_focus=False) as dialog:
            dialog.border_title = self._title
            yield Static(Content(self._message))
            if self._hint:
                yield Static(Content.styled(f"\n{self._hint}", "$muted"))
            with Horizontal(classes="buttons"):
                yield Button("Quit (q)", id="quit", compact=True)
                yield Button("Back (b)", id="back", compact=True)
                if self._can_retry:
                    yield Button("Try again (r)", id="retry", variant="primary", compact=True)

    def on_mount(self) -> None:
        self.query("Button").last().focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._can_retry or parameters != ("retry",)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(str(event.button.id))

    def action_answer(self, answer: str) -> None:
        self.dismiss(answer)
