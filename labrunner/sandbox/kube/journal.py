"""The write-ahead journal: JSON lines, one per write, on disk before the write is acknowledged.

A line is `{"v":<revision>,"k":<kind id>,"o":<object>}` for a put and `{"v":...,"k":...,"d":<key>}` for a removal.
A torn last line is dropped at load. Compaction writes the live objects to a new file and renames it over the old one.
`write(2)` has returned before a client hears of success, so `kill -9` loses nothing; fsync follows in the background,
against power loss.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from labrunner.errors import EnvironmentFault

log = logging.getLogger(__name__)

Line = dict[str, Any]
COMPACT_FROM_BYTES = 8 * 1024 * 1024
"""A journal smaller than this is never compacted."""
COMPACT_RATIO = 3
"""Compact once the file is this many times as large as after the last compaction."""


class JournalFull(OSError):
    """The disk refused the write; nothing of it was kept."""


class Journal:
    """One open journal file. Not thread-safe, except `sync`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._size = 0
        self._base = 0
        self._dirty = False

    def load(self) -> Iterator[Line]:
        """Every line so far; then the journal is open for appending, a torn last line cut off."""
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND, 0o600)
            with open(self._fd, "rb", closefd=False) as file:
                data = file.read()
        except OSError as error:
            raise EnvironmentFault(
                f"cannot open the sandbox's journal {self.path}: {error.strerror}",
                hint="Make its directory writable, or set LABRUNNER_HOME to one that is.",
            ) from error
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            log.warning("dropped a torn last line of %d bytes", len(data) - whole)
            os.ftruncate(self._fd, whole)
        self._size = self._base = whole
        for number, raw in enumerate(data[:whole].splitlines(), 1):
            try:
                line = orjson.loads(raw)
            except orjson.JSONDecodeError:
                log.error("line %d of %s is damaged and was skipped", number, self.path)
                continue
            yield line

    def append(self, line: Line) -> None:
        """Keep this line. Raises `JournalFull` (and leaves the file as it was) when the disk refuses."""
        data = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError as error:
            if written:
                os.ftruncate(self._fd, self._size)
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS):
                raise JournalFull(error.errno, os.strerror(error.errno or 0)) from error
            raise
        self._size += len(data)
        self._dirty = True

    @property
    def dirty(self) -> bool:
        """Whether something waits for `sync`."""
        return self._dirty

    @property
    def wants_compaction(self) -> bool:
        return self._size > max(COMPACT_FROM_BYTES, COMPACT_RATIO * self._base)

    def replace(self, lines: Iterable[Line]) -> None:
        """Let the journal hold these lines only, atomically. Raises `JournalFull`; the old one then stays."""
        fresh = self.path.with_suffix(".new")
        size = write_lines(fresh, lines)
        os.replace(fresh, self.path)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_APPEND)
        self._size = self._base = size
        self._dirty = True

    def sync(self) -> None:
        """Flush to the disk itself if anything was written since the last call. May run in another thread."""
        if self._dirty and self._fd >= 0:
            self._dirty = False
            fd = os.dup(self._fd)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def write_lines(path: Path, lines: Iterable[Line]) -> int:
    """Write a whole file of lines; returns its size in bytes. Raises `JournalFull`; no half file is left."""
    size = 0
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            for line in lines:
                size += file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise JournalFull(error.errno, os.strerror(error.errno or 0)) from error
    return size


def read_lines(path: Path) -> Iterator[Line]:
    """The whole lines of a file written by `write_lines`."""
    with open(path, "rb") as file:
        for raw in file:
            if raw.endswith(b"\n"):
                yield orjson.loads(raw)
