"""The processes that a lab's shell started, also those that left its terminal, and how to end them.

A process belongs to a shell when it is in the shell's session or carries the shell's mark, the variable
`LABRUNNER_SESSION`, in its environment (so `nohup`, `setsid` and double forks do not get away). Where there is no
/proc (macOS), only the shell's own process group is known.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

MARK = "LABRUNNER_SESSION"
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    session: int
    command: str


def belonging_to(mark: str, sessions: Iterable[int] = ()) -> list[Process]:
    """Living processes with this mark or in one of these terminal sessions, this process left out."""
    wanted = f"{MARK}={mark}".encode()
    of_sessions = set(sessions)
    found = []
    for pid in _pids():
        stat = _stat(pid)
        if stat is None or stat[0] in ("Z", "X") or pid == os.getpid():
            continue
        if stat[1] in of_sessions or (mark and wanted in _read(pid, "environ").split(b"\0")):
            command = _read(pid, "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()
            found.append(Process(pid, stat[1], command))
    return found


def end(mark: str, sessions: Iterable[int] = (), *, grace: float = 0.3, spare: Collection[int] = ()) -> list[Process]:
    """End them all but `spare`: SIGHUP and SIGTERM, after `grace` seconds SIGKILL. Returns those that were there."""
    sessions = list(sessions)

    def living() -> list[Process]:
        return [p for p in belonging_to(mark, sessions) if p.pid not in spare]

    there = living()
    for process in there:
        _signal(process.pid, signal.SIGHUP)
        _signal(process.pid, signal.SIGTERM)
        _signal(process.pid, signal.SIGCONT)
    deadline = time.monotonic() + grace
    left = there
    while left and time.monotonic() < deadline:
        time.sleep(0.01)
        left = [p for p in left if alive(p.pid)]
    for _ in range(5):  # what was forking while we looked is found by looking again
        left = living()
        if not left:
            break
        for process in left:
            _signal(process.pid, signal.SIGKILL)
        time.sleep(0.01)
    return there


def alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    if not _PROC.is_dir():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    stat = _stat(pid)
    return stat is not None and stat[0] not in ("Z", "X")


def command_line(pid: int) -> str:
    """The process's command line; empty when it is not known."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_PROC) if name.isdigit()]
    except OSError:
        return []


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and session id."""
    fields = _read(pid, "stat").rpartition(b") ")[2].split()
    return (fields[0].decode(), int(fields[3])) if len(fields) > 3 else None


def _read(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
