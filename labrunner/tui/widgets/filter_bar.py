"""One line of filters, each of which goes round its choices by key or click."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget


@dataclass(slots=True)
class Choice:
    """`values`: the first one filters nothing."""

    name: str
    values: Sequence[str]
    key: str
    at: int = 0

    @property
    def value(self) -> str:
        """What is wanted, or nothing."""
        return self.values[self.at] if self.at else ""


class FilterBar(Widget):
    """Posts `Changed` when another value is chosen."""

    DEFAULT_CSS = """
    FilterBar { height: 1; padding: 0 2; background: $background; }
    """

    class Changed(Message):
        """Another value was chosen."""

    def __init__(self, choices: Sequence[Choice], note: str = "") -> None:
        super().__init__(id="filters")
        self._choices = {choice.name: choice for choice in choices}
        self._note = note
        self._spans: list[tuple[int, int, str]] = []

    def value(self, name: str) -> str:
        return self._choices[name].value

    @property
    def active(self) -> list[str]:
        """What is filtered by now."""
        return [choice.value for choice in self._choices.values() if choice.value]

    def turn(self, name: str) -> None:
        """To the next value."""
        choice = self._choices[name]
        choice.at = (choice.at + 1) % len(choice.values)
        self.refresh()
        self.post_message(self.Changed())

    def clear(self) -> None:
        for choice in self._choices.values():
            choice.at = 0
        self.refresh()
        self.post_message(self.Changed())

    def render(self) -> Content:
        parts: list[Content] = []
        self._spans = []
        x = 0
        for choice in self._choices.values():
            style = "bold $background on $accent" if choice.value else "$foreground"
            part = Content.assemble((choice.key, "bold $accent"), " ", (f" {choice.values[choice.at]} ", style))
            self._spans.append((x, x + part.cell_length, choice.name))
            x += part.cell_length + 3
            parts.append(part)
        line = Content("   ").join(parts)
        room = self.content_size.width - line.cell_length
        note = Content.styled(self._note, "$muted")
        return Content.assemble(line, "   ", note) if note.cell_length + 3 <= room else line

    def on_click(self, event: events.Click) -> None:
        x = event.x - self.styles.padding.left
        for start, end, name in self._spans:
            if start <= x < end:
                self.turn(name)
