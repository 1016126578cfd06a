"""Record docs/images/first-minute.cast (asciicast v2) from the real program: a lab opened, walked and left.

Usage: tools/make_cast.py        plays with `asciinema play docs/images/first-minute.cast`
Keys are sent when the screen shows what the learner would wait for; pauses longer than `LONGEST` are cut to it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import pexpect

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from labrunner.tui.terminal.bittty_emulator import BitttyEmulator  # noqa: E402
from labrunner.tui.terminal.emulator import Pen, Row  # noqa: E402

CAST = ROOT / "docs" / "images" / "first-minute.cast"
COLUMNS, ROWS = 120, 32
LONGEST = 1.5
"""Seconds between two frames at most."""
FRAME = 0.06
"""Seconds for which nothing is drawn before a frame counts as whole."""

SCRIPT = (
    # what the screen shows before the keys, the keys, seconds that a reader needs before them
    ("✔ The product page is running", "r", 2.0),
    ("✔ exit 0", "r", 2.0),
    ("✔ GATEWAY_IP is the load balancer's address", "c", 1.5),
    ("One question is left", "\x1b[B\r", 1.5),
    ("Step passed", "n", 2.0),
    ("An authority needs two things", "R", 2.0),
    ("Step passed", "n", 2.0),
    ("Now the gateway itself", "c", 2.0),
    ("expected", "h", 2.5),
    ("Hint 1", "u", 2.5),
    ("of 11 steps passed so far", "q", 2.5),
)


class Screen:
    """What the program drew, as text and as frames."""

    def __init__(self) -> None:
        self._emulator = BitttyEmulator(lambda answer: None)
        self._emulator.resize(ROWS, COLUMNS)
        self._rows: dict[int, Row] = {}
        self._drawn: dict[int, Row] = {}
        self.frames: list[tuple[float, str]] = []
        self._clock = 0.0
        self._last = time.monotonic()

    def draw(self, text: str) -> None:
        self._emulator.feed(text.encode())
        self._rows.update(self._emulator.changed_rows())

    def frame(self) -> None:
        """Keep what changed since the last frame: far less than all that the program wrote on its way there."""
        changed = {y: row for y, row in self._rows.items() if self._drawn.get(y) != row}
        if not changed:
            return
        now = time.monotonic()
        self._clock += min(LONGEST, now - self._last)
        self._last = now
        self._drawn.update(changed)
        rows = (f"\x1b[{y + 1};1H{''.join(_styled(*piece) for piece in row)}" for y, row in sorted(changed.items()))
        self.frames.append((self._clock, "".join(rows)))

    @property
    def text(self) -> str:
        return "\n".join("".join(piece for piece, _ in self._rows.get(y, ())) for y in range(ROWS))


def _styled(text: str, pen: Pen) -> str:
    """A piece of a row with its colours, and none after it."""
    codes = [code for code, on in (("1", pen.bold), ("2", pen.dim), ("3", pen.italic), ("4", pen.underline)) if on]
    codes += ["7"] if pen.reverse else []
    for base, colour in ((38, pen.foreground), (48, pen.background)):
        if isinstance(colour, tuple):
            codes.append(f"{base};2;{';'.join(map(str, colour))}")
        elif colour is not None:
            codes.append(f"{base};5;{colour}")
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if codes else text


def record(home: str) -> Screen:
    environment = {
        **os.environ, "LABRUNNER_HOME": home, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    command = [sys.executable, "-m", "labrunner", "run", "apim-istio"]
    program = pexpect.spawn(
        command[0], command[1:], env=environment, encoding="utf-8", codec_errors="replace", dimensions=(ROWS, COLUMNS)
    )
    screen = Screen()

    def look(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                screen.draw(program.read_nonblocking(65536, timeout=FRAME))
            except pexpect.TIMEOUT:
                screen.frame()  # the program is quiet: nothing half drawn is on the screen
            except pexpect.EOF:
                return

    for shows, keys, pause in SCRIPT:
        deadline = time.monotonic() + 90
        while shows not in screen.text:
            if time.monotonic() > deadline:
                raise SystemExit(f"the screen never showed {shows!r}:\n{screen.text}")
            look(0.1)
        look(pause)
        program.send(keys)
    look(10)
    program.close()
    return screen


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="labrunner-cast-") as home:
        frames = record(home).frames
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "labrunner: the first minute", "env": {}}
    lines = [json.dumps(header), *(json.dumps([round(at, 3), "o", text], ensure_ascii=False) for at, text in frames)]
    CAST.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{CAST.relative_to(ROOT)}: {frames[-1][0]:.0f} s, {CAST.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
