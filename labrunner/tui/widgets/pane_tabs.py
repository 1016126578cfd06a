"""On narrow terminals: which pane is shown, and in the same line how the others do."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

NOTHING = Content("")
PANES = ("steps", "lab", "checks", "shell")


class PaneTabs(Widget):
    """A click on a tab posts `Chosen`; keys 1 to 4 are the screen's."""

    DEFAULT_CSS = """
    PaneTabs { height: 1; background: $surface; padding: 0 1; }
    """

    @dataclass
    class Chosen(Message):
        pane: str

    def __init__(self) -> None:
        super().__init__(id="tabs")
        self._labels = dict.fromkeys(PANES, "")
        self._active = "lab"
        self._spans: list[tuple[int, int, str]] = []
        self._note = NOTHING

    def show(self, active: str, status: dict[str, str], note: Content = NOTHING) -> None:
        """`status`: a few characters per pane (`2/4`). `note`: on the right, where there is room."""
        self._active, self._labels, self._note = active, status, note
        self.refresh()

    def render(self) -> Content:
        parts: list[Content] = []
        self._spans = []
        x = 0
        for number, pane in enumerate(PANES, 1):
            status = self._labels.get(pane, "")
            label = f" {number} {pane.capitalize()}{' ' + status if status else ''} "
            style = "bold $background on $accent" if pane == self._active else "$foreground"
            content = Content.styled(label, style)
            self._spans.append((x, x + content.cell_length, pane))
            x += content.cell_length + 1
            parts.append(content)
        line = Content(" ").join(parts)
        gap = self.content_size.width - line.cell_length - self._note.cell_length
        return Content.assemble(line, " " * gap, self._note) if self._note and gap > 0 else line

    def on_click(self, event: events.Click) -> None:
        x = event.x - self.styles.padding.left
        for start, end, pane in self._spans:
            if start <= x < end:
                self.post_message(self.Chosen(pane))
