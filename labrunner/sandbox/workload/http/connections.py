"""Connections that one curl keeps alive between its transfers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from labrunner.sandbox.workload.machine.process import Process


@dataclass(slots=True)
class Connection:
    key: tuple[str, str, int, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    ip: str
    port: int
    verify: int = 0
    used: int = 0
    tls_text: list[str] = field(default_factory=list)

    def usable(self) -> bool:
        return not (self.reader.at_eof() or self.writer.is_closing() or self.reader.exception())


class Pool:
    """Connections kept alive within one command."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.idle: list[Connection] = []
        self.count = 0

    def take(self, key: tuple[str, str, int, str]) -> Connection | None:
        for connection in self.idle:
            if connection.key == key and connection.usable():
                self.idle.remove(connection)
                return connection
        return None

    def give(self, connection: Connection) -> None:
        self.idle.append(connection)

    def close(self) -> None:
        for connection in self.idle:
            connection.writer.close()
        self.idle.clear()
