"""HTTP servers in pods: an async handler per request, on the pod's ports."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from labrunner.sandbox.workload.machine.process import Process, never

MAX_BODY = 64 * 1024 * 1024


@dataclass(slots=True)
class Request:
    """`target` is the path and query as sent; `headers` in their order and spelling, without `Host`'s special place."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    peer_ip: str
    peer_port: int
    port: int
    version: str = "1.1"
    started: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        """Decoded, without the query."""
        return unquote(self.raw_path)

    @property
    def raw_path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def arguments(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query, keep_blank_values=True)

    def argument(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.arguments() if key == name), default)

    def get(self, name: str, default: str = "") -> str:
        """The first header of that name."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), default)

    @property
    def host(self) -> str:
        return self.get("Host")


@dataclass(slots=True)
class Response:
    status: int = 200
    body: bytes | str | AsyncIterator[bytes] = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    content_type: str = ""
    reason: str = ""
    abort: bool = False
    """Cut the connection instead of answering."""

    def data(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else self.body if isinstance(self.body, bytes) else b""


Handler = Callable[[Process, Request], Awaitable[Response]]
AccessLog = Callable[[Process, Request, Response, float], Awaitable[None]]
"""(server, request, response, seconds it took)"""


class _Response(web.Response):
    """Without aiohttp's own name."""

    server_name = ""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        _name(self.headers, self.server_name)


class _Stream(web.StreamResponse):
    server_name = ""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        _name(self.headers, self.server_name)


def _name(headers: object, name: str) -> None:
    values = headers
    assert hasattr(values, "popall")
    values.popall("Server", None)
    if name:
        values["Server"] = name  # type: ignore[index]
    if name.startswith("nginx"):
        _as_nginx(values)


_NGINX_ORDER = ("server", "date", "content-type", "content-length", "last-modified", "transfer-encoding", "connection")


def _as_nginx(headers: Any) -> None:
    """In nginx's order, and with the `Connection` that it always sends."""
    headers.setdefault("Connection", "keep-alive")
    items = list(headers.items())
    headers.clear()
    rank = {name: number for number, name in enumerate(_NGINX_ORDER)}
    for key, value in sorted(items, key=lambda item: rank.get(item[0].lower(), len(rank))):
        headers.add(key, value)


async def serve(
    process: Process,
    ports: Iterable[int],
    handler: Handler,
    *,
    access_log: AccessLog | None = None,
    server_name: str = "",
    keepalive: float = 75.0,
) -> int:
    """Listen on these ports of the pod until the process is stopped. Raises OSError when one is taken."""
    listen(process, ports, handler, access_log=access_log, server_name=server_name, keepalive=keepalive)
    process.serves = True
    try:
        await never()
    except asyncio.CancelledError:
        if process.ended_by_signal():
            raise
    return 0


def listen(
    process: Process,
    ports: Iterable[int],
    handler: Handler,
    *,
    access_log: AccessLog | None = None,
    server_name: str = "",
    keepalive: float = 75.0,
    local: bool = False,
) -> None:
    """As `serve`, without waiting."""
    machine = process.container.pod
    network = machine.network.network
    for port in ports:

        async def handle(request: web.BaseRequest, port: int = port) -> web.StreamResponse:
            return await _handled(process, request, port, handler, access_log, server_name)

        server = web.Server(
            handle, access_log=None, keepalive_timeout=keepalive, max_line_size=65536, max_field_size=65536
        )
        network.listen(machine, process.container, port, server, local=local)


async def _handled(
    process: Process, raw: web.BaseRequest, port: int, handler: Handler, access_log: AccessLog | None, name: str
) -> web.StreamResponse:
    network = process.container.pod.network.network
    peer = raw.transport.get_extra_info("peername") if raw.transport else None
    body = b""
    if raw.body_exists:
        pieces, size = [], 0
        async for piece in raw.content.iter_chunked(65536):
            size += len(piece)
            if size > MAX_BODY:
                return _Response(status=413)
            pieces.append(piece)
        body = b"".join(pieces)
    request = Request(
        raw.method,
        raw.raw_path if raw.raw_path.startswith("/") else _path_of(raw.raw_path),
        [(k.decode("latin-1"), v.decode("latin-1")) for k, v in raw.raw_headers],
        body,
        network.plan.pod_ip(peer[0]) if peer else "",
        peer[1] if peer else 0,
        port,
        f"{raw.version.major}.{raw.version.minor}",
    )
    answer = await handler(process, request)
    if answer.abort:
        if raw.transport is not None:
            raw.transport.abort()
        raise ConnectionResetError
    if access_log is not None:
        with contextlib.suppress(OSError):
            await access_log(process, request, answer, time.monotonic() - request.started)
    return await _sent(raw, answer, name)


def _path_of(target: str) -> str:
    """Of an absolute-form target."""
    _, _, rest = target.partition("://")
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"


async def _sent(raw: web.BaseRequest, answer: Response, name: str) -> web.StreamResponse:
    reason = answer.reason or None
    if not isinstance(answer.body, (bytes, str)):
        stream = _Stream(status=answer.status, reason=reason)
        stream.server_name = name
        _headers(stream, answer)
        if "Content-Length" not in stream.headers:
            stream.enable_chunked_encoding()
        await stream.prepare(raw)
        async for piece in answer.body:
            await stream.write(piece)
        await stream.write_eof()
        return stream
    response = _Response(body=answer.data(), status=answer.status, reason=reason)
    response.server_name = name
    if "Content-Type" in response.headers:
        del response.headers["Content-Type"]
    _headers(response, answer)
    return response


def _headers(response: web.StreamResponse, answer: Response) -> None:
    for key, value in answer.headers:
        clean = value.replace("\r", " ").replace("\n", " ")
        response.headers.add(key, clean)
    if answer.content_type:
        response.headers["Content-Type"] = answer.content_type
    elif isinstance(response, web.Response) and "Content-Type" not in response.headers:
        # aiohttp adds one by itself; an empty one is taken out before it is sent.
        response.headers["Content-Type"] = ""


def phrase(status: int) -> str:
    """`Not Found`"""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def combined_line(request: Request, response: Response, stamp: str) -> str:
    """The combined log format of nginx and Apache."""
    size = len(response.data())
    return (
        f'{request.peer_ip} - - [{stamp}] "{request.method} {request.target} HTTP/{request.version}" {response.status} '
        f'{size} "{request.get("Referer", "-")}" "{request.get("User-Agent", "-")}"'
    )


def pairs(items: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Values by key, as Go's url.Values and http.Header."""
    found: dict[str, list[str]] = {}
    for key, value in items:
        found.setdefault(key, []).append(value)
    return found
