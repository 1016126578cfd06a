"""What real programs print looks the same in our terminal as in tmux: text, colours, cursor.

The recordings are made by tools/record_terminal.py; the single sequences are what such programs are made of.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from tmux_screen import Screen, TmuxScreen, cells, differences, text

from labrunner.tui.terminal.bittty_emulator import BitttyEmulator
from labrunner.tui.terminal.widget import ShellTerminal
from labrunner.tui.themes import THEMES

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.json"))
needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed: nothing to compare with")

SEQUENCES = {
    "scroll region": b"".join(b"line %d\r\n" % n for n in range(9)) + b"\x1b[3;6r\x1b[6;1H\n\n\x1b[3;1H\x1bM\x1b[rX",
    "below the scroll region": b"\x1b[2;4r\x1b[6;1H\n\n\n\nx",
    "scroll region, alternate": b"\x1b[?1049h" + b"l\r\n" * 10 + b"\x1b[2;5r\x1b[5;1H\n\n\x1b[2;1H\x1bM\x1bMq",
    "lines inserted and deleted": b"a\r\nb\r\nc\r\nd\x1b[2;1H\x1b[2L\x1b[4;1H\x1b[1M",
    "characters inserted, deleted, erased": b"abcdefghij\x1b[1;3H\x1b[2@\x1b[1;8H\x1b[2P\x1b[1;1H\x1b[1X",
    "insert mode": b"abcdef\x1b[1;3H\x1b[4hXY\x1b[4lZ",
    "tabs set, cleared, back": b"\ta\tb\x1b[3g\x1b[1;5H\x1bH\x1b[2;1H\tx\x1b[1;20H\x1b[Zy",
    "tab at the edge": b"\x1b[1;28H\tx\ty",
    "repeat": b"ab\x1b[5b",
    "screen alignment": b"\x1b#8\x1b[3;3Hx",
    "scroll up and down": b"a\r\nb\r\nc\r\nd\x1b[2S\x1b[1T",
    "erase with a background": b"\x1b[44mx\x1b[K\r\n\x1b[2Jy\x1b[42m\x1b[1;5H\x1b[1K\x1b[3;1H\x1b[3X\x1b[L",
    "erase display": b"abc\r\ndef\r\nghi\x1b[2;2H\x1b[J\x1b[1;2H\x1b[1J",
    "wide characters wrap": "日本語漢字かな交じり文日本語漢字かな交じり文x".encode(),
    "a wide character at the edge": b"0" * 29 + "日x".encode(),
    "combining characters": "e\u0301a\u0308 n\u0303x".encode(),
    "emoji and drawing": "👍 ✅ ⚠ ✔ ❯ ─│┌ 🚀x".encode(),
    "origin mode": b"\x1b[3;6r\x1b[?6h\x1b[1;1Hx\x1b[99;1Hy\x1b[?6l\x1b[1;1Hz",
    "no wrap": b"\x1b[?7l" + b"0123456789" * 4 + b"\r\n\x1b[?7h" + b"0123456789" * 4,
    "wrap waits": b"0" * 29 + b"\x1b[1;30Hx\x1b[Cy",
    "cursor saved": b"\x1b[2;3H\x1b[31m\x1b7\x1b[5;5H\x1b[0mx\x1b8y",
    "line drawing": b"\x1b(0lqqk\x1b(Blqk \x1b)0\x0elqk\x0fq",
    "every attribute": b"\x1b[1;2;3;4;5;7;9mx\x1b[22;23my\x1b[24;25;27;29mz\x1b[4:3mu\x1b[0m\x1b[91;102mb",
    "256 and true colour": b"\x1b[38;5;208;48;2;1;2;3mt\x1b[38:2::9:8:7mr\x1b[38;5;9mb",
    "alternate screen": b"main\x1b[?1049h\x1b[Halt\x1b[31mred",
    "alternate screen left": b"main\x1b[?1049h\x1b[Halt\x1b[31mred\x1b[?1049lback",
    "old alternate screen": b"main\x1b[?47h\x1b[Halt\x1b[?47lback",
    "carriage return and backspace": b"progress 10%\rprogress 55%\b\b\b99",
    "index and its reverse": b"a\x1bEb\x1bDc\x1b[1;1H\x1bMd",
    "positions out of bounds": b"\x1b[99;99Hx\x1b[0;0Hy\x1b[5Gz\x1b[4dw\x1b[2Eq\x1b[3Fp",
    "hidden cursor": b"abc\x1b[?25l",
    "cursor shapes": b"\x1b[2 qx\x1b[6 qy\x1b[0 q",
    "titles, links, clipboard": b"\x1b]0;t\x07\x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b]52;c;aGk=\x07x\x1b]11;?\x07y",
    "strings are not text": b"\x1bPq#0\x1b\\z\x1b_apc\x1b\\y\x1b^pm\x1b\\x",
    "modes that show nothing": b"abc\x1b[?2026h\x1b[?2004h\x1b[?1004hd\x1b[?2026l\x1b[>4;2m\x1b[?4m",
    "mouse": b"\x1b[?1000h\x1b[?1006hx",
    "vertical tab and form feed": b"a\x0bb\x0cc",
}

LAST_COLUMN_DIFFERS = {"top"}
"""It erases to the end of a line that is full to its last column: xterm and we erase that column, tmux does not."""


def frames(file: Path) -> tuple[dict[str, Any], list[bytes | tuple[int, int]]]:
    """The recording, and its frames: output, or a change of size."""
    recording = json.loads(file.read_text())
    found: list[bytes | tuple[int, int]] = []
    for frame in recording["frames"]:
        if "resize" in frame:
            rows, columns = frame["resize"]
            found.append((rows, columns))
        else:
            found.append(frame["output"].encode("utf-8", "surrogateescape"))
    return recording, found


@pytest.fixture(scope="module")
def tmux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TmuxScreen]:
    made = TmuxScreen(tmp_path_factory.mktemp("tmux"))
    yield made
    made.close()


def test_there_are_recordings() -> None:
    assert len(RECORDINGS) >= 10


@needs_tmux
@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_does_what_it_does_in_tmux(tmux: TmuxScreen, name: str) -> None:
    ours = BitttyEmulator(lambda _text: None, 10, 30)
    tmux.start(10, 30)
    tmux.feed(SEQUENCES[name])
    ours.feed(SEQUENCES[name])
    assert differences(cells(ours), tmux.cells()) == []
    assert ours.cursor == tmux.cursor()
    assert (ours.alternate_screen, ours.mouse_tracking) == (tmux.alternate_screen(), tmux.mouse_tracking())


@needs_tmux
@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_a_program_looks_as_it_does_in_tmux(tmux: TmuxScreen, file: Path) -> None:
    recording, played = frames(file)
    ours = BitttyEmulator(lambda _text: None, recording["rows"], recording["columns"])
    shown: dict[int, Any] = {}
    tmux.start(recording["rows"], recording["columns"])
    for number, frame in enumerate(played):
        if isinstance(frame, tuple):
            ours.resize(*frame)
            tmux.resize(*frame)
            continue
        ours.feed(frame)
        tmux.feed(frame)
        shown |= ours.changed_rows()
        screen: Screen = cells(ours, shown)
        theirs = tmux.cells()
        if file.stem in LAST_COLUMN_DIFFERS:
            screen, theirs = [row[:-1] for row in screen], [row[:-1] for row in theirs]
        assert differences(screen, theirs) == [], f"frame {number}"
        assert ours.cursor == tmux.cursor(), f"frame {number}"
        assert ours.alternate_screen == tmux.alternate_screen(), f"frame {number}"


class Alone(App[None]):
    """Nothing but a terminal."""

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return THEMES[0].variables

    def on_mount(self) -> None:
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name

    def compose(self) -> ComposeResult:
        yield ShellTerminal(lambda _text: None)


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
async def test_the_widget_paints_what_the_emulator_has(file: Path) -> None:
    recording, played = frames(file)
    app = Alone()
    async with app.run_test(size=(recording["columns"], recording["rows"])) as pilot:
        terminal = app.query_one(ShellTerminal)
        whole = BitttyEmulator(lambda _text: None, recording["rows"], recording["columns"])
        for frame in played:
            if isinstance(frame, tuple):
                await pilot.resize_terminal(frame[1], frame[0])
                whole.resize(*frame)
                continue
            for start in range(0, len(frame), 37):  # whatever way it comes in pieces
                terminal.push(frame[start : start + 37])
            assert terminal.wait_drained()
            whole.feed(frame)
        await pilot.pause()
        while terminal._pending:
            await pilot.pause(0.01)
        painted = ["".join(segment.text for segment in terminal.render_line(y)).rstrip() for y in range(whole.rows)]
        assert painted == text(cells(whole))
        assert terminal.emulator.cursor == whole.cursor


LISTING = b"".join(b"pod-%d Running\r\n" % number for number in range(60))
LONG = b"".join(b"%d " % number * 9 + b"long lines that wrap around\r\n" for number in range(20))
RESIZES = {
    "lower": (LISTING + b"work $ ", ((8, 40), (5, 40))),
    "lower, not full": (b"a\r\nb\r\nwork $ ", ((8, 40), (4, 40))),
    "narrower": (LONG + b"work $ ", ((12, 25), (10, 20))),
    "narrower and lower": (LONG + b"\r\nwork $ ", ((7, 23),)),
    "lower under vim": (LISTING + b"work $ vim\r\n\x1b[?1049h\x1b[H~\r\n~", ((8, 40),)),
    "and vim left": (LISTING + b"work $ vim\r\n\x1b[?1049h\x1b[H~\r\n~", ((8, 40), b"\x1b[?1049lwork $ ")),
}


@needs_tmux
@pytest.mark.parametrize("name", RESIZES)
def test_a_smaller_screen_keeps_what_tmux_keeps(tmux: TmuxScreen, name: str) -> None:
    printed, changes = RESIZES[name]
    ours = BitttyEmulator(lambda _text: None, 12, 40)
    tmux.start(12, 40)
    ours.feed(printed)
    tmux.feed(printed)
    for change in changes:
        if isinstance(change, bytes):
            ours.feed(change)
            tmux.feed(change)
        else:
            ours.resize(*change)
            tmux.resize(*change)
    rows = ours.changed_rows()
    assert differences(cells(ours, rows), tmux.cells()) == []
    assert ours.cursor == tmux.cursor()


def test_lines_that_a_smaller_screen_has_no_room_for_are_history() -> None:
    ours = BitttyEmulator(lambda _text: None, 12, 40)
    ours.feed(LISTING)
    for rows, columns in ((5, 40), (20, 40), (3, 60), (12, 40)):
        ours.resize(rows, columns)
        screen = text(cells(ours))
        kept = ["".join(part for part, _ in ours.history_row(index)) for index in range(ours.history_length)]
        assert [line for line in kept + screen if line] == [f"pod-{number} Running" for number in range(60)]
