"""A container's log as the node keeps it: lines with their time and stream, bounded, followed by readers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from labrunner.sandbox.workload.machine.stream import Stream

MAX_BYTES = 2 * 1024 * 1024
MAX_PART = 16 * 1024
"""Longer lines are kept in parts, as the CRI log format does."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line or part of one. `time`: nanoseconds since the epoch."""

    time: int
    stream: str
    data: bytes

    def stamped(self) -> bytes:
        """With its RFC 3339 time before it, as `--timestamps` shows."""
        seconds, nanos = divmod(self.time, 1_000_000_000)
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{text}.{nanos:09d}Z ".encode() + self.data


class ContainerLog:
    """Keeps the newest `limit` bytes; `closed` when the container has ended."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._limit = limit
        self._first = 0
        """Sequence number of the oldest entry kept."""
        self._partial: dict[str, bytearray] = {}
        self._waiters: set[asyncio.Event] = set()
        self.taps: list[asyncio.Queue[tuple[str, bytes]]] = []
        """Who is attached: raw output as it comes."""
        self.closed = False

    def append(self, stream: str, data: bytes) -> None:
        """What was written to stdout or stderr."""
        buffer = self._partial.setdefault(stream, bytearray())
        buffer += data
        now = time.time_ns()
        while (end := buffer.find(b"\n")) >= 0:
            self._add(Entry(now, stream, bytes(buffer[: end + 1])))
            del buffer[: end + 1]
        while len(buffer) > MAX_PART:
            self._add(Entry(now, stream, bytes(buffer[:MAX_PART])))
            del buffer[:MAX_PART]
        self._wake()

    def close(self) -> None:
        """The container has ended; followers see the end."""
        for stream, buffer in self._partial.items():
            if buffer:
                self._add(Entry(time.time_ns(), stream, bytes(buffer)))
                buffer.clear()
        self.closed = True
        self._wake()

    def entries(self, tail: int | None = None, since: float = 0.0, stream: str = "") -> list[Entry]:
        """The newest `tail` lines not older than `since` (seconds since the epoch)."""
        found = [e for e in self._entries if e.time >= since * 1e9 and (not stream or e.stream == stream)]
        if tail is not None:
            found = found[-tail:] if tail else []
        return found

    async def follow(self, tail: int | None = None, since: float = 0.0, stream: str = "") -> AsyncIterator[Entry]:
        """As `entries`, then what comes, until the container ends."""
        at = self._first + len(self._entries)
        for entry in self.entries(tail, since, stream):
            yield entry
        event = asyncio.Event()
        self._waiters.add(event)
        try:
            while True:
                event.clear()
                end = self._first + len(self._entries)
                at = max(at, self._first)
                for number in range(at, end):
                    kept = self._entries[number - self._first] if number >= self._first else None
                    if kept is not None and (not stream or kept.stream == stream):
                        yield kept
                at = max(at, end)
                if self.closed and at >= self._first + len(self._entries):
                    return
                if at < self._first + len(self._entries):
                    continue
                await event.wait()
        finally:
            self._waiters.discard(event)

    def tail_bytes(self, limit: int) -> bytes:
        """The end of the log, for termination messages."""
        found = b""
        for entry in reversed(self._entries):
            found = entry.data + found
            if len(found) >= limit:
                break
        return found[-limit:]

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._bytes += len(entry.data)
        while self._bytes > self._limit and len(self._entries) > 1:
            self._bytes -= len(self._entries.popleft().data)
            self._first += 1

    def _wake(self) -> None:
        for event in self._waiters:
            event.set()


class LogStream(Stream):
    """stdout or stderr of a container's first process: into its log and to whoever is attached."""

    def __init__(self, log: ContainerLog, name: str) -> None:
        super().__init__()
        self._log, self._name = log, name

    async def write(self, data: bytes) -> None:
        self._log.append(self._name, data)
        for queue in self._log.taps:
            await queue.put((self._name, data))
        if self._log.taps or len(data) > 4096:
            await asyncio.sleep(0)
