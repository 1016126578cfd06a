"""Another labrunner has this session open: take it over, look on, or leave it."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from labrunner.run.lock import SessionHeld


class BusyScreen(ModalScreen[str]):
    """Dismisses with `take-over`, `look-on` or the empty string."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "answer('take-over')", "Take over", id="busy.take-over", tooltip="End it there, go on here"),
        Binding("l", "answer('look-on')", "Look on", id="busy.look-on", tooltip="Watch, without running anything"),
        Binding("c,escape", "answer('')", "Cancel", id="busy.cancel", tooltip="Back to the catalogue"),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self, held: SessionHeld) -> None:
        super().__init__()
        self._held = held

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog -danger", can_focus=False) as dialog:
            dialog.border_title = "This lab is open elsewhere"
            yield Static(Content(f"{self._held.message[:1].upper()}{self._held.message[1:]}."))
            yield Static(
                Content("\nTake over: it ends there, and you go on here.\nLook on: you see what happens there."),
            )
            with Horizontal(classes="buttons"):
                yield Button("Cancel (c)", id="cancel", compact=True)
                yield Button("Look on (l)", id="look-on", compact=True)
                yield Button("Take over (t)", id="take-over", variant="warning", compact=True)

    def on_mount(self) -> None:
        self.query_one("#cancel").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss("" if event.button.id == "cancel" else str(event.button.id))

    def action_answer(self, answer: str) -> None:
        self.dismiss(answer)
