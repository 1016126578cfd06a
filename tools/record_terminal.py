"""Record what real programs print on a terminal, for the tests of the terminal widget (tests/tui/recordings).

Each program runs on a pseudo-terminal, in an empty directory, with keys pressed once a text has shown; a recording is
cut where the program waited, so that every such screen can be compared. Needs vim, less, git, man, watch, top, htop,
and tqdm in this Python: `tools/with-python dev python tools/record_terminal.py [NAME ...]`
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labrunner.tui.terminal.bittty_emulator import BitttyEmulator

RECORDINGS = Path(__file__).parents[1] / "tests" / "tui" / "recordings"
ROWS, COLUMNS = 24, 80
QUIET = 0.5
"""Seconds without output after which a program waits."""
LONGEST = 20.0

Resize = tuple[int, int]
"""Rows and columns."""


@dataclass(frozen=True)
class Program:
    """`keys`: pressed one after the other, each when the program waits. `looks_for`: it never waits; seconds."""

    command: str
    keys: tuple[str | Resize, ...] = ()
    looks_for: float = 0.0
    sandbox: bool = False


YAML = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: colours\ndata:\n" + "".join(
    f'  key{n}: "value {n} äöü 日本語"  # a comment\n' for n in range(40)
)
GIT = """
git init -q -b main . && git config user.name Ada && git config user.email ada@example.com
export GIT_AUTHOR_DATE='2024-05-01T12:00:00Z' GIT_COMMITTER_DATE='2024-05-01T12:00:00Z'
for n in 1 2 3 4 5 6; do echo "line $n" >> file.txt; git add file.txt; git commit -qm "Change $n"; done
git checkout -qb topic HEAD~3; echo x > other.txt; git add other.txt; git commit -qm 'A topic'
git checkout -q main; git merge -q -m 'Merge the topic' topic
"""
TQDM = (
    "import time; from tqdm import tqdm, trange\\n"
    "for i in tqdm(range(60), desc='pods', colour='green'): time.sleep(0.01)\\n"
    "for i in trange(3, desc='outer'):\\n"
    "    for j in trange(20, desc='inner', leave=False): time.sleep(0.005)\\n"
)
PROGRAMS = {
    "vim": Program(
        "vim -u NONE -i NONE -N -c 'syntax on' -c 'set number hlsearch ruler nomore' colours.yaml",
        ("Goadded: true\x1b", "gg/value 1\r", "nnVjj", "\x1b:split\r", "\x06", (30, 100), "\x17j:q\r", (16, 60), "G",
         "5\x19ggO日本\x1b", ":set list cursorline\r", "ddp>>u"),
    ),
    "less": Program("less -R coloured.txt", ("\x20", "/line 77\r", "n", "G", "b", "-S", (18, 50), "-N\r", "g")),
    "man": Program("man -P less printf", ("\x20", "/format\r", "G")),
    "git-log": Program("git log --graph --color --stat", ("\x20", "G")),
    "git-diff": Program("git -c core.pager=cat log -4 -p --color --word-diff"),
    "tqdm": Program(f"PYTHONUNBUFFERED=1 python3 -c \"$(printf \"{TQDM}\")\"", looks_for=3),
    "top": Program("sleep 987 & top -d 30 -p $!", ("z", "x", "c", "1")),
    "htop": Program("sleep 987 & HTOPRC=none htop -d 300 -p $!", ("\x1bOQ", "\x1b[B", "\x1b\x1b", "t")),
    "watch": Program("watch -t -n 0.2 -d --color 'cat tick; echo 1$(cat tick) > tick'", looks_for=2),
    "kubectl-watch": Program("kubectl get pods -w", looks_for=6, sandbox=True),
    "bash": Program(
        "PS1='\\[\\e[36m\\]work\\[\\e[0m\\] $ ' bash --norc --noprofile -i",
        ("echo hello", "\x01\x1b[C\x1b[CXY\x1b[3~\x05 " + "long " * 20, "\x17\x17", "\x15ls --color=always\r",
         "\x12echo\x07", "for n in 1 2 3\rdo printf '\\e[3%dm%s\\e[0m\\t' $n 日本\rdone\r",
         "printf 'e\\u0301 %s\\n' ok\r"),
    ),
}  # fmt: skip


class Recorder:
    """One program on a terminal of its own; `frames` is the recording."""

    def __init__(self, command: str, directory: Path, environment: dict[str, str]) -> None:
        self.frames: list[dict[str, object]] = []
        self._emulator = BitttyEmulator(self._answer, ROWS, COLUMNS)
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(directory)
            os.execve("/bin/bash", ["bash", "-c", command], environment)
        self._size(ROWS, COLUMNS)

    def _answer(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def _size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def take(self, quiet: float, longest: float) -> None:
        """Read until nothing comes for `quiet` seconds: one frame."""
        data, end = b"", time.monotonic() + longest
        while time.monotonic() < end and select.select([self._fd], [], [], quiet if data else longest)[0]:
            try:
                chunk = os.read(self._fd, 65536)
            except OSError:
                break
            if not chunk:
                break
            self._emulator.feed(chunk)
            data += chunk
        if data:
            self.frames.append({"output": data.decode("utf-8", "surrogateescape")})

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        self.frames.append({"resize": [rows, columns]})
        self._emulator.resize(rows, columns)
        self._size(rows, columns)

    def end(self) -> None:
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._fd)


def prepare(directory: Path) -> None:
    (directory / "colours.yaml").write_text(YAML)
    (directory / "tick").write_text("1\n")
    lines = (
        f"\x1b[3{n % 8}mline {n}\x1b[0m \x1b[1;4m{'word ' * (n % 25)}\x1b[0m\x1b[48;5;{n}m 256 \x1b[0m"
        for n in range(120)
    )
    (directory / "coloured.txt").write_text("\n".join(lines) + "\n")
    subprocess.run(["bash", "-c", GIT], cwd=directory, check=True, env={**os.environ, "HOME": str(directory)})


@contextmanager
def sandbox() -> Iterator[dict[str, str]]:
    """A sandbox's environment; pods come and go in it."""
    labrunner = [sys.executable, "-m", "labrunner", "sandbox"]
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "LABRUNNER_HOME": home}
        subprocess.run([*labrunner, "start"], env=environment, check=True, capture_output=True)
        try:
            subprocess.run(
                [*labrunner, "exec", "--", "kubectl", "create", "deployment", "web", "--image=nginx", "--replicas=3"],
                env=environment, check=True,
            )  # fmt: skip
            changes = "sleep 3; kubectl scale deployment web --replicas=1; kubectl run once --image=busybox"
            with subprocess.Popen([*labrunner, "exec", "--", "sh", "-c", changes], env=environment):
                shown = subprocess.run([*labrunner, "env"], env=environment, check=True, capture_output=True, text=True)
                exports = subprocess.run(
                    ["bash", "-c", 'eval "$1"; env -0', "bash", shown.stdout],
                    check=True,
                    capture_output=True,
                    text=True,
                )
                yield dict(entry.split("=", 1) for entry in exports.stdout.split("\0") if "=" in entry)
        finally:
            subprocess.run([*labrunner, "stop"], env=environment, capture_output=True)


def record(name: str, program: Program, given: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made) / "work"
        directory.mkdir()
        prepare(directory)
        environment = {
            **{key: given[key] for key in ("PATH", "KUBECONFIG", "LD_LIBRARY_PATH") if key in given},
            "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", "LESSHISTFILE": "-", "HOME": made,
            "LESS": "-R", "MANWIDTH": "78", "MAN_KEEP_FORMATTING": "1",
        }  # fmt: skip
        recorder = Recorder(program.command, directory, environment)
        try:
            recorder.take(
                QUIET if not program.looks_for else program.looks_for,
                LONGEST if not program.looks_for else program.looks_for,
            )
            for keys in program.keys:
                if isinstance(keys, tuple):
                    recorder.resize(*keys)
                else:
                    recorder.press(keys)
                recorder.take(QUIET, LONGEST / 10)
        finally:
            recorder.end()
        if made in json.dumps(recorder.frames):
            raise SystemExit(f"{name} printed where it ran")
    RECORDINGS.mkdir(exist_ok=True)
    recording = {"program": name, "rows": ROWS, "columns": COLUMNS, "frames": recorder.frames}
    file = RECORDINGS / f"{name}.json"
    file.write_text(json.dumps(recording, indent=1) + "\n")
    print(f"{name}: {len(recorder.frames)} frames, {file.stat().st_size} bytes")


def main() -> None:
    for name in sys.argv[1:] or PROGRAMS:
        program = PROGRAMS[name]
        tool = name.partition("-")[0]
        if shutil.which(tool) is None and tool not in ("tqdm",):
            print(f"{name}: not installed, left out")
        elif program.sandbox:
            with sandbox() as environment:
                record(name, program, environment)
        else:
            record(name, program, dict(os.environ))


if __name__ == "__main__":
    main()
