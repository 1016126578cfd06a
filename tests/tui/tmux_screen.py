"""tmux as the judge of what a stream of bytes looks like: the same bytes go to a pane, its cells come back."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from wcwidth import wcswidth

from labrunner.tui.terminal.emulator import PLAIN, Colour, Pen, Row, ScreenEmulator

UNKNOWN = Pen(link="unknown")
Cell = tuple[str, Pen]
Screen = list[list[Cell]]
_SGR = re.compile(r"\x1b\[([0-9;:]*)m|\x1b\]8;[^\x07\x1b]*(?:\x07|\x1b\\)|([\x0e\x0f])")
_GRAPHICS = dict(zip("`afgjklmnopqrstuvwxyz{|}~", "◆▒°±┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·", strict=True))
"""DEC special graphics."""


class TmuxScreen:
    """One pane that shows what is fed to it. Has a server of its own; `close` ends it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = str(directory / "socket")
        self._fed = 0
        self._feed = -1
        (directory / "tmux.conf").write_text(
            "set -g status off\nset -g remain-on-exit on\nset -g escape-time 0\n"
            "set -g default-terminal tmux-256color\nset -g allow-rename off\n"
        )
        self._tmux("new-session", "-d", "-x", "80", "-y", "24", "cat")

    def start(self, rows: int, columns: int) -> None:
        """An empty pane."""
        if self._feed >= 0:
            os.close(self._feed)
        self.resize(rows, columns)
        fifo = self._directory / "feed"
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo)
        self._tmux("respawn-pane", "-k", f"stty raw -echo; exec cat {fifo}")
        self._feed = _open(fifo)
        self._tmux("clear-history")

    def feed(self, data: bytes) -> None:
        """Returns when tmux has taken it all in. `data` must not end within a sequence."""
        self._fed += 1
        mark = f"fed-{self._fed}"
        data += f"\x1b]2;{mark}\x07".encode()
        while data:
            data = data[os.write(self._feed, data) :]
        deadline = time.monotonic() + 20
        while self._tmux("display-message", "-p", "#{pane_title}").strip() != mark:
            assert time.monotonic() < deadline, "tmux did not take the bytes in"

    def resize(self, rows: int, columns: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def cells(self) -> Screen:
        width, height = (int(n) for n in self._show("#{pane_width} #{pane_height}").split())
        lines = self._tmux("capture-pane", "-p", "-e", "-N").split("\n")[:height]
        lines += [""] * (height - len(lines))
        pen, screen = [PLAIN], []
        for line in lines:
            screen.append(list(_cells(line, pen, width)))
        return screen

    def cursor(self) -> tuple[int, int] | None:
        x, y, shown, width = (
            int(n) for n in self._show("#{cursor_x} #{cursor_y} #{cursor_flag} #{pane_width}").split()
        )
        return (min(x, width - 1), y) if shown else None

    def alternate_screen(self) -> bool:
        return self._show("#{alternate_on}") == "1"

    def mouse_tracking(self) -> bool:
        return self._show("#{mouse_any_flag}") == "1"

    def close(self) -> None:
        if self._feed >= 0:
            os.close(self._feed)
        self._tmux("kill-server")

    def _show(self, what: str) -> str:
        return self._tmux("display-message", "-p", what).strip()

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-u", "-S", self._socket, "-f", str(self._directory / "tmux.conf"), *arguments]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        environment.pop("TMUX", None)
        done = subprocess.run(command, env=environment, capture_output=True, timeout=20)
        return done.stdout.decode("utf-8", "replace")


def _open(fifo: Path) -> int:
    """The writing end, once somebody reads."""
    deadline = time.monotonic() + 20
    while True:
        try:
            feed = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert time.monotonic() < deadline, "tmux did not open the feed"
            continue
        os.set_blocking(feed, True)
        return feed


def cells(emulator: ScreenEmulator, rows: Mapping[int, Row] | None = None) -> Screen:
    """All cells of the emulator's screen. `rows`: as its changes have it so far; by default they are taken now."""
    rows = emulator.changed_rows() if rows is None else rows
    return [list(_padded(rows.get(y, ()), emulator.columns)) for y in range(emulator.rows)]


def differences(ours: Screen, theirs: Screen, *, colours: bool = True) -> list[str]:
    """Where the screens can be told apart by eye. tmux does not tell the colour of blanks that end a line."""
    found = []
    for y, (row, other) in enumerate(zip(ours, theirs, strict=True)):
        if text([row]) != text([other]):
            found.append(f"row {y}: {text([row])[0]!r}\n   tmux: {text([other])[0]!r}")
            continue
        for x, ((char, pen), (_, wanted)) in enumerate(zip(row, other, strict=False)):
            look = _look if char.strip() else _look_of_blank
            if colours and wanted is not UNKNOWN and look(pen) != look(wanted):
                found.append(f"row {y} column {x} {char!r}: {pen}\n   tmux: {wanted}")
                break
    return found


def text(screen: Screen) -> list[str]:
    return ["".join(char for char, _ in row).rstrip() for row in screen]


def _look(pen: Pen) -> Pen:
    return dataclasses.replace(pen, link="")


def _look_of_blank(pen: Pen) -> Pen:
    shown = pen.foreground if pen.reverse else None
    return Pen(shown, pen.background, underline=pen.underline, reverse=pen.reverse, strike=pen.strike)


def _padded(row: Row, width: int) -> Iterator[Cell]:
    count = 0
    for run, pen in row:
        for char in _clusters(run):
            yield char, pen
            count += _width(char)
    for _ in range(width - count):
        yield " ", PLAIN


def _clusters(text: str) -> Iterator[str]:
    held = ""
    for char in text:
        if held and _width(char) == 0:
            held += char
            continue
        if held:
            yield held
        held = char
    if held:
        yield held


def _width(cluster: str) -> int:
    return max(0, wcswidth(cluster))


def _cells(line: str, pen: list[Pen], width: int) -> Iterator[Cell]:
    """The cells of a captured line; `pen` is what was in force and is carried on."""
    count, at, graphics = 0, 0, False

    def plain(part: str) -> Iterator[Cell]:
        for char in _clusters(part):
            yield _GRAPHICS.get(char, char) if graphics else char, pen[0]

    for match in _SGR.finditer(line):
        for cell in plain(line[at : match.start()]):
            yield cell
            count += _width(cell[0])
        at = match.end()
        if match[1] is not None:
            pen[0] = _sgr(match[1], pen[0])
        elif match[2]:
            graphics = match[2] == "\x0e"
    for cell in plain(line[at:]):
        yield cell
        count += _width(cell[0])
    for _ in range(width - count):
        yield " ", UNKNOWN


def _sgr(codes: str, pen: Pen) -> Pen:
    numbers = [part.split(":") for part in codes.split(";")]
    changes: dict[str, object] = {}
    index = 0
    while index < len(numbers):
        code, *more = (int(n or 0) for n in numbers[index])
        index += 1
        if code == 0:
            pen, changes = PLAIN, {}
        elif code in _ON:
            changes[_ON[code]] = not (more and more[0] == 0)
        elif code in (38, 48):
            where = "foreground" if code == 38 else "background"
            rest = more or [int(n[0] or 0) for n in numbers[index:]]
            colour: Colour = rest[1] if rest[0] == 5 else (rest[1], rest[2], rest[3])
            if not more:
                index += 2 if rest[0] == 5 else 4
            changes[where] = colour
        elif 30 <= code <= 37 or 90 <= code <= 97:
            changes["foreground"] = code - 30 if code < 90 else code - 82
        elif 40 <= code <= 47 or 100 <= code <= 107:
            changes["background"] = code - 40 if code < 100 else code - 92
        elif code == 39:
            changes["foreground"] = None
        elif code == 49:
            changes["background"] = None
        elif code == 22:
            changes |= {"bold": False, "dim": False}
        elif code in _OFF:
            changes[_OFF[code]] = False
    return dataclasses.replace(pen, **changes)  # type: ignore[arg-type]


_ON = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 5: "blink", 7: "reverse", 8: "conceal", 9: "strike"}
_OFF = {23: "italic", 24: "underline", 25: "blink", 27: "reverse", 28: "conceal", 29: "strike"}
