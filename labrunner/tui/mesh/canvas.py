"""A grid of styled characters on which lines join where they meet."""

from __future__ import annotations

from collections.abc import Iterable

Point = tuple[int, int]
"""Column and row."""
LIGHT, DOUBLE, DASHED = 1, 2, 3

_UP, _DOWN, _LEFT, _RIGHT = range(4)
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
    """Starts blank. Later text covers earlier; text covers lines."""

    def __init__(self, width: int, height: int, *, plain: bool = False) -> None:
        """`plain`: ASCII only."""
        self.width, self.height, self._plain = max(1, width), max(1, height), plain
        self._chars = [[" "] * self.width for _ in range(self.height)]
        self._styles = [[""] * self.width for _ in range(self.height)]
        self._arms: dict[Point, list[int]] = {}
        self._line_styles: dict[Point, tuple[int, str]] = {}

    def text(self, x: int, y: int, text: str, style: str = "") -> None:
        """One character per cell; what sticks out is cut off."""
        if not 0 <= y < self.height:
            return
        for offset, char in enumerate(text):
            if 0 <= x + offset < self.width:
                self._chars[y][x + offset] = char
                self._styles[y][x + offset] = style
                self._arms.pop((x + offset, y), None)

    def fill(self, x: int, y: int, width: int, height: int, style: str) -> None:
        for row in range(y, y + height):
            self.text(x, row, " " * width, style)

    def box(self, x: int, y: int, width: int, height: int, style: str, title: str = "", title_style: str = "") -> None:
        """A frame with a title in its upper edge."""
        corners, flat, upright = ("++++", "-", "|") if self._plain else ("╭╮╰╯", "─", "│")
        self.text(x, y, corners[0] + flat * (width - 2) + corners[1], style)
        self.text(x, y + height - 1, corners[2] + flat * (width - 2) + corners[3], style)
        for row in range(y + 1, y + height - 1):
            self.text(x, row, upright, style)
            self.text(x + width - 1, row, upright, style)
        if title:
            self.text(x + 2, y, f" {title} "[: max(0, width - 4)], title_style or style)

    def line(self, start: Point, end: Point, style: str, weight: int = LIGHT, rank: int = 0) -> None:
        """A horizontal or vertical line, ends included. Where lines share a cell the higher `rank` colours it."""
        (x1, y1), (x2, y2) = start, end
        if y1 == y2:
            low, high = sorted((x1, x2))
            for x in range(low, high + 1):
                self._arm((x, y1), _LEFT, weight if x > low else 0, style, rank)
                self._arm((x, y1), _RIGHT, weight if x < high else 0, style, rank)
        else:
            low, high = sorted((y1, y2))
            for y in range(low, high + 1):
                self._arm((x1, y), _UP, weight if y > low else 0, style, rank)
                self._arm((x1, y), _DOWN, weight if y < high else 0, style, rank)

    def path(self, points: Iterable[Point], style: str, weight: int = LIGHT, rank: int = 0) -> None:
        """Lines from point to point."""
        previous: Point | None = None
        for point in points:
            if previous is not None and point != previous:
                self.line(previous, point, style, weight, rank)
            previous = point

    def _arm(self, point: Point, arm: int, weight: int, style: str, rank: int) -> None:
        if not (0 <= point[0] < self.width and 0 <= point[1] < self.height):
            return
        arms = self._arms.setdefault(point, [0, 0, 0, 0])
        if weight:
            arms[arm] = weight
        if rank >= self._line_styles.get(point, (-1, ""))[0]:
            self._line_styles[point] = (rank, style)

    def settle(self) -> None:
        """Put the lines drawn so far down as characters."""
        for (x, y), arms in self._arms.items():
            self._chars[y][x] = self._joint(arms)
            self._styles[y][x] = self._line_styles[x, y][1]
        self._arms.clear()
        self._line_styles.clear()

    def _joint(self, arms: list[int]) -> str:
        flat = arms[_LEFT] or arms[_RIGHT]
        upright = arms[_UP] or arms[_DOWN]
        if self._plain:
            if flat and upright:
                return "+"
            return "|" if upright else {DOUBLE: "=", DASHED: "."}.get(max(arms[_LEFT], arms[_RIGHT]), "-")
        if not upright and DASHED in (arms[_LEFT], arms[_RIGHT]):
            return "┄"
        if not flat and DASHED in (arms[_UP], arms[_DOWN]):
            return "┆"
        key = tuple(LIGHT if arm == DASHED else arm for arm in arms)
        found = _JOINTS.get(key)  # type: ignore[arg-type]
        if found is None:
            found = _JOINTS.get(tuple(min(arm, 1) for arm in key), " ")  # type: ignore[arg-type]
        return found

    def rows(self) -> list[list[tuple[str, str]]]:
        """Each row as runs of (text, style)."""
        self.settle()
        found = []
        for chars, styles in zip(self._chars, self._styles, strict=True):
            runs: list[tuple[str, str]] = []
            start = 0
            for x in range(1, self.width + 1):
                if x == self.width or styles[x] != styles[start]:
                    runs.append(("".join(chars[start:x]), styles[start]))
                    start = x
            found.append(runs)
        return found
