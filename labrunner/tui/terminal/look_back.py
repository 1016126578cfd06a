"""Looking back in the shell with the keyboard: a cursor over screen and scrollback, search, selection.

Knows nothing of Textual. Lines have numbers that stay with them while more output comes; columns count cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from rich.cells import cell_len

KEYS: Final = (
    "/ search   n older   N newer   v select   V lines   y copy   Esc back",
    "/ search   v select   y copy   Esc back",
)
"""What the keys do, for a wide and for a narrow pane."""
_MOVES: Final = {
    "up": (-1, 0), "k": (-1, 0), "down": (1, 0), "j": (1, 0),
    "left": (0, -1), "h": (0, -1), "right": (0, 1), "l": (0, 1),
}  # fmt: skip


class Position(NamedTuple):
    """A cell. Compares as text reads."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Span:
    """Cells of one line, `end` exclusive. `kind`: match, found (the match the cursor is at), selected, cursor."""

    start: int
    end: int
    kind: str


class Lines(Protocol):
    """What can be looked back at: lines `first` to `last`, both included."""

    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    def texts(self, first: int, last: int) -> Sequence[str]:
        """Lines `first` to `last` as text, without the blanks that end them."""
        ...


class LookBack:
    """`key` takes keys as Textual names them and says what they ask for: `leave`, `copy`, or nothing."""

    def __init__(self, lines: Lines, page: int, cursor: Position) -> None:
        """`page`: lines shown at once."""
        self._lines = lines
        self._page = max(1, page)
        self.cursor = cursor
        self.typing = False
        """The search text is being typed."""
        self.query = ""
        self._anchor: Position | None = None
        self._whole_lines = False
        self._matches: list[Position] = []
        self._began = cursor
        self._found: Position | None = None

    def key(self, key: str, character: str | None) -> str:
        if self.typing:
            self._type(key, character)
            return ""
        name = character if character and character.isprintable() and character != " " else key
        extend = name.startswith("shift+")
        name = name.removeprefix("shift+")
        if name in ("escape", "q", "ctrl+c"):
            if self._anchor is None:
                return "leave"
            self._anchor = None
        elif name in ("y", "enter"):
            return "copy"
        elif name in ("/", "?"):
            self.typing, self.query, self._began = True, "", self.cursor
            self._search()
        elif name in ("n", "N"):
            self._go_to_match(older=name == "n")
        elif name in ("v", "space", "V"):
            self._anchor = self.cursor if self._anchor is None else None
            self._whole_lines = name == "V"
        else:
            self._move(name, extend)
        return ""

    @property
    def note(self) -> str:
        """What there is to say: the search and its count, else nothing."""
        if not self.typing and not self.query:
            return ""
        if not self.query:
            return "search: "
        if not self._matches:
            return f"search: {self.query}   not found"
        count = len(self._matches)
        at = self._matches.index(self._found) + 1 if self._found in self._matches else 0
        return f"search: {self.query}   {at} of {count}" if at else f"search: {self.query}   {count} found"

    @property
    def selecting(self) -> bool:
        return self._anchor is not None

    def spans(self, line: int) -> list[Span]:
        """What to mark on a line, later ones on top."""
        found = []
        if self.query:
            text = self._text(line)
            width = cell_len(self.query)
            for start in _occurrences(text, self.query):
                column = cell_len(text[:start])
                kind = "found" if Position(line, column) == self._found else "match"
                found.append(Span(column, column + width, kind))
        if self._anchor is not None:
            begin, end = sorted((self._anchor, self.cursor))
            if begin.line <= line <= end.line:
                start = 0 if self._whole_lines or line > begin.line else begin.column
                stop = 10_000 if self._whole_lines or line < end.line else end.column + 1
                found.append(Span(start, stop, "selected"))
        if line == self.cursor.line:
            found.append(Span(self.cursor.column, self.cursor.column + 1, "cursor"))
        return found

    def selected(self) -> str:
        """The selected text; empty when nothing is."""
        if self._anchor is None:
            return ""
        begin, end = sorted((self._anchor, self.cursor))
        begin = max(begin, Position(self._lines.first, 0))
        texts = list(self._lines.texts(begin.line, end.line))
        if not texts:
            return ""
        if not self._whole_lines:
            texts[-1] = texts[-1][: _index(texts[-1], end.column + 1)]
            texts[0] = texts[0][_index(texts[0], begin.column) :]
        return "\n".join(text.rstrip() for text in texts)

    def top(self, top: int) -> int:
        """The line to show first so that the cursor is on the screen; `top`: the one shown first now."""
        line = self.cursor.line
        if line < top:
            return max(self._lines.first, line)
        return max(top, line - self._page + 1)

    # -- moving

    def _move(self, name: str, extend: bool) -> None:
        line, column = self.cursor
        if name in _MOVES:
            down, right = _MOVES[name]
            line, column = line + down, column + right
        elif name in ("pageup", "ctrl+b", "pagedown", "ctrl+f"):
            line += (self._page - 1 or 1) * (-1 if name in ("pageup", "ctrl+b") else 1)
        elif name in ("home", "0"):
            column = 0
        elif name in ("end", "$"):
            column = max(0, cell_len(self._text(line)) - 1)
        elif name in ("g", "ctrl+home"):
            line, column = self._lines.first, 0
        elif name in ("G", "ctrl+end"):
            line, column = self._lines.last, 0
        else:
            return
        if extend and self._anchor is None:
            self._anchor, self._whole_lines = self.cursor, False
        self.cursor = Position(min(max(line, self._lines.first), self._lines.last), max(0, column))

    # -- searching

    def _type(self, key: str, character: str | None) -> None:
        if key == "enter":
            self.typing = False
        elif key in ("escape", "ctrl+c"):
            self.typing, self.query, self.cursor, self._found = False, "", self._began, None
        elif key in ("up", "down"):
            self._go_to_match(older=key == "up")
        elif key == "ctrl+u":
            self.query = ""
            self._search()
        elif key in ("backspace", "ctrl+h"):
            self.query = self.query[:-1]
            self._search()
        elif character and character.isprintable():
            self.query += character
            self._search()

    def _search(self) -> None:
        """Find all, and go to the newest at or before the place where the search began."""
        self._find()
        self._found, self.cursor = None, self._began
        if self._matches:
            before = [match for match in self._matches if match <= self._began]
            self._found = self.cursor = (before or self._matches)[-1]

    def _find(self) -> None:
        self._matches = []
        if self.query:
            first = self._lines.first
            for number, text in enumerate(self._lines.texts(first, self._lines.last), first):
                self._matches += (Position(number, cell_len(text[:at])) for at in _occurrences(text, self.query))

    def _go_to_match(self, older: bool) -> None:
        self._find()  # more may have come
        if not self._matches:
            return
        if older:
            left = [match for match in self._matches if match < self.cursor]
            self._found = left[-1] if left else self._matches[-1]
        else:
            left = [match for match in self._matches if match > self.cursor]
            self._found = left[0] if left else self._matches[0]
        self.cursor = self._found

    def _text(self, line: int) -> str:
        texts = self._lines.texts(line, line)
        return texts[0] if texts else ""


def _occurrences(text: str, query: str) -> list[int]:
    """Where `query` begins in `text`; capitals matter only when it has some."""
    if query == query.lower() and len(text.lower()) == len(text):
        text = text.lower()
    found, at = [], text.find(query)
    while at >= 0:
        found.append(at)
        at = text.find(query, at + len(query))
    return found


def _index(text: str, column: int) -> int:
    """The index of the character at a column; the length when it is behind the end."""
    width = 0
    for index, char in enumerate(text):
        width += cell_len(char)
        if width > column:
            return index
    return len(text)
