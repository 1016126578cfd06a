"""The terminal: bytes to cells, keys to bytes, and a flood that holds nothing up."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_lab import make_lab
from stage import Stage, running

from labrunner.tui.terminal.bittty_emulator import BitttyEmulator
from labrunner.tui.terminal.emulator import PLAIN, Pen, Row
from labrunner.tui.terminal.feeder import Feeder, shed


def emulator(sent: list[str] | None = None, rows: int = 5, columns: int = 20) -> BitttyEmulator:
    return BitttyEmulator((sent if sent is not None else []).append, rows, columns)


def text(row: Row) -> str:
    return "".join(run for run, _ in row)


def screen(terminal: BitttyEmulator) -> list[str]:
    rows = terminal.changed_rows()
    return [text(rows[y]).rstrip() for y in sorted(rows)]


def test_colours_and_attributes_become_pens() -> None:
    terminal = emulator()
    terminal.feed(b"\x1b[1;31mred\x1b[0m \x1b[38;5;208mx\x1b[48;2;1;2;3my\x1b[0m z")
    assert terminal.changed_rows()[0] == (
        ("red", Pen(foreground=1, bold=True)),
        (" ", PLAIN),
        ("x", Pen(foreground=208)),
        ("y", Pen(foreground=208, background=(1, 2, 3))),
        (" z", PLAIN),
    )


def test_only_rows_that_changed_are_told() -> None:
    terminal = emulator()
    terminal.feed(b"a\r\nb\r\nc")
    terminal.changed_rows()
    terminal.feed(b"\x1b[2;1Hnew")
    assert {y: text(row) for y, row in terminal.changed_rows().items()} == {1: "new"}
    assert terminal.changed_rows() == {}


def test_lines_that_leave_the_screen_are_history_and_the_alternate_screen_has_none() -> None:
    terminal = emulator(rows=3)
    terminal.feed(b"".join(b"line %d\r\n" % number for number in range(10)))
    assert [text(terminal.history_row(i)) for i in range(terminal.history_length)] == [f"line {n}" for n in range(8)]
    terminal.feed(b"\x1b[?1049h\x1b[Hvim")
    assert terminal.alternate_screen and screen(terminal)[0] == "vim"
    terminal.feed(b"\x1b[?1049l")
    assert not terminal.alternate_screen and "line 9" in screen(terminal)


def test_wide_characters_take_two_cells_and_combining_ones_none() -> None:
    terminal = emulator(columns=6)
    terminal.feed("日本語e\u0301".encode())
    assert screen(terminal)[0] == "日本語"
    assert terminal.cursor == (1, 1)
    assert terminal.changed_rows() == {}


@pytest.mark.parametrize(
    "hostile",
    [
        b"\x1b[?4m", b"\x1b[>4;2m", b"\xff\xfe\x80", b"\x1b[999999999;999999999H", b"\x1b]0;" + b"x" * 100_000,
        b"\x1b[" + b";" * 5000 + b"m", b"\x1bP" + b"\x00" * 1000, b"\x1b[38;2;999;999;999mx", b"\x1b#8\x1b[!p\x1bc",
    ],
)  # fmt: skip
def test_hostile_bytes_break_nothing(hostile: bytes) -> None:
    terminal = emulator()
    terminal.feed(hostile)
    terminal.feed(b"\x1b\\\x18\x1bc\x1b[H\x1b[2J\x1b[mstill here")
    assert screen(terminal)[0] == "still here"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=20))
def test_no_bytes_at_all_raise(chunks: list[bytes]) -> None:
    terminal = emulator()
    for chunk in chunks:
        terminal.feed(chunk)
    terminal.resize(3, 7)
    assert len(terminal.changed_rows()) <= 3


@pytest.mark.parametrize(
    ("key", "character", "sent"),
    [
        ("a", "a", "a"), ("A", "A", "A"), ("space", " ", " "), ("enter", "\r", "\r"), ("tab", "\t", "\t"),
        ("shift+tab", None, "\x1b[Z"), ("backspace", "\x7f", "\x7f"), ("escape", "\x1b", "\x1b"),
        ("ctrl+c", "\x03", "\x03"), ("ctrl+d", None, "\x04"), ("ctrl+z", None, "\x1a"), ("ctrl+space", None, "\x00"),
        ("ctrl+backslash", None, "\x1c"), ("ctrl+underscore", None, "\x1f"),
        ("ctrl+left_square_bracket", None, "\x1b"), ("up", None, "\x1b[A"),
        ("ctrl+left", None, "\x1b[1;5D"), ("alt+f", None, "\x1bf"), ("alt+full_stop", None, "\x1b."),
        ("home", None, "\x1b[H"), ("pageup", None, "\x1b[5~"), ("delete", None, "\x1b[3~"), ("f1", None, "\x1bOP"),
        ("f5", None, "\x1b[15~"), ("é", "é", "é"), ("日", "日", "日"), ("plus", "+", "+"), ("tilde", "~", "~"),
    ],
)  # fmt: skip
def test_keys_are_sent_as_xterm_sends_them(key: str, character: str | None, sent: str) -> None:
    got: list[str] = []
    assert emulator(got).key(key, character)
    assert "".join(got) == sent


def test_application_cursor_keys_bracketed_paste_and_mouse_follow_the_program() -> None:
    got: list[str] = []
    terminal = emulator(got)
    terminal.paste("a\nb")
    terminal.feed(b"\x1b[?1h\x1b[?2004h\x1b[?1000h\x1b[?1006h")
    terminal.key("up", None)
    terminal.paste("c\n")
    assert terminal.mouse_tracking
    terminal.mouse(4, 2, 0, "press", set())
    assert got == ["a\rb", "\x1bOA", "\x1b[200~c\r\x1b[201~", "\x1b[<0;5;3M"]


def test_escape_and_a_key_typed_fast_stay_two_bytes_whatever_the_program_asked_for() -> None:
    got: list[str] = []
    terminal = emulator(got)
    terminal.feed(b"\x1b[>4;2m")  # vim: modifyOtherKeys
    terminal.key("alt+colon", None)
    terminal.key("alt+o", "o")
    assert got == ["\x1b:", "\x1bo"]


def test_questions_of_the_program_are_answered() -> None:
    got: list[str] = []
    terminal = emulator(got)
    terminal.feed(b"ab\x1b[6n\x1b[c")
    assert got[0] == "\x1b[1;3R" and got[1].startswith("\x1b[?")


LINE = st.lists(
    st.sampled_from(
        [b"pod", b" ", b"Running", b"\x1b[31m", b"\x1b[1m", b"\x1b[0m", b"\t", b"\x1b[m", "é".encode(), b"x" * 30]
    ),
    max_size=6,
).map(b"".join)
SPECIALS = [b"\x1b[2J", b"\x1b[?25l", b"\x1b]0;title\x07", b"\x1b[4h", b"\x1b(0", b"\x07"]
SPECIAL = st.sampled_from(
    [b"", b"", b"", b"", b"\x1b[2J", b"\x1b[?25l", b"\x1b]0;title\x07", b"\x1b[4h", b"\x1b(0", b"\x07"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(LINE, SPECIAL), min_size=1, max_size=60), st.integers(12, 25))
def test_shedding_changes_nothing_that_can_be_seen(lines: list[tuple[bytes, bytes]], keep: int) -> None:
    data = b"".join(line + special + b"\r\n" for line, special in lines)
    whole, less = emulator(rows=4), emulator(rows=4)
    whole.feed(data)
    less.feed(shed(data, keep))
    assert whole.changed_rows() == less.changed_rows()
    assert whole.cursor == less.cursor and whole.title == less.title
    kept = min(keep - 5, less.history_length)

    def tail(terminal: BitttyEmulator) -> list[Row]:
        return [terminal.history_row(terminal.history_length - i) for i in range(1, kept + 1)]

    assert tail(whole) == tail(less)


def test_a_flood_of_lines_is_mostly_never_interpreted() -> None:
    terminal = emulator(rows=40, columns=120)
    feeder = Feeder(terminal, lambda: None, keep_lines=1000)
    feeder.start()
    block = b"".join(b"\x1b[32m%06d\x1b[0m some output of a command\r\n" % number for number in range(1000))
    for _ in range(200):
        feeder.push(block)
    feeder.push(b"the end")
    assert feeder.wait_drained(30)
    feeder.close()
    assert "the end" in screen(terminal)
    assert feeder.shed_bytes > 150 * len(block)


def test_reading_the_screen_waits_for_no_flood() -> None:
    terminal = emulator(rows=40, columns=120)
    feeder = Feeder(terminal, lambda: None, keep_lines=10_000_000)
    feeder.start()
    for _ in range(100):
        feeder.push(b"x" * 79 + b"\r\n")
    feeder.push((b"y" * 79 + b"\r\n") * 20_000)
    slowest = 0.0
    for _ in range(20):
        started = time.perf_counter()
        terminal.changed_rows()
        slowest = max(slowest, time.perf_counter() - started)
    feeder.close()
    assert slowest < 1.0


async def shell(stage: Stage) -> None:
    await stage.press("f6")
    await stage.until(lambda: stage.app.focused is stage.lab.shell)


async def test_history_is_scrolled_by_wheel_and_keys_and_end_returns() -> None:
    async with running(lab=make_lab()) as stage:
        await shell(stage)
        stage.engine.print("".join(f"line {number}\n" for number in range(200)))
        await stage.shows("line 199")
        await stage.press("shift+pageup")
        await stage.until(lambda: "line 199" not in stage.text())
        await stage.shows("line 17")
        shown = stage.text()
        stage.engine.print("more\n" * 5)
        await stage.pilot.pause()
        assert stage.lab.shell.wait_drained()
        await stage.pilot.pause()
        assert [line for line in stage.text().splitlines() if "line 17" in line] == [
            line for line in shown.splitlines() if "line 17" in line
        ]
        await stage.press("end")
        await stage.shows("more")


async def test_the_cursor_is_where_the_program_put_it() -> None:
    async with running(lab=make_lab()) as stage:
        await shell(stage)
        stage.engine.print("\x1b[2J\x1b[3;5HX")
        await stage.until(lambda: stage.lab.shell.emulator.cursor == (5, 2))


async def test_selected_text_of_the_shell_can_be_copied() -> None:
    async with running(lab=make_lab()) as stage:
        stage.engine.print("copy me please\n")
        await stage.shows("copy me please")
        terminal = stage.lab.shell
        await stage.pilot.mouse_down(terminal, offset=(0, 0))
        await stage.pilot.hover(terminal, offset=(6, 0))
        await stage.pilot.mouse_up(terminal, offset=(6, 0))
        selected = stage.lab.get_selected_text() or ""
        assert selected
        assert selected in "\n".join(terminal._text_at(y) for y in range(terminal.size.height))


async def test_paste_goes_to_the_shell() -> None:
    from textual.events import Paste

    async with running(lab=make_lab()) as stage:
        await shell(stage)
        stage.app.post_message(Paste("kubectl get pods"))
        await stage.until(lambda: stage.engine.typed == "kubectl get pods")
