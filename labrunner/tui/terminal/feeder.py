"""Feeds the emulator on a thread of its own, so that no flood of output ever holds up the keyboard."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from time import monotonic, sleep

from labrunner.tui.terminal.emulator import ScreenEmulator

CHUNK = 4096
"""Bytes per turn: the emulator's lock is held no longer than one chunk takes."""
BACKLOG = 4 << 20
"""Bytes waiting at which the shell is held back."""
HOLD = 0.25
"""Seconds that one push may hold the shell back."""
REST = 2.0
"""In a flood of lines, how long the feeder rests after a chunk, as a multiple of the time the chunk took: the reader
gets ahead, and more of what nobody will see is never interpreted."""
LONGEST_REST = 0.1
"""Seconds."""

_BEYOND_LINES = re.compile(rb"[\x00-\x06\x0b-\x0c\x0e-\x1a\x1c-\x1f]|\x1b(?!\[[0-9;:]*m)")
"""Anything that is not text, tab, backspace, CR, LF or a colour: it may change the terminal's state."""
_COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")
_RESET = re.compile(rb"\x1b\[0?m")


class Feeder:
    """A queue between the shell's reader and the emulator. `changed` is called on the feeder's thread."""

    def __init__(self, emulator: ScreenEmulator, changed: Callable[[], None], keep_lines: int) -> None:
        self._emulator = emulator
        self._changed = changed
        self._keep_lines = keep_lines
        self._waiting = bytearray()
        self._lines = 0
        """Newlines in it."""
        self._condition = threading.Condition()
        self._feeding = False
        self._closed = False
        self._thread: threading.Thread | None = None
        self.shed_bytes = 0
        """Bytes never interpreted because nobody could have seen what they say."""

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="terminal-feeder", daemon=True)
        self._thread.start()

    def push(self, data: bytes) -> None:
        """Take output; callable from any thread. Waits a little while the backlog is full: the shell is held back."""
        with self._condition:
            if len(self._waiting) > BACKLOG:
                self._condition.wait_for(lambda: len(self._waiting) <= BACKLOG or self._closed, timeout=HOLD)
            self._waiting += data
            self._lines += data.count(b"\n")
            self._condition.notify_all()

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=1)

    def wait_drained(self, timeout: float) -> bool:
        """Whether everything pushed was interpreted within `timeout` seconds."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._waiting and not self._feeding, timeout)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._feeding = False
                self._condition.notify_all()
                self._condition.wait_for(lambda: bool(self._waiting) or self._closed)
                if self._closed:
                    return
                lines = self._lines
                if lines > self._keep_lines:
                    self._shed()
                data = bytes(self._waiting[:CHUNK])
                del self._waiting[:CHUNK]
                self._lines -= data.count(b"\n")
                self._feeding = True
            started = monotonic()
            self._emulator.feed(data)
            self._changed()
            if lines > self._keep_lines // 2:
                sleep(min(LONGEST_REST, REST * (monotonic() - started)))

    def _shed(self) -> None:
        """Drop waiting lines that would leave the scrollback again before anyone could see them.

        Exact for plain lines: only text and colours may be dropped, and only on the main screen.
        """
        if self._emulator.alternate_screen:
            return
        before = len(self._waiting)
        self._waiting = bytearray(shed(bytes(self._waiting), self._keep_lines))
        self._lines = self._waiting.count(b"\n")
        self.shed_bytes += before - len(self._waiting)


def shed(data: bytes, keep_lines: int) -> bytes:
    """`data` without the plain lines of its start that `keep_lines` later lines push out of sight.

    The colours in force where the text goes on are carried over. Nothing is dropped from the last byte on that
    could change the terminal's state in another way.
    """
    cut = len(data)
    for _ in range(keep_lines):
        cut = data.rfind(b"\n", 0, cut)
        if cut < 0:
            return data
    cut += 1
    last = None
    for last in _BEYOND_LINES.finditer(data, 0, cut):  # noqa: B007
        pass
    # The start may be in the middle of a sequence, of which the emulator has the beginning.
    first = data.find(b"\n", 0 if last is None else last.end()) + 1
    if first >= cut or first == 0:
        return data
    dropped = data[first:cut]
    colours = _COLOUR.findall(dropped)
    resets = [index for index, code in enumerate(colours) if _RESET.fullmatch(code)]
    return data[:first] + b"".join(colours[resets[-1] :] if resets else colours) + data[cut:]
