"""`psql` and `pg_isready`: clients of the PostgreSQL protocol."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from urllib.parse import unquote, urlsplit

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.network import network_of
from labrunner.sandbox.workload.programs.options import OptionFault, Options, parse, wrong
from labrunner.sandbox.workload.programs.table import program

_LONG = {"host": "h=", "port": "p=", "username": "U=", "dbname": "d=", "command": "c=", "tuples-only": "t",
         "no-align": "A",
         "quiet": "q", "no-password": "w", "password": "W", "list": "l", "version": "V", "file": "f=", "no-psqlrc": "X",
         "timeout": "timeout=", "field-separator": "F=", "set": "v=", "csv": "csv", "expanded": "x"}  # fmt: skip


class _Fault(Exception):
    """What psql says; status 2."""


@program("pg_isready")
async def pg_isready(process: Process) -> int:
    options = parse(process.argv[1:], "h:p:U:d:t:q", _LONG)
    host = options.value("h") or process.env.get("PGHOST", "")
    port = options.value("p") or process.env.get("PGPORT", "5432")
    shown = f"{host or '/var/run/postgresql'}:{port}"
    found = network_of(process).resolve(process.container.pod, host or "127.0.0.1")
    status, text = 2, "no response"
    if found and port.isdigit():
        try:
            async with asyncio.timeout(3):
                _, writer = await network_of(process).connect(process.container.pod, found[0], int(port))
            writer.close()
            status, text = 0, "accepting connections"
        except (OSError, TimeoutError):
            status = 2
    if not options.flag("q"):
        await process.line(f"{shown} - {text}")
    return status


@program("psql")
async def psql(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "h:p:U:d:c:tAqwWlVf:XF:v:xP:", _LONG)
    except OptionFault as error:
        return await wrong(process, error, 2)
    if options.flag("V"):
        await process.line("psql (PostgreSQL) 16.10 (Debian 16.10-1.pgdg13+1)")
        return 0
    client = _Client(process, options)
    try:
        await client.connect()
    except _Fault as error:
        await process.error(f"psql: error: {error}\n")
        return 2
    try:
        return await _session(process, options, client)
    except (OSError, asyncio.IncompleteReadError):
        await process.error("psql: error: server closed the connection unexpectedly\n\tThis probably means the "
                            "server terminated "
                            "abnormally\n\tbefore or while processing the request.\n")  # fmt: skip
        return 2
    finally:
        client.close()


async def _session(process: Process, options: Options, client: _Client) -> int:
    texts = options.values("c")
    if options.flag("l"):
        texts = ["select datname from pg_database", *texts]
    if path := options.value("f"):
        texts.append(process.read_file(path).decode("utf-8", "replace"))
    if texts:
        status = 0
        for text in texts:
            status = await _command(process, options, client, text)
        return status
    prompt = f"{client.database}=# "
    terminal = process.stdin.is_tty
    if terminal:
        await process.write('psql (16.10 (Debian 16.10-1.pgdg13+1))\nType "help" for help.\n\n')
    text, status = "", 0
    while True:
        if terminal:
            await process.write(prompt if not text else f"{client.database}-# ")
        line = await process.stdin.readline()
        if not line:
            break
        text += line.decode("utf-8", "replace")
        stripped = text.strip()
        if stripped in ("\\q", "quit", "exit"):
            break
        if stripped.startswith("\\") or stripped.endswith(";"):
            status = await _command(process, options, client, stripped)
            text = ""
    if text.strip():
        status = await _command(process, options, client, text)
    if terminal:
        await process.write("\n")
    return status


async def _command(process: Process, options: Options, client: _Client, text: str) -> int:
    shortcuts = {"\\l": "select datname from pg_database", "\\dt": "select tablename from pg_tables",
                 "\\conninfo": "select current_user"}  # fmt: skip
    asked = text.strip()
    text = shortcuts.get(text.strip().split(" ")[0], text) if text.strip().startswith("\\") else text
    if text.startswith("\\"):
        await process.error(f"invalid command {text.split(' ')[0]}\nTry \\? for help.\n")
        return 0
    results, error = await client.query(text)
    for columns, rows, tag in results:
        if asked.startswith("\\dt"):
            await _relations(process, options, rows)
        elif columns is None:
            if not options.flag("q"):
                await process.line(tag)
        else:
            await process.write(_table(options, columns, rows))
    if error:
        await process.error(f"ERROR:  {error}\n")
        return 1
    return 0


async def _relations(process: Process, options: Options, rows: list[Row]) -> None:
    """`\\dt`"""
    if not rows:
        await process.error("Did not find any relations.\n")
        return
    owner = options.value("U") or "postgres"
    shown = _table(options, ["Schema", "Name", "Type", "Owner"], [["public", row[0], "table", owner] for row in rows])
    title = "List of relations".center(len(shown.split("\n")[1])).rstrip()
    await process.write(shown if options.flag("t", "A") else f"{title}\n{shown}")


Row = list[str | None]


def _centred(text: str, width: int) -> str:
    """With the odd blank on the right, as psql has it."""
    left = max(width - len(text), 0) // 2
    return " " * left + text.ljust(width - left)


def _table(options: Options, columns: list[str], rows: list[Row]) -> str:
    cells = [[cell or "" for cell in row] for row in rows]
    if options.flag("A", "csv"):
        separator = "," if options.flag("csv") else options.value("F", "|")
        lines = [separator.join(row) for row in cells]
        if not options.flag("t"):
            lines = [separator.join(columns), *lines]
            if not options.flag("csv"):
                lines.append(f"({len(rows)} row{'s' if len(rows) != 1 else ''})")
        return "".join(f"{line}\n" for line in lines)
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    right = [
        bool(rows) and all((row[i] or "0").lstrip("-").replace(".", "", 1).isdigit() for row in cells)
        for i in range(len(columns))
    ]
    out = []
    if not options.flag("t"):
        out.append("|".join(f" {_centred(name, width)} " for name, width in zip(columns, widths, strict=True)))
        out.append("+".join("-" * (width + 2) for width in widths))
    for row in cells:
        out.append(
            "|".join(
                f" {cell.rjust(w) if r else cell.ljust(w)} " for cell, w, r in zip(row, widths, right, strict=True)
            ).rstrip()
        )
    if not options.flag("t"):
        out.append(f"({len(rows)} row{'s' if len(rows) != 1 else ''})")
    return "\n".join(out) + "\n\n"


class _Client:
    def __init__(self, process: Process, options: Options) -> None:
        env = process.env
        rest = list(options.rest)
        url = next((w for w in [options.value("d"), *rest] if w.startswith(("postgres://", "postgresql://"))), "")
        parts = urlsplit(url) if url else None
        self.process = process
        self.host = options.value("h") or (parts.hostname if parts else "") or env.get("PGHOST", "")
        self.port = options.value("p") or (str(parts.port) if parts and parts.port else "") or env.get("PGPORT", "5432")
        plain = [w for w in rest if "://" not in w]
        own = process.container.user_name(process.owner.uid) or "root"
        self.user = options.value("U") or (unquote(parts.username) if parts and parts.username else "") or (
            plain[1] if len(plain) > 1 else "") or env.get("PGUSER", own)  # fmt: skip
        name = options.value("d") if "://" not in options.value("d") else ""
        self.database = name or (parts.path.strip("/") if parts else "") or (plain[0] if plain else "") or env.get(
            "PGDATABASE", self.user)  # fmt: skip
        self.password = (unquote(parts.password) if parts and parts.password else "") or env.get("PGPASSWORD", "")
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    async def connect(self) -> None:
        """Raises _Fault."""
        network, machine = network_of(self.process), self.process.container.pod
        found = network.resolve(machine, self.host or "127.0.0.1")
        if not found:
            raise _Fault(f'could not translate host name "{self.host}" to address: Name or service not known')
        where = f'connection to server at "{self.host}" ({found[0]}), port {self.port} failed: '
        if not self.host:
            where = f'connection to server on socket "/var/run/postgresql/.s.PGSQL.{self.port}" failed: '
        try:
            self._reader, self._writer = await network.connect(
                machine, found[0], int(self.port) if self.port.isdigit() else 0
            )
        except ConnectionRefusedError:
            hint = "Is the server running on that host and accepting TCP/IP connections?"
            if not self.host:
                raise _Fault(f"{where}No such file or directory\n\tIs the server running locally and accepting "
                             f"connections on that "
                             "socket?") from None  # fmt: skip
            raise _Fault(f"{where}Connection refused\n\t{hint}") from None
        except (OSError, TimeoutError):
            raise _Fault(f"{where}Connection timed out\n\tIs the server running on that host and accepting TCP/IP "
                         "connections?") from None  # fmt: skip
        parameters = f"user\0{self.user}\0database\0{self.database}\0application_name\0psql\0\0".encode()
        self._writer.write(struct.pack(">II", len(parameters) + 8, 196608) + parameters)
        try:
            await self._authenticate(where)
        except (OSError, asyncio.IncompleteReadError):
            raise _Fault(f"{where}server closed the connection unexpectedly\n\tThis probably means the server "
                         f"terminated abnormally\n"
                         "\tbefore or while processing the request.") from None  # fmt: skip

    async def _authenticate(self, where: str) -> None:
        assert self._writer is not None
        while True:
            kind, data = await self._message()
            if kind == b"E":
                raise _Fault(where + "FATAL:  " + _message(data))
            if kind == b"R":
                (code,) = struct.unpack(">I", data[:4])
                if code == 5:
                    if not self.password and self.process.stdin.is_tty:
                        self.password = await self._ask()
                    if not self.password:
                        raise _Fault(f"{where}fe_sendauth: no password supplied")
                    inner = hashlib.md5((self.password + self.user).encode(), usedforsecurity=False).hexdigest()
                    answer = "md5" + hashlib.md5(inner.encode() + data[4:8], usedforsecurity=False).hexdigest()
                    packed = answer.encode() + b"\0"
                    self._writer.write(b"p" + struct.pack(">I", len(packed) + 4) + packed)
            elif kind == b"Z":
                return

    async def _ask(self) -> str:
        terminal = self.process.terminal
        await self.process.error(f"Password for user {self.user}: ")
        if terminal is not None:
            terminal.echo = False
        line = await self.process.stdin.readline()
        if terminal is not None:
            terminal.echo = True
        await self.process.error("\n")
        return line.decode("utf-8", "replace").rstrip("\n")

    async def _message(self) -> tuple[bytes, bytes]:
        assert self._reader is not None
        kind = await self._reader.readexactly(1)
        (length,) = struct.unpack(">I", await self._reader.readexactly(4))
        return kind, await self._reader.readexactly(min(length - 4, 1 << 24))

    async def query(self, text: str) -> tuple[list[tuple[list[str] | None, list[Row], str]], str]:
        """(results as (columns, rows, tag), error message)"""
        assert self._writer is not None
        packed = text.encode() + b"\0"
        self._writer.write(b"Q" + struct.pack(">I", len(packed) + 4) + packed)
        await self._writer.drain()
        results: list[tuple[list[str] | None, list[Row], str]] = []
        columns: list[str] | None = None
        rows: list[Row] = []
        error = ""
        while True:
            kind, data = await self._message()
            if kind == b"T":
                columns, rows = _columns(data), []
            elif kind == b"D":
                rows.append(_row(data))
            elif kind == b"C":
                results.append((columns, rows, data.rstrip(b"\0").decode()))
                columns, rows = None, []
            elif kind == b"E":
                error = _message(data)
            elif kind == b"Z":
                return results, error


def _message(data: bytes) -> str:
    for part in data.split(b"\0"):
        if part[:1] == b"M":
            return part[1:].decode("utf-8", "replace")
    return ""


def _columns(data: bytes) -> list[str]:
    (count,) = struct.unpack(">H", data[:2])
    at, names = 2, []
    for _ in range(count):
        end = data.index(b"\0", at)
        names.append(data[at:end].decode())
        at = end + 19
    return names


def _row(data: bytes) -> Row:
    (count,) = struct.unpack(">H", data[:2])
    at = 2
    cells: Row = []
    for _ in range(count):
        (length,) = struct.unpack(">i", data[at : at + 4])
        at += 4
        if length < 0:
            cells.append(None)
            continue
        cells.append(data[at : at + length].decode("utf-8", "replace"))
        at += length
    return cells
