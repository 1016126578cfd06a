"""The top line of the lab screen: where one is on the left, how the world does on the right."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from labrunner.tui import format as fmt
from labrunner.tui.symbols import UNICODE, Symbols


class HeaderBar(Widget):
    """`set_place` and `set_status`; the left part gives way when the line is short."""

    DEFAULT_CSS = """
    HeaderBar { height: 1; background: $panel; color: $foreground; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._place: list[str] = []
        self._status = Content("")
        self._symbols = UNICODE

    def set_place(self, words: list[str], symbols: Symbols) -> None:
        """From general to particular; the general ones are left out first."""
        self._place, self._symbols = words, symbols
        self.refresh()

    def set_status(self, status: Content) -> None:
        self._status = status
        self.refresh()

    def render(self) -> Content:
        width = self.content_size.width
        right = self._status
        room = max(8, width - right.cell_length - 2)
        words = list(self._place)
        joint = f" {self._symbols.current} "
        while len(words) > 1 and len(joint.join(words)) + 11 > room:
            words.pop(0)
        brand = Content.styled("labrunner", "bold $accent")
        parts = [
            Content.styled(word, "$muted" if index < len(words) - 1 else "bold") for index, word in enumerate(words)
        ]
        left = brand
        if words:
            left = Content.assemble(brand, "  ", Content.styled(joint, "$muted").join(parts))
        left = fmt.fit(left, room, self._symbols.ellipsis)
        return Content.assemble(left, " " * max(1, width - left.cell_length - right.cell_length), right)
