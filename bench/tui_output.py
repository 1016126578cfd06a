"""CPU and wall time that the lab screen needs to show 10 MB of coloured output, and how it stays usable meanwhile.

The real screen of 120x36 without a terminal behind it, fed as a shell's reader feeds it. Usage: bench/tui_output.py
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tui"), str(ROOT / "bench")]

from figures import Figures, resident_mb  # noqa: E402
from scripted_lab import make_lab  # noqa: E402
from stage import running  # noqa: E402

SIZE = 10_000_000
COLOURS = (31, 32, 33, 34, 35, 36)
WORDS = ("pod/backend-7c9f", "Running", "2/2", "istio-system", "CrashLoopBackOff", "12m", "10.0.4.17")


def output() -> bytes:
    lines, size, number = [], 0, 0
    while size < SIZE:
        number += 1
        words = (
            f"\x1b[{COLOURS[(number + i) % 6]}m{WORDS[(number * 3 + i) % 7]}\x1b[0m" for i in range(1 + number % 7)
        )
        line = f"{number:07} {' '.join(words)}\r\n".encode()
        lines.append(line)
        size += len(line)
    return b"".join(lines)


async def main() -> int:
    data = output()
    async with running(lab=make_lab()) as stage:
        terminal = stage.lab.shell
        await stage.press("f6")
        await asyncio.sleep(0.3)
        cpu, wall = time.process_time(), time.perf_counter()

        def read() -> None:
            for start in range(0, len(data), 65536):
                terminal.push(data[start : start + 65536])

        reader = threading.Thread(target=read)
        reader.start()
        waits = []
        while reader.is_alive() or not terminal.wait_drained(0):
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            waits.append(time.perf_counter() - before - 0.01)
        last = data[-200:].decode().split("\r\n")[-2][:7]
        await stage.until(lambda: last in stage.text())
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        waits.sort()
        figures = Figures()
        figures.add("10 MB of coloured output shown, CPU", cpu, "s", 3.0, f"{wall:.1f} s wall")
        figures.add("of it never interpreted: nobody could have seen it", terminal.shed_bytes / 1e6, "MB")
        figures.add("event loop held up meanwhile, 95 %", waits[int(len(waits) * 0.95)] * 1000, "ms", 80)
        figures.add("event loop held up meanwhile, worst", waits[-1] * 1000, "ms")
        figures.add("resident memory after it", resident_mb(os.getpid()), "MB", 200)
        return int(figures.missed)


sys.exit(asyncio.run(main()))
