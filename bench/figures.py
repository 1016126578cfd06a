"""What the benchmarks share: medians, memory and CPU of a process, and the line each figure is printed as."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Figures:
    """Collects and prints figures; `missed` tells whether any was over its limit."""

    def __init__(self) -> None:
        self.missed = False

    def add(
        self,
        what: str,
        value: float,
        unit: str,
        limit: float | None = None,
        note: str = "",
        at_least: float | None = None,
    ) -> None:
        """`limit`: not more than this; `at_least`: not less."""
        verdict = ""
        if limit is not None or at_least is not None:
            missed = (limit is not None and value > limit) or (at_least is not None and value < at_least)
            self.missed |= missed
            word = f"limit {limit:g}" if limit is not None else f"at least {at_least:g}"
            verdict = f"  ({word} {unit}{', MISSED' if missed else ''})"
        print(
            f"{what:<58} {value:9.{2 if unit == 'x' else 1}f} {unit:<6}{verdict}{'  ' + note if note else ''}",
            flush=True,
        )


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def median_ms(work: Callable[[], object], times: int = 5) -> float:
    return statistics.median(milliseconds(work) for _ in range(times))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far. Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """Resident memory of a process now. Linux."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6
