"""HTTP/1.1 messages from a stream. Source: RFC 9112."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

MAX_LINE = 64 * 1024
MAX_HEADERS = 256 * 1024
CHUNK = 64 * 1024
_STATUS = re.compile(r"(HTTP/(\d)\.(\d)) (\d{3})(?: (.*))?")


class HttpFault(Exception):
    """What came is no HTTP, or it ended too early."""


class EmptyReply(HttpFault):
    """The server closed the connection without a byte."""


@dataclass(slots=True)
class Head:
    """A response's first lines. `raw` is as received, with the empty line."""

    status: int
    reason: str
    version: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    raw: bytes = b""

    def get(self, name: str) -> str | None:
        """The first header of that name."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection may carry another request."""
        connection = (self.get("Connection") or "").lower()
        if self.version == "HTTP/1.0":
            return "keep-alive" in connection
        return "close" not in connection


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Status line and headers. Raises EmptyReply, HttpFault or OSError."""
    line = await _line(reader)
    if not line:
        raise EmptyReply("Empty reply from server")
    raw = line
    found = _STATUS.fullmatch(line.decode("latin-1").rstrip("\r\n"))
    if not found:
        raise HttpFault("Received HTTP/0.9 when not allowed")
    head = Head(int(found[4]), found[5] or "", found[1])
    while True:
        line = await _line(reader)
        raw += line
        if len(raw) > MAX_HEADERS:
            raise HttpFault("Too large response headers")
        if line in (b"\r\n", b"\n"):
            break
        if not line:
            raise HttpFault("Connection closed in the headers")
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise HttpFault("Header without colon")
        head.headers.append((name, value.strip()))
    head.raw = raw
    return head


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        raise HttpFault("Too long a line") from error


def has_body(head: Head, method: str) -> bool:
    return method != "HEAD" and head.status not in (204, 304) and head.status >= 200


async def read_body(reader: asyncio.StreamReader, head: Head, method: str) -> AsyncIterator[bytes]:
    """The body in pieces. Raises HttpFault when it ends too early."""
    if not has_body(head, method):
        return
    if "chunked" in (head.get("Transfer-Encoding") or "").lower():
        async for piece in _chunks(reader):
            yield piece
        return
    length = head.get("Content-Length")
    if length is None:
        while piece := await reader.read(CHUNK):
            yield piece
        return
    if not length.isdigit():
        raise HttpFault("Invalid Content-Length: value")
    left = int(length)
    while left:
        piece = await reader.read(min(left, CHUNK))
        if not piece:
            raise HttpFault(f"end of response with {left} bytes missing")
        left -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        line = await _line(reader)
        text = line.split(b";", 1)[0].strip()
        try:
            size = int(text, 16)
        except ValueError:
            raise HttpFault("transfer closed with outstanding read data remaining") from None
        if size == 0:
            while (await _line(reader)) not in (b"\r\n", b"\n", b""):
                continue
            return
        while size:
            piece = await reader.read(min(size, CHUNK))
            if not piece:
                raise HttpFault("transfer closed with outstanding read data remaining")
            size -= len(piece)
            yield piece
        await reader.readexactly(2)
