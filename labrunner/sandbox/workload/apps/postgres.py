"""PostgreSQL: start-up, authentication, and the queries that labs ask.

Source: PostgreSQL's documentation of the frontend/backend protocol, version 3.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import struct
from datetime import UTC, datetime

from labrunner.sandbox.workload.apps.sql import Database, SqlFault
from labrunner.sandbox.workload.apps.tcp_echo import stream_protocol
from labrunner.sandbox.workload.machine.process import Process, never

VERSION = "16.10"


def stamp() -> str:
    now = datetime.now(UTC)
    return now.strftime("%Y-%m-%d %H:%M:%S.") + f"{now.microsecond // 1000:03d} UTC"


async def main(process: Process) -> int:
    """`postgres [-p PORT]`."""
    env = process.env
    password = env.get("POSTGRES_PASSWORD", "")
    trust = env.get("POSTGRES_HOST_AUTH_METHOD") == "trust"
    if not password and not trust:
        # The image itself ends here; the clusters that transcripts were recorded on run it all the same.
        await process.error("WARNING: POSTGRES_PASSWORD is not set: connections need no password.\n")
        trust = True
    port = 5432
    words = process.argv[1:]
    for index, word in enumerate(words):
        if word == "-p" and index + 1 < len(words) and words[index + 1].isdigit():
            port = int(words[index + 1])
    user = env.get("POSTGRES_USER", "postgres")
    database = Database(user, env.get("POSTGRES_DB", user))
    server = Server(process, user, "" if trust else password, database)
    machine, network = process.container.pod, process.container.pod.network.network
    network.listen(machine, process.container, port, stream_protocol(server.talk))
    await process.write("PostgreSQL init process complete; ready for start up.\n\n")
    for text in (f"starting PostgreSQL {VERSION} (Debian {VERSION}-1.pgdg13+1) on x86_64-pc-linux-gnu, compiled by "
                 f"gcc, 64-bit",
                 f'listening on IPv4 address "0.0.0.0", port {port}', f'listening on IPv6 address "::", port {port}',
                 "database system is ready to accept connections"):  # fmt: skip
        await process.error(f"{stamp()} [{process.pid}] LOG:  {text}\n")
    process.serves = True
    with contextlib.suppress(asyncio.CancelledError):
        await never()
    return 0


class Server:
    def __init__(self, process: Process, user: str, password: str, database: Database) -> None:
        self._process, self._user, self._password, self._database = process, user, password, database

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            session = await self._start(reader, writer)
            if session:
                await self._queries(reader, writer)
        except (asyncio.IncompleteReadError, OSError, struct.error):
            return
        finally:
            writer.close()

    async def _start(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        while True:
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            if not 8 <= length <= 10_000:
                return False
            data = await reader.readexactly(length - 4)
            (code,) = struct.unpack(">I", data[:4])
            if code in (80877103, 80877104):  # TLS or GSS wanted
                writer.write(b"N")
                continue
            break
        if code != 196608:
            await self._fatal(writer, "0A000", "unsupported frontend protocol")
            return False
        parts = data[4:].split(b"\0")
        given = dict(zip(parts[::2], parts[1::2], strict=False))
        user = given.get(b"user", b"").decode("utf-8", "replace")
        name = given.get(b"database", b"").decode("utf-8", "replace") or user
        peer = writer.get_extra_info("peername") or ("", 0)
        local = (
            self._process.container.pod.network.network.plan.pod_ip(peer[0]) == self._process.container.pod.network_ip()
        )
        if self._password and not local and not await self._password_ok(reader, writer, user):
            text = f'password authentication failed for user "{user}"'
            await self._process.error(f"{stamp()} [{os.getpid() % 1000}] FATAL:  {text}\n")
            await self._fatal(writer, "28P01", text)
            return False
        if user != self._user:
            await self._fatal(writer, "28000", f'role "{user}" does not exist')
            return False
        if name not in self._database.names:
            await self._fatal(writer, "3D000", f'database "{name}" does not exist')
            return False
        self._send(writer, b"R", struct.pack(">I", 0))
        for key, value in (("server_version", f"{VERSION} (Debian {VERSION}-1.pgdg13+1)"), ("server_encoding", "UTF8"),
                           ("client_encoding", "UTF8"), ("DateStyle", "ISO, MDY"), ("TimeZone", "Etc/UTC"),
                           ("integer_datetimes", "on"), ("standard_conforming_strings", "on")):  # fmt: skip
            self._send(writer, b"S", f"{key}\0{value}\0".encode())
        self._send(writer, b"K", struct.pack(">II", 42, 42))
        self._send(writer, b"Z", b"I")
        await writer.drain()
        return True

    async def _password_ok(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: str) -> bool:
        salt = os.urandom(4)
        self._send(writer, b"R", struct.pack(">I", 5) + salt)
        await writer.drain()
        kind, data = await self._message(reader)
        inner = hashlib.md5((self._password + user).encode(), usedforsecurity=False).hexdigest()
        wanted = "md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest()
        return kind == b"p" and data.rstrip(b"\0").decode("utf-8", "replace") == wanted and user == self._user

    @staticmethod
    def _send(writer: asyncio.StreamWriter, kind: bytes, data: bytes) -> None:
        writer.write(kind + struct.pack(">I", len(data) + 4) + data)

    @staticmethod
    async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        kind = await reader.readexactly(1)
        (length,) = struct.unpack(">I", await reader.readexactly(4))
        if not 4 <= length < 1 << 20:
            raise ConnectionResetError
        return kind, await reader.readexactly(length - 4)

    async def _fatal(self, writer: asyncio.StreamWriter, code: str, text: str) -> None:
        self._send(writer, b"E", f"SFATAL\0VFATAL\0C{code}\0M{text}\0\0".encode())
        await writer.drain()

    async def _queries(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        failed = False
        while True:
            kind, data = await self._message(reader)
            if kind == b"X":
                return
            if kind == b"Q":
                text = data.rstrip(b"\0").decode("utf-8", "replace")
                await self._query(writer, text)
                self._send(writer, b"Z", b"I")
            elif kind == b"S":
                failed = False
                self._send(writer, b"Z", b"I")
            elif not failed and kind in (b"P", b"B", b"D", b"E", b"C"):
                self._send(
                    writer, b"E", b"SERROR\0VERROR\0C0A000\0Mextended queries are not supported by this sandbox\0\0"
                )
                failed = True
            await writer.drain()

    async def _query(self, writer: asyncio.StreamWriter, text: str) -> None:
        statements = self._database.statements(text)
        if not statements:
            self._send(writer, b"I", b"")
            return
        for statement in statements:
            try:
                result = self._database.execute(statement)
            except SqlFault as error:
                await self._process.error(f"{stamp()} [64] ERROR:  {error}\n{stamp()} [64] STATEMENT:  {statement}\n")
                self._send(writer, b"E", f"SERROR\0VERROR\0C{error.code}\0M{error}\0\0".encode())
                return
            if result.columns is not None:
                described = struct.pack(">H", len(result.columns))
                for name in result.columns:
                    described += name.encode() + b"\0" + struct.pack(">IhIhih", 0, 0, 25, -1, -1, 0)
                self._send(writer, b"T", described)
                for row in result.rows:
                    packed = struct.pack(">H", len(row))
                    for cell in row:
                        value = None if cell is None else cell.encode()
                        packed += struct.pack(">i", -1) if value is None else struct.pack(">I", len(value)) + value
                    self._send(writer, b"D", packed)
            self._send(writer, b"C", result.tag.encode() + b"\0")
