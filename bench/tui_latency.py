"""Time from a key press to the paint that shows it: idle, and while the shell prints at full speed; CPU when idle.

Runs the real program on a pseudo-terminal of 120x36. Usage: bench/tui_latency.py [KEYS]
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time

from figures import Figures, cpu_seconds
from tui_program import Program, in_the_lab, write_lab

LETTERS = "абвгдежзиклмнопрстуфхцчшщъыьэюяАБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯαβγδεζηθλμνξοπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"
"""Letters that nothing else on the screen has."""
FLOOD = b"yes $'\\e[32m0123456789 0123456789\\e[0m 0123456789 0123456789'\r"
IDLE_FOR = 10.0
"""Seconds."""


def presses(program: Program, keys: str, pause: float) -> list[float]:
    """Milliseconds, sorted. `pause`: seconds between a paint and the next key."""
    took = []
    for key in keys:
        took.append(program.key_to_paint(key) * 1000)
        program.read_for(pause)
    return sorted(took)


def add(figures: Figures, what: str, took: list[float], limit: float) -> None:
    figures.add(f"{what}, 95 % of {len(took)}", took[int(len(took) * 0.95)], "ms", limit)
    figures.add(f"{what}, median", took[len(took) // 2], "ms")


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 80
    letters = "".join(itertools.islice(itertools.cycle(LETTERS), min(count, len(LETTERS))))
    figures = Figures()
    with tempfile.TemporaryDirectory() as directory:
        program = in_the_lab(write_lab(directory), f"{directory}/home")
        before, began = cpu_seconds(program.pid), time.monotonic()
        program.read_for(IDLE_FOR)
        idle = (cpu_seconds(program.pid) - before) / (time.monotonic() - began) * 100
        figures.add("idle CPU, lab open", idle, "%", 1.0)

        program.press(b"w")
        program.wait_for(b"Your note")
        program.drain()
        add(figures, "key press to paint, idle, on the lab", presses(program, letters, 0.05), 30)
        program.press(b"\x1b")
        program.drain(0.5)

        program.press(b"\x1b[17~")
        program.drain()
        add(figures, "key press to paint, idle, in the shell", presses(program, letters, 0.05), 30)
        program.press(b"\x15")
        program.drain()

        program.press(FLOOD)
        program.read_for(1.0)
        program.press(b"\x1b[17~")
        program.read_for(0.5)
        program.press(b"w")
        program.wait_for(b"Your note")
        add(figures, "key press to paint, shell at full speed", presses(program, letters, 0.1), 80)
        program.end()
    return int(figures.missed)


if __name__ == "__main__":
    sys.exit(main())
