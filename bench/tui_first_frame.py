"""Time from starting labrunner to its first frame, and from a key press to the paint that shows it.

Runs the real program on a pseudo-terminal of 120x36. Usage: bench/tui_first_frame.py [RUNS]
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Callable

from figures import Figures


class Program:
    """A child on a pseudo-terminal of its own, with a home of its own."""

    def __init__(self, argv: list[str], home: str) -> None:
        self.started = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as on a learner's machine
            os.environ.update(LABRUNNER_HOME=home, TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")
            os.execv(argv[0], argv)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        self.seen = b""

    def wait_for(self, text: bytes, timeout: float = 15.0) -> float:
        """Seconds since the start (or the last `mark`) at which `text` was printed."""
        deadline = time.perf_counter() + timeout
        while text not in self.seen:
            if time.perf_counter() > deadline:
                raise SystemExit(f"{text!r} never came; the end of the output: {self.seen[-500:]!r}")
            if select.select([self.fd], [], [], 0.05)[0]:
                self.seen += os.read(self.fd, 65536)
        return time.perf_counter() - self.started

    def mark(self) -> None:
        self.seen, self.started = b"", time.perf_counter()

    def drain(self, quiet: float = 0.3) -> None:
        while select.select([self.fd], [], [], quiet)[0]:
            os.read(self.fd, 65536)

    def end(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            done, _ = os.waitpid(self.pid, os.WNOHANG)
            if done:
                break
            if select.select([self.fd], [], [], 0.02)[0]:
                with contextlib.suppress(OSError):
                    os.read(self.fd, 65536)
        os.close(self.fd)


def once(use: Callable[[Program], object]) -> None:
    with tempfile.TemporaryDirectory() as home:
        program = Program([sys.executable, "-m", "labrunner"], home)
        use(program)
        program.end()


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    frames, labs = [], []
    once(lambda program: program.wait_for(b"intermediate"))  # compiles what was never compiled
    for _ in range(runs):
        once(
            lambda program: (
                frames.append(program.wait_for("╭".encode())),
                labs.append(program.wait_for(b"intermediate")),
            )
        )
    figures = Figures()
    figures.add(f"first frame of the catalogue, median of {runs}", statistics.median(frames) * 1000, "ms", 500)
    figures.add(f"labs listed, median of {runs}", statistics.median(labs) * 1000, "ms")

    with tempfile.TemporaryDirectory() as home:
        program = Program([sys.executable, "-m", "labrunner"], home)
        program.wait_for(b"intermediate")
        program.drain()
        os.write(program.fd, b"/")
        program.drain()
        presses = []
        for letter in b"abcdefghijklmnopqrstuvwxyz" * 2:
            program.mark()
            os.write(program.fd, bytes([letter]))
            presses.append(program.wait_for(bytes([letter])))
            program.drain(0.05)
        program.end()
    presses.sort()
    figures.add(f"key press to paint, 95 % of {len(presses)}", presses[int(len(presses) * 0.95)] * 1000, "ms", 30)
    return int(figures.missed)


if __name__ == "__main__":
    sys.exit(main())
