"""The session's journal: one JSON line per durable event, written before anyone hears of it.

A line is one `write` on a descriptor opened for appending, so `kill -9` leaves whole lines and at most one torn one
at the end, which is cut off at the next start (nobody was told of it). A line in the middle that cannot be read is
skipped and noted. Lines that say progress are also synced to disk, against loss of power; the rest is left to the
system. `schema` in the first line is raised when old versions could misread new lines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labrunner.errors import EnvironmentFault
from labrunner.run import events
from labrunner.run.events import Event

SCHEMA = 1
_SYNCED = (events.SessionStarted, events.SessionEnded, events.StepStateChanged, events.AttemptFinished)


class JournalTooNew(EnvironmentFault):
    """A newer labrunner wrote it."""


class Journal:
    """Open for appending; exactly one process may (see `lock.SessionLock`). Not thread-safe: the engine serialises."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def open(self) -> None:
        """Create it or cut off a torn last line. Raises `EnvironmentFault`."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            end = _end_of_last_line(self._fd)
            size = os.fstat(self._fd).st_size
            if end < size:
                os.ftruncate(self._fd, end)
            if end == 0:
                self._append({"journal": "labrunner", "schema": SCHEMA})
        except OSError as error:
            raise self._fault("open", error) from error

    def write(self, event: Event) -> None:
        """Add one event. Raises `EnvironmentFault` when it could not be kept; then nothing of it is in the file."""
        try:
            self._append(events.to_json(event))
            if isinstance(event, _SYNCED):
                os.fsync(self._fd)
        except OSError as error:
            raise self._fault("write", error) from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    def _append(self, data: dict[str, Any]) -> None:
        line = json.dumps(data, separators=(",", ":")).encode() + b"\n"
        before = os.fstat(self._fd).st_size
        try:
            written = os.write(self._fd, line)
        except OSError:
            os.ftruncate(self._fd, before)
            raise
        if written != len(line):
            os.ftruncate(self._fd, before)
            raise OSError(28, "No space left on device")

    def _fault(self, doing: str, error: OSError) -> EnvironmentFault:
        return EnvironmentFault(
            f"cannot {doing} the session's journal {self.path}: {error.strerror or error}",
            hint="free space or make the place writable (LABRUNNER_HOME chooses another), then run again: "
            "everything shown as done so far is kept",
        )


class Reader:
    """Reads a journal that may still grow; `notes` says what was skipped."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        """Bytes read so far, whole lines only."""
        self.notes: list[str] = []

    def read(self) -> Iterator[Event]:
        """The events since the last call. Raises `EnvironmentFault`; a journal that does not exist is empty."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    start, self.offset = self.offset, self.offset + len(line)
                    event = self._parse(line, start)
                    if event is not None:
                        yield event
        except FileNotFoundError:
            return
        except OSError as error:
            raise EnvironmentFault(
                f"cannot read the session's journal {self.path}: {error.strerror or error}",
                hint="check its owner and permissions",
            ) from error

    def _parse(self, line: bytes, start: int) -> Event | None:
        try:
            data = json.loads(line)
            if not isinstance(data, dict):
                raise ValueError("not an object")
            if "journal" in data:
                if int(data.get("schema", 0)) > SCHEMA:
                    raise JournalTooNew(
                        f"the session's journal {self.path} was written by a newer labrunner",
                        hint="upgrade labrunner, or `labrunner reset` the lab",
                    )
                return None
            return events.from_json(data)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            self.notes.append(f"{self.path}: the line at byte {start} cannot be read and was skipped ({error})")
            return None


def _end_of_last_line(fd: int) -> int:
    """Offset just behind the last newline; 0 when there is none."""
    at = os.fstat(fd).st_size
    while at > 0:
        start = max(0, at - 65_536)
        newline = os.pread(fd, at - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        at = start
    return 0
