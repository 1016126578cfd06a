"""Time from starting labrunner to the first frame of the catalogue and of a lab. Usage: tui_first_frame.py [RUNS]"""

from __future__ import annotations

import statistics
import sys
import tempfile

from figures import Figures, cpu_seconds
from tui_program import Program, write_lab

LIMIT = 400.0
"""Milliseconds."""
FRAME = "╭".encode()


def times(arguments: list[str], *texts: bytes) -> list[tuple[float, float]]:
    """When each text was printed, in milliseconds, and the CPU time used until then; with a home of its own."""
    with tempfile.TemporaryDirectory() as home:
        program = Program(arguments, home)
        found = [(program.wait_for(text) * 1000, cpu_seconds(program.pid) * 1000) for text in texts]
        program.end()
        return found


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    times([], b"intermediate")  # compiles what was never compiled
    catalogue = [times([], FRAME, b"intermediate") for _ in range(runs)]
    with tempfile.TemporaryDirectory() as directory:
        lab = write_lab(directory)
        labs = [times(["run", lab], b"opening the lab", b"Do you trust") for _ in range(runs)]
    figures = Figures()
    for name, what, values, limit in (
        ("first frame of the catalogue", 0, catalogue, LIMIT),
        ("labs listed", 1, catalogue, None),
        ("first frame of a lab", 0, labs, LIMIT),
        ("the lab on the screen", 1, labs, None),
    ):
        cpu = statistics.median(v[what][1] for v in values)
        median = statistics.median(v[what][0] for v in values)
        figures.add(f"{name}, median of {runs}", median, "ms", limit, f"{cpu:.0f} ms of CPU")
    return int(figures.missed)


if __name__ == "__main__":
    sys.exit(main())
