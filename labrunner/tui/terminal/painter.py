"""Rows of an emulator as Textual strips: pens to styles, the cursor, selections and search matches on top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from labrunner.tui.terminal.emulator import Colour, Pen, Row
from labrunner.tui.terminal.look_back import Span

_MARKS = {
    "match": Style(underline=True, bold=True, reverse=True),
    "found": Style(color="black", bgcolor="bright_yellow", bold=True),
    "cursor": Style(reverse=True),
}
"""Not by colour alone: matches are reversed and underlined as well, and the cursor is at the one found."""


class Painter:
    """`base` and `palette` (the 16 named colours) may change; then what was made before is made anew."""

    def __init__(self) -> None:
        self.base = Style()
        self.palette: Sequence[str] = ()
        self._styles: dict[Pen, Style] = {}

    def forget(self) -> None:
        """Colours have changed."""
        self._styles.clear()

    def strip(self, row: Row, width: int) -> Strip:
        return Strip([Segment(text, self._style(pen)) for text, pen in row]).adjust_cell_length(width, self.base)

    def cursor(self, strip: Strip, x: int, focused: bool) -> Strip:
        """The strip with the cursor at column `x`: a block, or a line where nobody types."""
        style = Style(reverse=True) if focused else Style(underline=True, bold=True)
        return self._over(strip, *_cell_at(strip, x), style)

    def spans(self, strip: Strip, spans: Iterable[Span], selection: Style) -> Strip:
        """`selection`: how selected text looks."""
        for span in spans:
            start, end = max(0, span.start), min(span.end, strip.cell_length)
            if span.kind == "cursor" and start < strip.cell_length:
                start, end = _cell_at(strip, start)
            if start < end:
                strip = self._over(strip, start, end, _MARKS.get(span.kind, selection))
        return strip

    def selected(self, strip: Strip, start: int, end: int, style: Style) -> Strip:
        """Characters `start` to `end` (-1: to the end) as selected."""
        text = strip.text
        first = cell_len(text[:start])
        return self._over(strip, first, strip.cell_length if end == -1 else cell_len(text[:end]), style)

    def _over(self, strip: Strip, start: int, end: int, style: Style) -> Strip:
        middle = Strip([Segment(s.text, (s.style or self.base) + style) for s in strip.crop(start, end)])
        return Strip.join([strip.crop(0, start), middle, strip.crop(end)])

    def _style(self, pen: Pen) -> Style:
        style = self._styles.get(pen)
        if style is None:
            style = self.base + Style(
                color=self._colour(pen.foreground),
                bgcolor=self._colour(pen.background),
                bold=pen.bold or None,
                dim=pen.dim or None,
                italic=pen.italic or None,
                underline=pen.underline or bool(pen.link) or None,
                blink=pen.blink or None,
                reverse=pen.reverse or None,
                strike=pen.strike or None,
                conceal=pen.conceal or None,
            )
            self._styles[pen] = style
        return style

    def _colour(self, colour: Colour) -> RichColor | None:
        if colour is None:
            return None
        if isinstance(colour, tuple):
            return RichColor.from_rgb(*colour)
        return RichColor.parse(self.palette[colour]) if colour < 16 else RichColor.from_ansi(colour)


def _cell_at(strip: Strip, x: int) -> tuple[int, int]:
    """First and last column (exclusive) of the character at column `x`: two columns where it is a wide one."""
    for start in (x, x - 1):
        if start >= 0 and len(shown := strip.crop(start, start + 2).text) == 1 and cell_len(shown) == 2:
            return start, start + 2
    return x, x + 1
