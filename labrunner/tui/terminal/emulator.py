"""The seam between the terminal widget and whichever emulator interprets the bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

Colour = int | tuple[int, int, int] | None
"""A palette index (0-255), an RGB triple, or None for the default."""


@dataclass(frozen=True, slots=True)
class Pen:
    """How a run of text looks."""

    foreground: Colour = None
    background: Colour = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    blink: bool = False
    reverse: bool = False
    strike: bool = False
    conceal: bool = False
    link: str = ""


PLAIN = Pen()

Run = tuple[str, Pen]
Row = tuple[Run, ...]
"""One line of the screen; it may be shorter than the screen is wide: the rest is blank."""


class ScreenEmulator(Protocol):
    """A terminal without a window: bytes in, cells out, and the bytes that keys mean right now.

    Thread-safe: it is fed on one thread and read on another. Rows count from the top of the screen, 0 first;
    history rows from the oldest kept.
    """

    @property
    def rows(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def cursor(self) -> tuple[int, int] | None:
        """Column and row; None while the program hides it."""
        ...

    @property
    def title(self) -> str: ...
    @property
    def alternate_screen(self) -> bool:
        """A full-screen program (vim, less, top) owns the screen; there is no history to scroll."""
        ...

    @property
    def mouse_tracking(self) -> bool:
        """The program wants mouse events."""
        ...

    @property
    def history_length(self) -> int: ...
    @property
    def history_total(self) -> int:
        """Lines that ever left the screen, forgotten ones too: `history_row(i)` is line `total - length + i`."""
        ...

    def feed(self, data: bytes) -> None: ...
    def resize(self, rows: int, columns: int) -> None: ...
    def changed_rows(self) -> Mapping[int, Row]:
        """Rows that changed since the last call (all of them after a scroll or a change of screens), as they are.

        Answers between two chunks of output, however fast these come.
        """
        ...

    def history_row(self, index: int) -> Row: ...
    def key(self, key: str, character: str | None) -> bool:
        """Send a key, named as Textual names it, to the program; False when the key has no meaning in a terminal."""
        ...

    def paste(self, text: str) -> None:
        """Send pasted text, bracketed when the program asked for that."""
        ...

    def mouse(self, column: int, row: int, button: int, kind: str, modifiers: set[str]) -> None:
        """`kind`: press, release, move. `button`: 0 left, 1 middle, 2 right, 64 wheel up, 65 wheel down."""
        ...

    def focus(self, focused: bool) -> None: ...
