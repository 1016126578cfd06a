"""SPDY streams on a connection: straight after an HTTP upgrade, or inside websocket messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import orjson
from aiohttp import WSMsgType, web

from labrunner.sandbox.kube.context import Context
from labrunner.sandbox.kube.status import ApiError, bad_request
from labrunner.sandbox.kube.streams import channels
from labrunner.sandbox.kube.streams.channels import Input
from labrunner.sandbox.kube.streams.spdy_frames import (
    GOAWAY,
    PING,
    RST_STREAM,
    SYN_STREAM,
    Codec,
    Frame,
    FrameFault,
)

CHUNK = 32 * 1024
MAX_STREAMS = 1024
COMMAND_PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
_OPEN_SECONDS = 30.0


class Carrier(Protocol):
    """Bytes to and from the other end."""

    async def send(self, data: bytes) -> None:
        """Raises BrokenPipeError when it is gone."""
        ...

    async def receive(self) -> bytes:
        """Empty at the end."""
        ...

    async def close(self) -> None: ...


class UpgradedCarrier:
    """An HTTP connection after `101 Switching Protocols`. Also the payload parser that aiohttp feeds."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._buffered = 0
        self._ended = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._queue.put_nowait(bytes(data))
        self._buffered += len(data)
        transport = self._request.transport
        if self._buffered > 1 << 20 and isinstance(transport, asyncio.Transport):
            with contextlib.suppress(RuntimeError):
                transport.pause_reading()
        return False, b""

    def feed_eof(self) -> None:
        if not self._ended:
            self._ended = True
            self._queue.put_nowait(b"")

    async def send(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise BrokenPipeError
        transport.write(data)
        try:
            await self._request.protocol._drain_helper()
        except ConnectionError as error:
            raise BrokenPipeError from error

    async def receive(self) -> bytes:
        if self._ended and self._queue.empty():
            return b""
        data = await self._queue.get()
        self._buffered -= len(data)
        transport = self._request.transport
        if self._buffered < 1 << 19 and isinstance(transport, asyncio.Transport):
            with contextlib.suppress(RuntimeError):
                transport.resume_reading()
        return data

    async def close(self) -> None:
        transport = self._request.transport
        if transport is not None:
            transport.close()


class TunnelCarrier:
    """A websocket whose binary messages are pieces of a SPDY connection."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def send(self, data: bytes) -> None:
        if self._socket.closed:
            raise BrokenPipeError
        try:
            await self._socket.send_bytes(data)
        except (ConnectionError, RuntimeError) as error:
            raise BrokenPipeError from error

    async def receive(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message.type == WSMsgType.BINARY:
                if message.data:
                    return bytes(message.data)
                continue
            if message.type != WSMsgType.TEXT:
                return b""

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
            await self._socket.close(code=1000)


class SpdyStream:
    """One stream. `incoming` yields data; empty means that the other end has finished."""

    def __init__(self, connection: SpdyConnection, number: int, headers: dict[str, str]) -> None:
        self.connection, self.number, self.headers = connection, number, headers
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self.remote_closed = self.local_closed = False

    async def write(self, data: bytes) -> None:
        """Raises BrokenPipeError."""
        if self.local_closed:
            raise BrokenPipeError
        for start in range(0, len(data), CHUNK):
            await self.connection.send(self.connection.codec.data(self.number, data[start : start + CHUNK]))

    async def close(self) -> None:
        if not self.local_closed:
            self.local_closed = True
            with contextlib.suppress(BrokenPipeError):
                await self.connection.send(self.connection.codec.data(self.number, b"", fin=True))
            self._settle()

    async def reset(self) -> None:
        self.local_closed = self.remote_closed = True
        with contextlib.suppress(BrokenPipeError):
            await self.connection.send(self.connection.codec.reset(self.number))
        self._settle()

    def _settle(self) -> None:
        if self.local_closed and self.remote_closed:
            self.connection.streams.pop(self.number, None)


OnStream = Callable[[SpdyStream], Awaitable[None]]


class SpdyConnection:
    """Runs frames of a carrier; `on_stream` is told of each stream that the client opens."""

    def __init__(self, carrier: Carrier, on_stream: OnStream) -> None:
        self.carrier, self._on_stream = carrier, on_stream
        self.codec = Codec()
        self.streams: dict[int, SpdyStream] = {}
        self.closed = False
        self._lock = asyncio.Lock()
        self._last = 0

    async def send(self, data: bytes) -> None:
        """Frames go out one at a time. Raises BrokenPipeError."""
        if self.closed:
            raise BrokenPipeError
        async with self._lock:
            await self.carrier.send(data)

    async def serve(self) -> None:
        """Until the other end goes or talks nonsense."""
        try:
            while data := await self.carrier.receive():
                for frame in self.codec.feed(data):
                    if not await self._handle(frame):
                        return
        except (FrameFault, BrokenPipeError, ConnectionError):
            return
        finally:
            self.closed = True
            for stream in list(self.streams.values()):
                stream.remote_closed = True
                stream.incoming.put_nowait(b"")

    async def _handle(self, frame: Frame) -> bool:
        if frame.type == SYN_STREAM:
            if len(self.streams) >= MAX_STREAMS or frame.stream in self.streams or frame.stream % 2 == 0:
                await self.send(self.codec.reset(frame.stream, 3))
                return True
            stream = self.streams[frame.stream] = SpdyStream(self, frame.stream, frame.headers)
            self._last = frame.stream
            stream.remote_closed = frame.fin
            await self.send(self.codec.reply(frame.stream))
            await self._on_stream(stream)
            if frame.fin:
                stream.incoming.put_nowait(b"")
        elif frame.type == PING:
            await self.send(self.codec.pong(frame.data))
        elif frame.type == GOAWAY:
            return False
        elif frame.type in (0, RST_STREAM):
            known = self.streams.get(frame.stream)
            if known is not None:
                if frame.type == 0 and frame.data:
                    known.incoming.put_nowait(frame.data)
                if frame.type == RST_STREAM or frame.fin:
                    known.remote_closed = True
                    known.incoming.put_nowait(b"")
                    if frame.type == RST_STREAM:
                        known.local_closed = True
                    known._settle()
        return True

    async def close(self) -> None:
        if not self.closed:
            with contextlib.suppress(BrokenPipeError):
                await self.send(self.codec.goaway(self._last))
            self.closed = True
        await self.carrier.close()


async def upgrade(request: web.BaseRequest, protocol: str) -> tuple[UpgradedCarrier, web.StreamResponse]:
    """Switch an HTTP connection to SPDY."""
    response = web.StreamResponse(
        status=101,
        headers={"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": protocol},
    )
    carrier = UpgradedCarrier(request)
    await response.prepare(request)
    response.force_close()
    request.protocol.set_parser(carrier)  # type: ignore[arg-type]
    return carrier, response


def protocol_of(request: web.BaseRequest, known: tuple[str, ...]) -> str:
    """The stream protocol to speak. Raises ApiError 403 as the server words it."""
    offered = [p.strip() for v in request.headers.getall("X-Stream-Protocol-Version", []) for p in v.split(",")]
    for protocol in known:
        if protocol in offered:
            return protocol
    if not offered:
        return known[-1]
    wanted, have = "[" + " ".join(offered) + "]", "[" + " ".join(known) + "]"
    text = f"unable to upgrade: unable to negotiate protocol: client supports {wanted}, server accepts {have}"
    raise ApiError(403, "Forbidden", text)


class SpdySession:
    """exec or attach over SPDY: one stream per kind, named by the header `streamtype`."""

    def __init__(self, connection: SpdyConnection, streams: dict[str, SpdyStream], protocol: str) -> None:
        self._connection, self._streams, self._protocol = connection, streams, protocol
        self._serving: asyncio.Task[None] | None = None

    async def write(self, channel: int, data: bytes) -> None:
        stream = self._streams.get({channels.STDOUT: "stdout", channels.STDERR: "stderr"}.get(channel, "error"))
        if stream is not None:
            await stream.write(data)

    async def finish(self, status: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            for name in ("stdout", "stderr"):
                if stream := self._streams.get(name):
                    await stream.close()
            error = self._streams.get("error")
            if error is not None:
                if self._protocol.startswith("v4"):
                    await error.write(orjson.dumps(status))
                elif status.get("status") != "Success":
                    await error.write(str(status.get("message", "")).encode())
                await error.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):  # the client hangs up once it has read it all
                while not self._connection.closed:
                    await asyncio.sleep(0.005)
        await self._connection.close()

    async def serve(self, input_: Input) -> None:
        async def stdin(stream: SpdyStream) -> None:
            while data := await stream.incoming.get():
                await input_.data(data)
            if not self._connection.closed:
                input_.end()

        async def resize(stream: SpdyStream) -> None:
            decoder = ""
            while data := await stream.incoming.get():
                decoder += data.decode("utf-8", "replace")
                *whole, decoder = decoder.split("\n") if "\n" in decoder else [decoder, ""]
                for text in whole:
                    channels.resized(input_, text.encode())

        tasks = []
        if stream := self._streams.get("stdin"):
            tasks.append(asyncio.ensure_future(stdin(stream)))
        if stream := self._streams.get("resize"):
            tasks.append(asyncio.ensure_future(resize(stream)))
        try:
            while not self._connection.closed:
                await asyncio.sleep(0.05)
        finally:
            for task in tasks:
                task.cancel()
            input_.gone()


async def accept_command(ctx: Context) -> tuple[SpdySession, web.StreamResponse]:
    """Upgrade an exec or attach to SPDY and wait for its streams. Raises ApiError."""
    protocol = protocol_of(ctx.http, COMMAND_PROTOCOLS)
    path = ctx.path
    wanted = {name for name in ("stdin", "stdout", "stderr") if path.flag(name)} | {"error"}
    if path.flag("tty") and protocol[:2] in ("v3", "v4"):
        wanted.add("resize")
    streams: dict[str, SpdyStream] = {}
    complete = asyncio.Event()

    async def opened(stream: SpdyStream) -> None:
        streams[stream.headers.get("streamtype", "")] = stream
        if wanted <= streams.keys():
            complete.set()

    carrier, response = await upgrade(ctx.http, protocol)
    connection = SpdyConnection(carrier, opened)
    serving = asyncio.get_running_loop().create_task(connection.serve())
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            await complete.wait()
    except TimeoutError:
        serving.cancel()
        await connection.close()
        raise bad_request("timed out waiting for client to create streams") from None
    session = SpdySession(connection, streams, protocol)
    session._serving = serving
    return session, response
