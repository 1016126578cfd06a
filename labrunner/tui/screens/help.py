"""The help: a line to search with, and below it what matches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from labrunner.tui.help_topics import Entry, Topic

_NAMES = 14
"""Cells of the column in which actions are named."""


class SearchLine(Input):
    """While it is empty, the key that opened the help closes it."""

    async def _on_key(self, event: events.Key) -> None:
        if not self.value and event.character == "?":
            event.stop()
            event.prevent_default()
            self.screen.dismiss()
        else:
            await super()._on_key(event)


class HelpScreen(ModalScreen[None]):
    """Typing searches; Escape clears the search, then closes; so do `?` and Enter while nothing is typed."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="help.close", tooltip="Clear the search, then close this help"),
        Binding("up", "scroll(-1)", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("pagedown", "scroll(10)", show=False),
    ]

    def __init__(self, topics: Sequence[Topic], close_key: str = "Esc") -> None:
        super().__init__()
        self._topics = topics
        self._close_key = close_key

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Help"
            dialog.border_subtitle = f"type to search   up and down scroll   {self._close_key} closes"
            yield SearchLine(placeholder="search: a key, a word, what you want to do", id="search", compact=True)
            with VerticalScroll(id="topics", can_focus=False):
                yield Static(id="found")

    def on_mount(self) -> None:
        search = self.query_one(Input)
        search.cursor_blink = not getattr(self.app, "frozen", False)
        search.focus()
        self._show()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    @on(Input.Changed)
    def _show(self) -> None:
        words = self.query_one(Input).value.casefold().split()
        found = [topic for topic in (topic.filtered(words) for topic in self._topics) if topic.entries]
        width = max(40, self.query_one("#topics").scrollable_content_region.width)
        lines: list[Content] = []
        for topic in found:
            if lines:
                lines.append(Content(""))
            lines.append(Content.styled(topic.title, "bold $primary"))
            lines += self._entries(topic.entries, width)
        if not lines:
            lines = [
                Content.assemble("Nothing here is about ", (f"“{' '.join(words)}”", "bold $accent"), "."),
                Content.styled(f"{self._close_key} shows all of it.", "$muted"),
            ]
        self.query_one("#found", Static).update(Content("\n").join(lines))
        self.query_one("#topics").scroll_home(animate=False)

    @staticmethod
    def _entries(entries: Sequence[Entry], width: int) -> list[Content]:
        marks = max(len(entry.mark) for entry in entries)
        names = min(_NAMES, max(len(entry.name) for entry in entries))
        indent = 2 + (marks + 2 if marks else 0) + (names + 2 if names else 0)
        lines = []
        for entry in entries:
            head = [Content("  ")]
            if marks:
                head.append(Content.styled(f"{entry.mark:<{marks}}  ", entry.style))
            if names:
                head.append(Content(f"{entry.name:<{names}}  "))
            pieces = Content(entry.text).wrap(max(20, width - indent)) if entry.text else [Content("")]
            first, *rest = pieces
            lines.append(Content.assemble(*head, first.stylize("$muted") if names else first))
            lines += [Content.assemble(" " * indent, piece.stylize("$muted") if names else piece) for piece in rest]
        return lines

    # -- keys --------------------------------------------------------------------------------------------------

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if not event.value:
            self.dismiss()

    def action_close(self) -> None:
        search = self.query_one(Input)
        if search.value:
            search.value = ""
        else:
            self.dismiss()

    def action_scroll(self, lines: int) -> None:
        self.query_one("#topics").scroll_relative(y=lines, animate=False)
