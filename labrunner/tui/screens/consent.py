"""Before a lab from elsewhere runs: everything it can run, and one question."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.highlight import highlight
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from labrunner.lab.model import Lab
from labrunner.lab.trust import commands


class ConsentScreen(ModalScreen[bool]):
    """Dismisses with the decision; Escape refuses."""

    CSS_PATH = "consent.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Trust it", id="consent.yes", tooltip="Run this lab; asked again when it changes"),
        Binding("n,escape", "answer(False)", "Do not run", id="consent.no", tooltip="Back, nothing is run"),
    ]

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self._lab = lab

    def compose(self) -> ComposeResult:
        listed = commands(self._lab)
        with Vertical(classes="dialog -danger") as dialog:
            dialog.border_title = "Do you trust this lab?"
            yield Static(
                Content.from_markup(
                    "[bold]$title[/] comes from [bold]$place[/], not from labrunner. It runs these $number commands "
                    "as you, with your files. You are asked again when it changes.",
                    title=self._lab.title, place=str(self._lab.directory), number=str(len(listed)),
                )
            )  # fmt: skip
            with VerticalScroll(id="commands"):
                for where, command in listed:
                    yield Static(Content.styled(where, "$muted"), classes="where")
                    yield Static(highlight(command.rstrip(), language="bash"), classes="code")
            with Horizontal(classes="buttons"):
                yield Button("Do not run (n)", id="no", compact=True)
                yield Button("Trust and run (y)", id="yes", variant="warning", compact=True)

    def on_mount(self) -> None:
        self.query_one("#commands").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)
