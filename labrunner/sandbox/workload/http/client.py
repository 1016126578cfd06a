"""One HTTP exchange on a connection of its own."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labrunner.sandbox.workload.http.message import HttpFault, read_body, read_head

if TYPE_CHECKING:
    from labrunner.sandbox.workload.network import Streams

MAX_BODY = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


async def exchange(
    connect: Callable[[], Awaitable[Streams]], method: str, target: str, headers: Sequence[tuple[str, str]],
    body: bytes = b"", *, tls: bool = False,
) -> Answer:  # fmt: skip
    """Raises OSError or HttpFault. TLS does not look at the certificate."""
    reader, writer = await connect()
    try:
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            await writer.start_tls(context)
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers), "Connection: close"]
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body)
        await writer.drain()
        head = await read_head(reader)
        while 100 <= head.status < 200:
            head = await read_head(reader)
        pieces, size = [], 0
        async for piece in read_body(reader, head, method):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BODY:
                raise HttpFault("response too large")
        return Answer(head.status, head.headers, b"".join(pieces))
    finally:
        writer.transport.abort()


__all__ = ["Answer", "HttpFault", "exchange"]
