"""A pseudo terminal's line discipline: echo, erasing, Ctrl-C and Ctrl-D, and newlines as terminals want them.

In cooked mode a line is edited here; in raw mode (the shell's own line editor) bytes are passed as they come, but for
the keys that are signals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from labrunner.sandbox.workload.machine.stream import Pipe, Stream

if TYPE_CHECKING:
    from labrunner.sandbox.workload.machine.process import Process

_MAX_LINE = 4096
INT, EOF, ERASE, KILL_LINE, WORD, QUIT, SUSPEND = b"\x03", b"\x04", b"\x7f\x08", b"\x15", b"\x17", b"\x1c", b"\x1a"


class Terminal:
    """One terminal. Keys come by `feed`; what it shows goes where `show_with` says."""

    def __init__(self) -> None:
        self.rows, self.columns = 24, 80
        self.raw = False
        self.echo = True
        self._line = bytearray()
        self._input = Pipe()
        self._shown: Callable[[bytes], object] = lambda data: None
        self._stream = _TerminalStream(self)
        self.stream: Stream = self._stream
        self.processes: list[Process] = []
        """Those that have this as their terminal, in order of their start."""
        self.sink: Stream | None = None

    def feed(self, data: bytes) -> None:
        """Keys typed."""
        for value in data:
            self._key(bytes((value,)))

    def _key(self, key: bytes) -> None:
        if key == INT:
            self._line.clear()
            if self.echo and not self.raw:
                self._show(b"^C\r\n")
            self.signal(2)
            return
        if key == QUIT and not self.raw:
            self._show(b"^\\\r\n")
            self.signal(3)
            return
        if self.raw:
            self._input.feed(key)
            return
        if key == EOF:
            if self._line:
                self._flush()
            else:
                self._stream.end_once()
            return
        if key == b"\r":
            key = b"\n"
        if key in (b"\x7f", b"\x08"):
            self._erase(1)
        elif key == KILL_LINE:
            self._erase(len(self._line))
        elif key == WORD:
            stripped = bytes(self._line).rstrip()
            self._erase(len(self._line) - (stripped.rfind(b" ") + 1))
        elif key == b"\n":
            self._line += key
            if self.echo:
                self._show(b"\r\n")
            self._flush()
        elif len(self._line) < _MAX_LINE:
            self._line += key
            if self.echo:
                self._show(key if key >= b" " or key == b"\t" else b"^" + bytes((key[0] ^ 0x40,)))

    def _erase(self, count: int) -> None:
        while count > 0 and self._line:
            last = self._line.pop()
            count -= 1
            while self._line and last & 0xC0 == 0x80:  # the rest of a UTF-8 character
                last = self._line.pop()
                count -= 1
            if self.echo:
                self._show(b"\b \b" if last >= 32 else b"\b\b  \b\b")

    def _flush(self) -> None:
        self._input.feed(bytes(self._line))
        self._line.clear()

    def close_input(self) -> None:
        """No more keys: whoever reads sees the end."""
        self._input.close_write()

    def signal(self, number: int) -> None:
        """To the foreground: every process of this terminal that is not in the background."""
        for process in list(self.processes):
            if not process.background:
                process.kill(number)

    def hang_up(self) -> None:
        """The other side is gone."""
        self._input.close_write()
        for process in list(self.processes):
            process.kill(1)

    def resize(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        for process in list(self.processes):
            process.kill(28)

    def _show(self, data: bytes) -> None:
        self._shown(data)

    def show_with(self, shown: Callable[[bytes], object], sink: Stream) -> None:
        """`shown`: takes echo without waiting; `sink`: takes programs' output and may make them wait."""
        self._shown, self.sink = shown, sink


class _TerminalStream(Stream):
    """The open terminal: reading takes lines, writing shows."""

    is_tty = True

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self.terminal = terminal
        self._ends = 0
        self._end = asyncio.Event()

    def end_once(self) -> None:
        """Ctrl-D at the start of a line: the next read sees the end, later ones do not."""
        self._ends += 1
        self._end.set()

    async def pull(self, size: int) -> bytes:
        pipe = self.terminal._input
        if pipe.waiting or pipe.write_closed:
            return await pipe.pull(size)
        if self._ends:
            self._ends -= 1
            return b""
        self._end.clear()
        reading = asyncio.ensure_future(pipe.pull(size))
        ending = asyncio.ensure_future(self._end.wait())
        try:
            await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                return reading.result()
            self._ends -= 1
            return b""
        finally:
            reading.cancel()
            ending.cancel()

    async def write(self, data: bytes) -> None:
        sink = self.terminal.sink
        if sink is not None:
            await sink.write(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
