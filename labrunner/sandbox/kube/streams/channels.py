"""The two ways in which streams share a connection: websocket channels, and SPDY streams.

Either gives a `Session`: input by stream, output to a stream, a final Status. Source of the protocols:
k8s.io/apimachinery/pkg/util/remotecommand and k8s.io/client-go/tools/remotecommand.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import orjson
from aiohttp import WSMsgType, web

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io")
MAX_MESSAGE = 32 * 1024 * 1024
CHUNK = 32 * 1024


class Input(Protocol):
    """Who takes what the client sends."""

    async def data(self, data: bytes) -> None: ...

    def end(self) -> None: ...

    def resize(self, rows: int, columns: int) -> None: ...

    def gone(self) -> None: ...


class Session(Protocol):
    """One exec or attach on whatever connection."""

    async def write(self, channel: int, data: bytes) -> None:
        """Raises BrokenPipeError when the client is gone."""
        ...

    async def finish(self, status: dict[str, Any]) -> None: ...

    async def serve(self, input_: Input) -> None:
        """Hand over what comes until the client goes."""
        ...


class WebSocketSession:
    """Channels as bytes before each message; TEXT messages of the Python client count as bytes."""

    def __init__(self, socket: web.WebSocketResponse, *, text: bool = False) -> None:
        self._socket = socket
        self._closed = False
        self.version = 5 if socket.ws_protocol == "v5.channel.k8s.io" else 4
        self._base64 = text

    @classmethod
    async def accept(cls, request: web.BaseRequest) -> WebSocketSession:
        """Answer the upgrade. Raises aiohttp's HTTPBadRequest when it is none."""
        socket = web.WebSocketResponse(
            protocols=PROTOCOLS, max_msg_size=MAX_MESSAGE, autoping=True, compress=False, timeout=2.0
        )
        await socket.prepare(request)
        return cls(socket)

    async def write(self, channel: int, data: bytes) -> None:
        if self._closed or self._socket.closed:
            raise BrokenPipeError
        for start in range(0, len(data), CHUNK):
            try:
                await self._socket.send_bytes(bytes((channel,)) + data[start : start + CHUNK])
            except (ConnectionError, RuntimeError) as error:
                self._closed = True
                raise BrokenPipeError from error

    async def finish(self, status: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            await self.write(ERROR, orjson.dumps(status))
        with contextlib.suppress(ConnectionError, RuntimeError, asyncio.TimeoutError):
            await self._socket.close(code=1000)

    async def serve(self, input_: Input) -> None:
        try:
            async for message in self._socket:
                if message.type == WSMsgType.TEXT:
                    data = message.data.encode("utf-8", "surrogateescape")
                elif message.type == WSMsgType.BINARY:
                    data = message.data
                else:
                    break
                if not data:
                    continue
                channel, rest = data[0], data[1:]
                if channel in (ord("0"), ord("4")) and message.type == WSMsgType.TEXT:
                    channel -= ord("0")
                if channel == STDIN and rest:
                    await input_.data(rest)
                elif channel == RESIZE:
                    resized(input_, rest)
                elif channel == CLOSE and rest[:1] == b"\0" and self.version >= 5:
                    input_.end()
        finally:
            self._closed = True
            input_.gone()


def resized(input_: Input, data: bytes) -> None:
    """A terminal's size as JSON `{"Width": ..., "Height": ...}`; anything else is ignored."""
    try:
        size = orjson.loads(data)
        rows, columns = int(size["Height"]), int(size["Width"])
    except (ValueError, KeyError, TypeError):
        return
    if 0 < rows < 10_000 and 0 < columns < 10_000:
        input_.resize(rows, columns)


Accept = Callable[[web.BaseRequest], Any]
SUCCESS: dict[str, Any] = {"metadata": {}, "status": "Success"}


def exit_status(code: int) -> dict[str, Any]:
    """The Status of a command that ended."""
    if code == 0:
        return SUCCESS
    text = f"command terminated with non-zero exit code: command terminated with exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": text,
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def internal_error(text: str) -> dict[str, Any]:
    """A Status with code 500."""
    message = f"Internal error occurred: {text}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "InternalError",
        "details": {"causes": [{"message": text}]},
        "code": 500,
    }
