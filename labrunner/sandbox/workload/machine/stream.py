"""Open files of processes: pipes, files, devices. Reading and writing wait; a reader that is gone breaks the pipe."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable

from labrunner.sandbox.workload.filesystem.node import File
from labrunner.sandbox.workload.filesystem.tree import FileSystem

CHUNK = 65536
MAX_LINE = 16 * 1024 * 1024


class Stream:
    """An open file description, shared by those descriptors that `retain` it; closed with the last `release`.

    Reading is buffered here, so `readline` never takes more than its line from whoever reads next.
    """

    is_tty = False

    def __init__(self) -> None:
        self._references = 1
        self._buffer = bytearray()

    def retain(self) -> Stream:
        self._references += 1
        return self

    def release(self) -> None:
        self._references -= 1
        if self._references == 0:
            self.close()

    def close(self) -> None:
        """Nobody holds it any more."""

    async def pull(self, size: int) -> bytes:
        """Some bytes from the source; empty at its end."""
        return b""

    async def write(self, data: bytes) -> None:
        """Write it all. Raises BrokenPipeError when nobody will read it."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    async def read(self, size: int = CHUNK) -> bytes:
        """Up to `size` bytes as soon as there are any; empty at the end."""
        if not self._buffer:
            data = await self.pull(size)
            if len(data) <= size:
                return data
            self._buffer += data
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def readline(self) -> bytes:
        """Up to and with the next newline, or what is left; empty at the end."""
        seen = 0
        while True:
            end = self._buffer.find(b"\n", seen)
            seen = len(self._buffer)
            if end >= 0:
                line = bytes(self._buffer[: end + 1])
                del self._buffer[: end + 1]
                return line
            data = await self.pull(CHUNK) if len(self._buffer) < MAX_LINE else b""
            if not data:
                line = bytes(self._buffer)
                self._buffer.clear()
                return line
            self._buffer += data

    async def readall(self, limit: int = 64 * 1024 * 1024) -> bytes:
        """Everything to the end, at most `limit` bytes."""
        parts, size = [], 0
        while data := await self.read(CHUNK):
            parts.append(data)
            size += len(data)
            if size > limit:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return b"".join(parts)


class Null(Stream):
    """/dev/null"""

    async def write(self, data: bytes) -> None:
        return


class Repeating(Stream):
    """/dev/zero, /dev/urandom, /dev/full"""

    def __init__(self, source: Callable[[int], bytes], *, full: bool = False) -> None:
        super().__init__()
        self._source, self._full = source, full

    async def pull(self, size: int) -> bytes:
        await asyncio.sleep(0)
        return self._source(min(size, CHUNK))

    async def write(self, data: bytes) -> None:
        if self._full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Bytes(Stream):
    """Reads what it was given (here documents)."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._buffer += data


class Sink(Stream):
    """Hands everything written to a function, which may wait."""

    def __init__(self, take: Callable[[bytes], Awaitable[None]]) -> None:
        super().__init__()
        self._take = take

    async def write(self, data: bytes) -> None:
        await self._take(data)


class Collected(Stream):
    """Keeps what is written, up to a limit (command substitution)."""

    def __init__(self, limit: int = 16 * 1024 * 1024) -> None:
        super().__init__()
        self.data = bytearray()
        self._limit = limit

    async def write(self, data: bytes) -> None:
        if len(self.data) + len(data) > self._limit:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        self.data += data


class Pipe:
    """A bounded pipe; `reader` and `writer` are its two open ends."""

    def __init__(self, limit: int = CHUNK) -> None:
        self._data = bytearray()
        self._limit = limit
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.write_closed = False
        self.read_closed = False
        self.reader: Stream = _PipeReader(self)
        self.writer: Stream = _PipeWriter(self)

    async def pull(self, size: int) -> bytes:
        while not self._data:
            if self.write_closed:
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._data[:size])
        del self._data[:size]
        if len(self._data) < self._limit:
            self._writable.set()
        return data

    async def push(self, data: bytes) -> None:
        view = memoryview(data)
        while True:
            if self.read_closed:
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            room = self._limit - len(self._data)
            if room > 0:
                self._data += view[:room]
                view = view[room:]
                self._changed.set()
            if not len(view):
                return
            self._writable.clear()
            await self._writable.wait()

    def feed(self, data: bytes) -> None:
        """Write without waiting, past the limit (a terminal's input)."""
        self._data += data
        self._changed.set()

    @property
    def waiting(self) -> int:
        """Bytes not read yet."""
        return len(self._data)

    async def room(self) -> None:
        """Wait until it takes more."""
        while len(self._data) >= self._limit and not self.read_closed:
            self._writable.clear()
            await self._writable.wait()

    def close_write(self) -> None:
        self.write_closed = True
        self._changed.set()

    def close_read(self) -> None:
        self.read_closed = True
        self._data.clear()
        self._writable.set()


class _PipeReader(Stream):
    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self._pipe = pipe

    async def pull(self, size: int) -> bytes:
        return await self._pipe.pull(size)

    def close(self) -> None:
        self._pipe.close_read()


class _PipeWriter(Stream):
    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self._pipe = pipe

    async def write(self, data: bytes) -> None:
        await self._pipe.push(data)

    def close(self) -> None:
        self._pipe.close_write()


class FileStream(Stream):
    """An open regular file with a position."""

    def __init__(self, fs: FileSystem, node: File, *, append: bool = False) -> None:
        super().__init__()
        self._fs, self.node, self._append = fs, node, append
        self._position = 0

    async def pull(self, size: int) -> bytes:
        data = self.node.read()[self._position : self._position + size]
        self._position += len(data)
        return data

    async def write(self, data: bytes) -> None:
        end = self.node.size
        at = end if self._append else self._position
        if at == end:
            self._fs.append(self.node, data)
            self._position = at + len(data)
            return
        old = self.node.data
        new = old[:at] + bytes(max(0, at - len(old))) + data + old[at + len(data) :]
        self._fs.set_data(self.node, new)
        self._position = at + len(data)
