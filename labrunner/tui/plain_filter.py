"""What Textual draws by itself (scrollbars, borders, the palette), for terminals that have ASCII only.

Our own words choose their symbols in `symbols`; this is the last step before the terminal, where a character that its
encoding lacks would come out as `\\u2585` and shift the rest of the line.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_HORIZONTAL = "─━┄┅┈┉╌╍═╴╶╸╺╼╾"
_VERTICAL = "│┃┆┇┊┋╎╏║╵╷╹╻╽╿"
_DRAWN = {
    **{code: "+" for code in range(0x2500, 0x2580)},
    **{ord(char): "-" for char in _HORIZONTAL},
    **{ord(char): "|" for char in _VERTICAL},
    # Parts of a cell: what is left is the cell's background, which is how a scrollbar without them looks.
    **{code: " " for code in range(0x2580, 0x25A0)},
    0x2588: "#",
}


class PlainFilter(LineFilter):
    """Lines and blocks in ASCII; what else the terminal's encoding cannot hold as `?`, as wide as it was."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment if segment.text.isascii() else Segment(self._plain(segment.text), segment.style, segment.control)
            for segment in segments
        ]

    def _plain(self, text: str) -> str:
        text = text.translate(_DRAWN)
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            text = "".join(char if self._holds(char) else "?" * cell_len(char) for char in text)
        return text

    def _holds(self, char: str) -> bool:
        try:
            char.encode(self._encoding)
        except UnicodeEncodeError:
            return False
        return True
