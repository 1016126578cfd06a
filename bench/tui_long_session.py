"""A day's session: memory after it, and the time to resume it.

Memory: thousands of commands typed into the lab's shell of the real program, a page of output each. Resume: the
journal of that session, from starting labrunner to the step on the screen with its state, and to the shell's prompt.
Usage: bench/tui_long_session.py [COMMANDS]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from figures import Figures, cpu_seconds, resident_mb
from tui_program import Program, in_the_lab, write_lab

COMMANDS = 5000
BATCH = 50
"""Commands typed ahead of the shell."""
COMMAND = "seq -f 'line %g of the output of a command of this day' {0} $(({0} + 40)); echo $'\\e[32mdone\\e[0m' {0}\r"
RUNS = 5


def type_a_day(program: Program, commands: int) -> None:
    program.press(b"\x1b[17~")
    program.drain()
    for first in range(1, commands + 1, BATCH):
        last = min(first + BATCH - 1, commands)
        for number in range(first, last + 1):
            program.press(COMMAND.format(number).encode())
        program.press(f"echo reached''-{last}\r".encode())
        program.wait_for(f"reached-{last}".encode(), timeout=300)
        program.mark()
    program.press(b"\x1b[17~")
    program.drain()


def events_kept(home: str) -> tuple[int, float]:
    """Finished commands in the journal, and its size in MB."""
    journal = next(Path(home).rglob("sessions/*/*/journal.jsonl"))
    lines = journal.read_bytes().splitlines()
    return sum(json.loads(line).get("event") == "BlockFinished" for line in lines), journal.stat().st_size / 1e6


def main() -> int:
    commands = int(sys.argv[1]) if len(sys.argv) > 1 else COMMANDS
    figures = Figures()
    with tempfile.TemporaryDirectory() as directory:
        lab, home = write_lab(directory), f"{directory}/home"
        program = in_the_lab(lab, home)
        figures.add("resident memory, session begun", resident_mb(program.pid), "MB")
        program.press(b"c")
        program.wait_for("✘".encode())
        began = time.perf_counter()
        type_a_day(program, commands)
        took = time.perf_counter() - began
        figures.add(f"resident memory after {commands} commands", resident_mb(program.pid), "MB", 300.0)
        program.press(b"r")
        program.wait_for(b"passed")
        program.end()
        kept, size = events_kept(home)
        figures.add("commands in the journal", kept, "", None, f"{size:.1f} MB, {took / kept * 1000:.0f} ms each")
        shown, ready, cpu = [], [], []
        for _ in range(RUNS):
            program = Program(["run", lab], home)
            shown.append(program.wait_for("✔".encode()) * 1000)
            cpu.append(cpu_seconds(program.pid) * 1000)
            ready.append(program.wait_for("●".encode()) * 1000)
            program.end()
        note = f"{statistics.median(cpu):.0f} ms of CPU"
        figures.add(f"resumed, step and state shown, median of {RUNS}", statistics.median(shown), "ms", 800.0, note)
        figures.add(f"resumed, shell ready, median of {RUNS}", statistics.median(ready), "ms")
    return int(figures.missed)


if __name__ == "__main__":
    sys.exit(main())
