"""The real program in a real terminal (tmux): a lab without a cluster's slowness, walked with keys only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"), pytest.mark.slow]

LAB = """\
apiVersion: labrunner/v1
kind: Lab
metadata: {id: files, title: Files and shells, summary: A lab of files only., level: beginner, minutes: 5}
parts:
  - id: one
    title: One
    steps:
      - id: greet
        title: Say hello
        instructions: |
          Make a file that greets.

          ```run:make
          ```

          ```run:flood
          ```

          ```run:wait
          ```
        blocks:
          make: {title: Make it, run: "echo hello > hello.txt; export WHO=Ada"}
          flood: {title: Flood, run: "seq 1 300000"}
          wait: {title: Wait, run: "echo waiting; sleep 300", timeout: 600s}
        checks:
          - {id: there, title: hello.txt is there, file: {path: hello.txt}}
        hints: [Use echo., "Redirect it: `echo hello > hello.txt`."]
        solution:
          - {id: solve, run: echo hello > hello.txt}
      - id: more
        title: Say more
        instructions: Go on.
        checks:
          - {id: more, title: more.txt is there, file: {path: more.txt}}
        hints: [Use echo., Again.]
        solution:
          - {id: solve-more, run: echo more > more.txt}
"""


class Terminal:
    """One tmux server of its own with one window."""

    def __init__(self, directory: Path, home: Path, columns: int = 120, rows: int = 36) -> None:
        self.directory = directory
        directory.mkdir()
        self.environment = {
            **os.environ,
            "TMUX_TMPDIR": str(directory),
            "LABRUNNER_HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "PATH": os.environ["PATH"],
        }
        self.environment.pop("TMUX", None)
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(rows), "bash --norc")

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", "tui-test", "-f", "/dev/null", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=20)
        return done.stdout

    def keys(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)
        self.tmux("send-keys", "Enter")

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def resize(self, columns: int, rows: int) -> None:
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def shows(self, text: str, seconds: float = 30.0) -> str:
        deadline = time.monotonic() + seconds
        while text not in (shown := self.screen()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{text!r} never showed; on the screen:\n{shown}")
            time.sleep(0.05)
        return shown

    def gone(self, text: str, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while text in (shown := self.screen()):
            assert time.monotonic() < deadline, f"{text!r} never went; on the screen:\n{shown}"
            time.sleep(0.05)

    def close(self) -> None:
        self.tmux("kill-server")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    folder = tmp_path / "mine" / "files"
    folder.mkdir(parents=True)
    (folder / "lab.yaml").write_text(LAB)
    return folder


@pytest.fixture
def terminal(tmp_path: Path, home: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path / "tmux", home)
    yield made
    made.close()
    until_gone(home)


def ours(home: Path) -> list[str]:
    """Command lines of processes that belong to this home."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        of_labrunner = "-m labrunner" in command or "rcfile" in command or "sleep 300" in command
        if of_labrunner and f"LABRUNNER_HOME={home}" in environment:
            found.append(f"{entry.name} {command}")
    return found


def until_gone(home: Path, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while left := ours(home):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.05)


def start(terminal: Terminal, lab: Path) -> None:
    terminal.type(f"{sys.executable} -m labrunner run {lab}")


def consent(terminal: Terminal) -> None:
    terminal.shows("Do you trust this lab?")
    terminal.keys("y")


def test_a_lab_is_walked_left_and_resumed(terminal: Terminal, lab: Path, home: Path) -> None:
    start(terminal, lab)
    terminal.shows("Do you trust this lab?")
    terminal.shows("echo hello > hello.txt")
    terminal.keys("y")
    terminal.shows("sandbox ●")
    terminal.keys("c")
    terminal.shows("✘ hello.txt is there")
    terminal.keys("r")
    terminal.shows("✔ exit 0")
    terminal.keys("c")
    terminal.shows("✔ Step passed")
    terminal.keys("F6")
    terminal.shows("F6 Back to the lab")
    terminal.type('echo "by hand: $WHO"')
    terminal.shows("by hand: Ada")
    terminal.keys("F6")
    terminal.shows("r Run")
    terminal.keys("n")
    terminal.shows("2 Say more")
    terminal.keys("C-q")
    until_gone(home)
    terminal.keys("C-l")
    start(terminal, lab)
    shown = terminal.shows("sandbox ●")  # trusted by now
    assert "▸  2 Say more" in shown and "✔  1 Say hello" in shown
    terminal.keys("C-q")
    until_gone(home)


def test_a_flood_and_a_command_that_hangs_are_stopped_and_quitting_asks(
    terminal: Terminal, lab: Path, home: Path
) -> None:
    start(terminal, lab)
    consent(terminal)
    terminal.shows("sandbox ●")
    terminal.keys("r")
    terminal.shows("✔ exit 0")
    terminal.keys("r")
    terminal.shows("300000")
    terminal.shows("work $")
    terminal.keys("r")
    terminal.shows("waiting")
    terminal.keys("C-q")
    terminal.shows("A command is still running")
    terminal.keys("n")
    terminal.keys("i")
    terminal.shows("interrupted")
    terminal.keys("r")
    terminal.shows("◐ running")
    terminal.keys("C-q")
    terminal.shows("A command is still running")
    terminal.keys("y")
    until_gone(home)


def test_every_size_works_and_a_full_screen_program_follows(terminal: Terminal, lab: Path, home: Path) -> None:
    start(terminal, lab)
    consent(terminal)
    terminal.shows("sandbox ●")
    terminal.resize(80, 24)
    terminal.shows("1 Steps 0/2")
    terminal.resize(50, 12)
    terminal.shows("too small")
    terminal.resize(160, 48)
    terminal.shows("Make a file that greets")
    terminal.keys("F6")
    terminal.shows("F6 Back to the lab")
    terminal.type("stty size")
    terminal.shows("44 66")
    terminal.type("seq 1 500 | less")
    terminal.shows("││:")
    terminal.keys("G")
    terminal.shows("500")
    terminal.keys("q")
    terminal.keys("F6")
    terminal.shows("r Run")
    for columns, rows in ((90, 30), (200, 50), (61, 17), (30, 5), (120, 36)):
        terminal.resize(columns, rows)
    terminal.shows("Make a file that greets")
    terminal.keys("C-q")
    until_gone(home)


def in_the_shell(terminal: Terminal, lab: Path) -> None:
    start(terminal, lab)
    consent(terminal)
    terminal.shows("sandbox ●")
    terminal.keys("F6")
    terminal.shows("F6 Back to the lab")


@pytest.mark.skipif(shutil.which("vim") is None, reason="vim is not installed")
def test_vim_edits_a_file_while_the_terminal_changes_its_size(terminal: Terminal, lab: Path, home: Path) -> None:
    in_the_shell(terminal, lab)
    terminal.type("vim -u NONE -i NONE -N hello.txt")
    terminal.shows('"hello.txt" [New]')
    terminal.tmux("send-keys", "-l", "ihello from 日本")
    terminal.shows("-- INSERT --")
    terminal.resize(160, 48)
    terminal.shows("hello from 日本")
    terminal.keys("Escape")
    terminal.gone("-- INSERT --")
    terminal.type(":set list | syntax on")
    terminal.shows("hello from 日本$")
    terminal.resize(120, 36)
    terminal.type(":wq")
    terminal.shows("work $")
    terminal.type("cat hello.txt")
    terminal.keys("F6", "c")
    terminal.shows("✔ Step passed")
    terminal.keys("C-q")
    until_gone(home)


def test_keys_go_to_the_shell_at_once_and_one_key_brings_back(terminal: Terminal, lab: Path, home: Path) -> None:
    start(terminal, lab)
    consent(terminal)
    terminal.shows("sandbox ●")
    terminal.tmux("send-keys", "4", "echo char-ch R c x q", "Enter")  # all at once, shortcuts of the lab among them
    terminal.shows("│char-ch R c x q")
    terminal.type("sleep 300")
    terminal.shows("sleep 300")
    terminal.keys("C-c")
    terminal.shows("^C")
    terminal.type("echo after-$?")
    terminal.shows("after-130")
    terminal.keys("C-]")
    terminal.shows("r Run")
    terminal.tmux("send-keys", "F6", "printf 'a%s' b", "Enter", "F6", "c")  # there and back
    terminal.shows("✘ hello.txt is there")
    terminal.keys("C-q")
    until_gone(home)


def test_the_scrollback_is_searched_and_copied_to_the_terminals_clipboard(
    terminal: Terminal, lab: Path, home: Path
) -> None:
    terminal.tmux("set-option", "-s", "set-clipboard", "on")
    in_the_shell(terminal, lab)
    terminal.type("seq 1 5000 | sed 's/$/ apples/'")
    terminal.shows("5000 apples")
    terminal.keys("F7")
    terminal.shows("/ search")
    terminal.tmux("send-keys", "-l", "/321 app")
    terminal.shows("321 app   5 of 5")
    terminal.keys("Enter", "n")
    terminal.shows("321 app   4 of 5")
    terminal.keys("V", "y")
    terminal.shows("Copied.")
    deadline = time.monotonic() + 10
    while terminal.tmux("show-buffer") != "3321 apples":
        assert time.monotonic() < deadline, terminal.tmux("show-buffer")
    terminal.keys("F6", "C-q")
    until_gone(home)


def test_a_storm_of_resizes_in_a_flood_ends_well(terminal: Terminal, lab: Path, home: Path) -> None:
    in_the_shell(terminal, lab)
    terminal.type("yes \"$(printf '\\e[32mgreen\\e[0m 日本 ')\"")
    terminal.shows("green")
    for number in range(20):
        terminal.resize(70 + number * 7 % 90, 18 + number * 5 % 30)
    terminal.resize(120, 36)
    terminal.keys("C-c")
    for number in range(100):
        terminal.type(f"clear; stty size; echo 'now' {number}")
        shown = terminal.shows(f"│now {number}")
        if "│28 58" in shown:  # the pane at this size
            break
    else:
        raise AssertionError(shown)
    terminal.shows("work $")
    terminal.keys("F6")
    terminal.shows("r Run")
    terminal.keys("C-q")
    terminal.gone("r Run")
    until_gone(home)


@pytest.mark.parametrize("signal", ["TERM", "HUP", "KILL"])
def test_nothing_is_left_however_it_ends(terminal: Terminal, lab: Path, home: Path, signal: str) -> None:
    start(terminal, lab)
    consent(terminal)
    terminal.shows("sandbox ●")
    terminal.keys("r")
    terminal.shows("✔ exit 0")
    main = [line.split()[0] for line in ours(home) if "labrunner run" in line]
    subprocess.run(["kill", f"-{signal}", *main], check=True)
    until_gone(home)
    terminal.keys("C-l")
    terminal.tmux("send-keys", "-l", "reset")
    terminal.keys("Enter")
    start(terminal, lab)
    terminal.shows("sandbox ●")
    terminal.keys("c")
    terminal.shows("✔ Step passed")  # the file is there, and the session went on
    terminal.keys("C-q")
    until_gone(home)


def test_the_terminal_going_away_leaves_nothing(terminal: Terminal, lab: Path, home: Path) -> None:
    start(terminal, lab)
    consent(terminal)
    terminal.shows("sandbox ●")
    terminal.close()
    until_gone(home)
