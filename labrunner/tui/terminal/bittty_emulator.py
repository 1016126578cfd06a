"""`ScreenEmulator` over bittty: an xterm in pure Python."""

from __future__ import annotations

import dataclasses
import re
import threading
import unicodedata
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

from bittty import BITTTY, XTERM, Board, KeyEvent, KeyModifiers
from bittty.style import Color, Style
from bittty.terminals.base import Terminal

from labrunner.tui.terminal.emulator import PLAIN, Colour, Pen, Row

HISTORY_LINES = 10_000

_MODEL = dataclasses.replace(
    XTERM,
    # As every distribution configures xterm: Alt and Meta send Escape first (readline's Alt-f).
    power_on_modes=XTERM.power_on_modes | {1036, 1039},
    # Beyond xterm: grapheme clusters, for combining characters and emoji.
    mode_capabilities=XTERM.mode_capabilities | BITTTY.mode_capabilities,
    # Lines that were wrapped are wrapped anew, as by most terminals of today.
    reflows=True,
)
_GRAPHEME_CLUSTERS = b"\x1b[?2027h"

_NAMED = {
    "escape": "escape", "enter": "enter", "tab": "tab", "backspace": "backspace", "up": "up", "down": "down",
    "left": "left", "right": "right", "home": "home", "end": "end", "pageup": "pageup", "pagedown": "pagedown",
    "insert": "insert", "delete": "delete",
}  # fmt: skip
"""Textual's key name -> bittty's."""

_CHARACTER_NAMES = {
    "at": "@", "underscore": "_", "backslash": "\\", "slash": "/", "minus": "-", "plus": "+",
}  # fmt: skip
"""Keys that Textual names otherwise than Unicode does."""
_CONTROLS = {" ": "@", "/": "_", "-": "_"}
"""Characters without a control code of their own -> the one whose code terminals send."""

_FUNCTION_KEY = re.compile(r"f(\d{1,2})")


class _Wire:
    """bittty's cable to the program: only the sending side is used; output is fed by hand."""

    closed = False

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send

    def write(self, data: str) -> int:
        self._send(data)
        return len(data)

    def write_bytes(self, data: bytes) -> int:
        self._send(data.decode("latin-1"))
        return len(data)

    def flush(self) -> None: ...

    def configure_line(self, line: Any) -> None: ...

    def resize(self, rows: int, columns: int) -> None: ...

    def close(self) -> None: ...

    async def read_bytes_async(self, size: int) -> bytes:
        return b""


class _Chrome(Terminal):  # type: ignore[misc]
    """What bittty tells the outside: lines that leave the screen, and the window title."""

    def __init__(self, board: Board, history: deque[Row]) -> None:
        super().__init__(board)
        self.keeps_scrollback = True
        self.history = history
        self.scrolled = 0
        self.window_title = ""

    def on_rows_scrolled_off(self, lines: tuple[Any, ...]) -> None:
        self.scrolled += len(lines)
        self.history.extend(_row(line.cells) for line in lines)

    def on_scrollback_cleared(self) -> None:
        self.history.clear()

    def on_title(self, title: str, icon_title: str) -> None:
        self.window_title = title


class BitttyEmulator:
    """See `ScreenEmulator`. `send` gets what goes to the program: keys, pastes, and answers to its queries."""

    def __init__(self, send: Callable[[str], None], rows: int = 24, columns: int = 80) -> None:
        self._board = Board(width=columns, height=rows, model=_MODEL)
        self._history: deque[Row] = deque(maxlen=HISTORY_LINES)
        self._chrome = _Chrome(self._board, self._history)
        self._chrome.attach()
        self._board.host.attach(_Wire(send))
        self._board.feed_host_data(_GRAPHEME_CLUSTERS)
        self._send = send
        self._lock = threading.RLock()
        self._turnstile = threading.Lock()
        """Held by who waits to read: the feeder, which would otherwise take the lock again at once, queues behind."""

    @property
    def rows(self) -> int:
        return int(self._board.height)

    @property
    def columns(self) -> int:
        return int(self._board.width)

    @property
    def cursor(self) -> tuple[int, int] | None:
        cursor: tuple[int, int] | None = self._board.display.cursor
        return cursor

    @property
    def title(self) -> str:
        return self._chrome.window_title

    @property
    def alternate_screen(self) -> bool:
        return bool(self._board.blitter.in_alt_screen)

    @property
    def mouse_tracking(self) -> bool:
        return bool(self._board.mouse.capture() != "off")

    @property
    def history_length(self) -> int:
        return len(self._history)

    @property
    def history_total(self) -> int:
        return self._chrome.scrolled

    def feed(self, data: bytes) -> None:
        with self._turnstile:
            pass
        with self._lock:
            self._board.feed_host_data(data)

    def resize(self, rows: int, columns: int) -> None:
        rows, columns = max(1, rows), max(1, columns)
        with self._turnstile, self._lock:
            if self.alternate_screen:
                self._keep_main_screen(rows)
            if columns == self.columns and rows < self.rows:
                # Only where the width changes does bittty 0.3 move lines into history; else it cuts the lowest off.
                self._board.resize(columns + 1, rows)
            self._board.resize_from_frontend(columns, rows)

    def _keep_main_screen(self, rows: int) -> None:
        """Move the top of the main screen, which is out of sight, into history so that its cursor is within `rows`:
        bittty 0.3 looks after the screen in sight only."""
        cursor = self._board.cursor
        saved = cursor.saved[False]
        over = int(saved.y) - rows + 1
        if over > 0:
            page = self._board.blitter.primary_page
            self._chrome.on_rows_scrolled_off(tuple(page.line(y) for y in range(over)))
            page.scroll_up(over)
            cursor.saved[False] = dataclasses.replace(saved, y=saved.y - over)

    def changed_rows(self) -> Mapping[int, Row]:
        with self._turnstile, self._lock:
            grid = self._board.display.page.grid
            return {y: _row(grid[y]) for y in self._chrome.damaged_rows() if y < len(grid)}

    def history_row(self, index: int) -> Row:
        with self._turnstile, self._lock:
            return self._history[index] if 0 <= index < len(self._history) else ()

    def key(self, key: str, character: str | None) -> bool:
        event = key_event(key, character)
        if event is None:
            return False
        with self._turnstile, self._lock:
            if event.modifiers == KeyModifiers.ALT and event.text:
                # Escape and the character, as they came: it may be two keys typed fast, as in vim.
                self._send(f"\x1b{event.text}")
            else:
                self._board.input_key_event(event)
        return True

    def paste(self, text: str) -> None:
        with self._turnstile, self._lock:
            self._board.input_paste(text)

    def mouse(self, column: int, row: int, button: int, kind: str, modifiers: set[str]) -> None:
        with self._turnstile, self._lock:
            self._board.input_mouse(column + 1, row + 1, button, kind, modifiers)

    def focus(self, focused: bool) -> None:
        with self._turnstile, self._lock:
            self._board.set_focus(focused)


def key_event(key: str, character: str | None) -> KeyEvent | None:
    """Textual's key (`ctrl+shift+up`, `a`, `alt+f`) as bittty's; None for what a terminal has no bytes for."""
    *prefixes, name = key.split("+") if key != "+" else ["+"]
    modifiers = KeyModifiers.NONE
    for prefix in prefixes:
        modifiers |= {"shift": KeyModifiers.SHIFT, "ctrl": KeyModifiers.CTRL, "alt": KeyModifiers.ALT}.get(
            prefix, KeyModifiers.NONE
        )
    if name in _NAMED:
        return KeyEvent(_NAMED[name], modifiers)
    if _FUNCTION_KEY.fullmatch(name):
        return KeyEvent(name, modifiers)
    letter = character_of(name)
    if modifiers & KeyModifiers.CTRL:
        return KeyEvent(_CONTROLS.get(letter, letter), modifiers) if letter else None
    if character and character.isprintable():
        return KeyEvent(character[0], modifiers & ~KeyModifiers.SHIFT, text=character)
    return KeyEvent(letter, modifiers, text=letter) if letter else None


def character_of(name: str) -> str:
    """The character of a key that Textual names (`full_stop`, `space`, `a`); empty when it is none."""
    if len(name) == 1:
        return name
    if name in _CHARACTER_NAMES:
        return _CHARACTER_NAMES[name]
    try:
        return unicodedata.lookup(name.replace("_", " ").upper())
    except KeyError:
        return ""


def _row(cells: Sequence[tuple[Style, str]]) -> Row:
    """Runs of equal style, trailing unstyled blanks dropped."""
    runs = [("".join([char for _, char in group]), pen(style)) for style, group in groupby(cells, _style_of)]
    while runs and runs[-1][1] is PLAIN:
        text = runs[-1][0].rstrip(" ")
        if text:
            runs[-1] = (text, PLAIN)
            break
        runs.pop()
    return tuple(runs)


def _style_of(cell: tuple[Style, str]) -> Style:
    return cell[0]


@lru_cache(maxsize=4096)
def pen(style: Style) -> Pen:
    """bittty's style as ours; equal styles give the same object."""
    made = Pen(
        foreground=_colour(style.fg),
        background=_colour(style.bg),
        bold=style.bold is True,
        dim=style.dim is True,
        italic=style.italic is True,
        underline=style.underline is True,
        blink=style.blink is True,
        reverse=style.reverse is True,
        strike=style.strike is True,
        conceal=style.conceal is True,
        link=style.hyperlink or "",
    )
    return PLAIN if made == PLAIN else made


def _colour(colour: Color | None) -> Colour:
    if colour is None or colour.mode == "default":
        return None
    value: Colour = colour.value
    return value
