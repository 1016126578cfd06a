"""What was asked of the API: who, which verb, which object, with what outcome. A ring in memory and a file of lines."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import orjson

RING = 5000
FILE_LIMIT = 8 * 1024 * 1024
"""Bytes after which the file is started anew; the one before is kept as `.1`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request that changed something or was refused; reads are kept in the ring only. `time`: epoch seconds."""

    time: float
    user: str
    verb: str
    group: str
    version: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    manager: str
    dry_run: bool


class AuditLog:
    """Appends entries; lines are buffered and reach the file with `flush`."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.entries: deque[Entry] = deque(maxlen=RING)
        self._buffer: list[bytes] = []

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        if self._path and entry.verb not in ("get", "list", "watch"):
            fields = {name: getattr(entry, name) for name in Entry.__slots__}
            self._buffer.append(orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE))

    def since(self, seconds: float) -> list[Entry]:
        """Entries of the last so many seconds."""
        start = time.time() - seconds
        return [entry for entry in self.entries if entry.time >= start]

    def flush(self) -> None:
        """Write what is buffered; a full disk loses audit lines, never state."""
        if not self._buffer or self._path is None:
            return
        data, self._buffer = b"".join(self._buffer), []
        try:
            if self._path.exists() and self._path.stat().st_size > FILE_LIMIT:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
            with open(self._path, "ab") as file:
                file.write(data)
        except OSError:
            return
