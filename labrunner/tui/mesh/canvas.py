"""A grid of styled characters on which lines join where they meet."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

Point = tuple[int, int]
"""Column and row."""
Run = tuple[str, str]
"""(text, style)."""
LIGHT, DOUBLE, DASHED = 1, 2, 4

# A cell's lines are a number: three bits (light, double, dashed) for each way out of it.
_UP, _DOWN, _LEFT, _RIGHT = 0, 3, 6, 9
# Up, down, left, right as light (1) or double (2); what Unicode lacks falls back to light.
_JOINTS = {
    (0, 0, 1, 1): "─", (0, 0, 2, 2): "═", (1, 1, 0, 0): "│", (2, 2, 0, 0): "║",
    (0, 1, 0, 1): "┌", (0, 1, 1, 0): "┐", (1, 0, 0, 1): "└", (1, 0, 1, 0): "┘",
    (1, 1, 0, 1): "├", (1, 1, 1, 0): "┤", (0, 1, 1, 1): "┬", (1, 0, 1, 1): "┴", (1, 1, 1, 1): "┼",
    (0, 1, 0, 2): "╒", (0, 1, 2, 0): "╕", (1, 0, 0, 2): "╘", (1, 0, 2, 0): "╛",
    (1, 1, 0, 2): "╞", (1, 1, 2, 0): "╡", (0, 1, 2, 2): "╤", (1, 0, 2, 2): "╧", (1, 1, 2, 2): "╪",
    (0, 0, 1, 0): "─", (0, 0, 0, 1): "─", (1, 0, 0, 0): "│", (0, 1, 0, 0): "│",
    (0, 0, 2, 0): "═", (0, 0, 0, 2): "═", (0, 0, 1, 2): "═", (0, 0, 2, 1): "═",
}  # fmt: skip


class Canvas:
    """Starts blank. Text covers what is there; lines join each other and cover text; the last one colours a cell."""

    def __init__(self, width: int, height: int, *, plain: bool = False) -> None:
        """`plain`: ASCII only."""
        self.width, self.height, self._plain = max(1, width), max(1, height), plain
        self._chars = [[" "] * self.width for _ in range(self.height)]
        self._styles = [[""] * self.width for _ in range(self.height)]
        self._lines: dict[int, list[int]] = {}
        """By row: the lines of each cell."""

    def text(self, x: int, y: int, text: str, style: str = "") -> None:
        """One character per cell; what sticks out is cut off."""
        if not 0 <= y < self.height:
            return
        text = text[max(0, -x) : max(0, self.width - x)]
        x = max(0, x)
        end = x + len(text)
        self._chars[y][x:end] = text
        self._styles[y][x:end] = [style] * len(text)
        if y in self._lines:
            self._lines[y][x:end] = [0] * len(text)

    def fill(self, x: int, y: int, width: int, height: int, style: str) -> None:
        for row in range(y, y + height):
            self.text(x, row, " " * width, style)

    def box(self, x: int, y: int, width: int, height: int, style: str) -> None:
        corners, flat, upright = ("++++", "-", "|") if self._plain else ("╭╮╰╯", "─", "│")
        self.text(x, y, corners[0] + flat * (width - 2) + corners[1], style)
        self.text(x, y + height - 1, corners[2] + flat * (width - 2) + corners[3], style)
        for row in range(y + 1, y + height - 1):
            self.text(x, row, upright, style)
            self.text(x + width - 1, row, upright, style)

    def line(self, start: Point, end: Point, style: str, weight: int = LIGHT) -> None:
        """A horizontal or vertical line, ends included."""
        (x1, y1), (x2, y2) = start, end
        if y1 == y2:
            low, high = max(0, min(x1, x2)), min(self.width - 1, max(x1, x2))
            if not 0 <= y1 < self.height or low > high:
                return
            row = self._row(y1)
            both = weight << _LEFT | weight << _RIGHT
            for x in range(low + 1, high):
                row[x] |= both
            if high > low:
                row[low] |= weight << _RIGHT
                row[high] |= weight << _LEFT
            self._styles[y1][low : high + 1] = [style] * (high - low + 1)
        elif 0 <= x1 < self.width:
            low, high = max(0, min(y1, y2)), min(self.height - 1, max(y1, y2))
            for y in range(low, high + 1):
                self._row(y)[x1] |= (weight << _UP if y > low else 0) | (weight << _DOWN if y < high else 0)
                self._styles[y][x1] = style

    def _row(self, y: int) -> list[int]:
        row = self._lines.get(y)
        if row is None:
            row = self._lines[y] = [0] * self.width
        return row

    def path(self, points: Iterable[Point], style: str, weight: int = LIGHT) -> None:
        """Lines from point to point."""
        previous: Point | None = None
        for point in points:
            if previous is not None and point != previous:
                self.line(previous, point, style, weight)
            previous = point

    def settle(self) -> None:
        """Put the lines drawn so far down as characters."""
        for y, row in self._lines.items():
            chars = self._chars[y]
            for x, lines in enumerate(row):
                if lines:
                    chars[x] = _joint(lines, self._plain)
        self._lines.clear()

    def row(self, y: int, start: int = 0, end: int | None = None) -> list[Run]:
        """One row, or some columns of it, as runs of one style. Lines are there once they have settled."""
        end = self.width if end is None else min(end, self.width)
        if not 0 <= y < self.height or start >= end:
            return []
        chars, styles = self._chars[y], self._styles[y]
        runs: list[Run] = []
        begin = start
        for x in range(start + 1, end + 1):
            if x == end or styles[x] != styles[begin]:
                runs.append(("".join(chars[begin:x]), styles[begin]))
                begin = x
        return runs


@lru_cache(maxsize=4096)
def _joint(lines: int, plain: bool) -> str:
    up, down, left, right = (lines >> shift & 7 for shift in (_UP, _DOWN, _LEFT, _RIGHT))
    flat, upright = left | right, up | down
    if plain:
        if flat and upright:
            return "+"
        return "|" if upright else "=" if flat & DOUBLE else "-" if flat & LIGHT else "."
    if not upright and flat == DASHED:
        return "┄"
    if not flat and upright == DASHED:
        return "┆"
    key = _weight(up), _weight(down), _weight(left), _weight(right)
    found = _JOINTS.get(key)
    if found is None:
        found = _JOINTS.get((min(key[0], 1), min(key[1], 1), min(key[2], 1), min(key[3], 1)), " ")
    return found


def _weight(arm: int) -> int:
    return 2 if arm & DOUBLE else 1 if arm else 0
