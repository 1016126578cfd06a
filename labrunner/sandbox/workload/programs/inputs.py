"""What tools read: the named files one after the other, or standard input."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.files import file_fault


class Inputs:
    """`status` becomes 1 (or `missing`) when a file cannot be read; that has been said by then."""

    def __init__(self, process: Process, names: Sequence[str], *, missing: int = 1) -> None:
        self._process, self._names, self._missing = process, list(names) or ["-"], missing
        self.status = 0

    async def lines(self) -> AsyncIterator[tuple[str, bytes]]:
        """(name, line with its newline, if it has one)"""
        for name in self._names:
            try:
                stream = self._process.stdin.retain() if name == "-" else self._process.open(name)
            except OSError as error:
                await file_fault(self._process, name, error)
                self.status = self._missing
                continue
            try:
                while line := await stream.readline():
                    yield name, line
                    await self._process.breathe()
            finally:
                stream.release()

    async def whole(self) -> AsyncIterator[tuple[str, bytes]]:
        """(name, everything in it)"""
        for name in self._names:
            try:
                data = await self._process.stdin.readall() if name == "-" else self._process.read_file(name)
            except OSError as error:
                await file_fault(self._process, name, error)
                self.status = self._missing
                continue
            yield name, data
            await self._process.breathe()


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
