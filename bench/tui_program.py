"""The real program on a pseudo-terminal, for the benchmarks: keys in, output until a text appears."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

LAB = """\
apiVersion: labrunner/v1
kind: Lab
metadata: {id: bench, title: A lab of files, summary: For measuring., level: beginner, minutes: 5}
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
        blocks:
          make: {title: Make it, run: "echo hello > hello.txt"}
        checks:
          - {id: there, title: hello.txt is there, file: {path: hello.txt}}
        hints: [Use echo., "Redirect it: `echo hello > hello.txt`."]
        solution:
          - {id: solve, run: echo hello > hello.txt}
"""
READY = "●".encode()
"""On the lab screen once blocks can be run."""


class Program:
    """labrunner with `arguments`, 120x36, keeping what it keeps in `home`."""

    def __init__(self, arguments: list[str], home: str, *, columns: int = 120, rows: int = 36) -> None:
        self.started = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as on a learner's machine
            os.environ.update(LABRUNNER_HOME=home, TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")
            os.execv(sys.executable, [sys.executable, "-m", "labrunner", *arguments])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.seen = b""

    def press(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def wait_for(self, text: bytes, timeout: float = 30.0) -> float:
        """Seconds since the start (or the last `mark`) at which `text` was printed."""
        deadline = time.perf_counter() + timeout
        while text not in self.seen:
            if time.perf_counter() > deadline:
                raise SystemExit(f"{text!r} never came; the end of the output: {self.seen[-500:]!r}")
            self._read(0.05)
        return time.perf_counter() - self.started

    def mark(self) -> None:
        self.seen, self.started = b"", time.perf_counter()

    def drain(self, quiet: float = 0.3) -> None:
        """Read until nothing came for `quiet` seconds."""
        while self._read(quiet):
            self.seen = b""

    def read_for(self, seconds: float) -> int:
        """Read for so long; how many bytes came."""
        end, count = time.perf_counter() + seconds, 0
        while (left := end - time.perf_counter()) > 0:
            self.seen = b""
            self._read(left)
            count += len(self.seen)
        return count

    def key_to_paint(self, key: str) -> float:
        """Seconds from pressing a key to the first paint with its character."""
        self.mark()
        self.press(key.encode())
        return self.wait_for(key.encode())

    def end(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not os.waitpid(self.pid, os.WNOHANG)[0]:
            self._read(0.02)
        os.close(self.fd)

    def _read(self, timeout: float) -> bool:
        if not select.select([self.fd], [], [], timeout)[0]:
            return False
        with contextlib.suppress(OSError):
            self.seen += os.read(self.fd, 65536)
            return True
        return False


def write_lab(directory: str) -> str:
    folder = Path(directory) / "bench"
    folder.mkdir()
    (folder / "lab.yaml").write_text(LAB)
    return str(folder)


def in_the_lab(lab: str, home: str) -> Program:
    """The lab opened for the first time and ready."""
    program = Program(["run", lab], home)
    program.wait_for(b"Do you trust")
    program.press(b"y")
    program.wait_for(READY)
    program.drain()
    return program
