"""One side of gRPC over HTTP/2, for the single client Envoy is: streams of messages both ways on one connection.

Request headers are not read (there is one method), answers' headers are constants, so HPACK needs no tables.
Source: RFC 9113 and the gRPC over HTTP/2 protocol description.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK, _END_STREAM, _END_HEADERS, _PADDED = 0x1, 0x1, 0x4, 0x8
_INITIAL_WINDOW = 4
_FRAME_SIZE = 16384
_CONTENT_TYPE = b"application/grpc"
# `:status: 200` from the static table; `content-type` named by the static table, its value literal, not indexed.
_ANSWER = b"\x88\x0f\x10" + bytes((len(_CONTENT_TYPE),)) + _CONTENT_TYPE


class Handler(Protocol):
    """What happens on one gRPC stream."""

    def received(self, message: bytes) -> None: ...

    def closed(self) -> None: ...


@dataclass(slots=True)
class Stream:
    """Sends messages to the client, as fast as it wants them."""

    number: int
    connection: Connection
    window: int
    handler: Handler | None = None
    incoming: bytearray = field(default_factory=bytearray)
    outgoing: bytearray = field(default_factory=bytearray)

    def send(self, message: bytes) -> None:
        self.outgoing += b"\x00" + struct.pack("!I", len(message)) + message
        self.connection.flush()


class Connection(asyncio.Protocol):
    """`opened` is called with each stream and returns what handles it."""

    def __init__(self, opened: Callable[[Stream], Handler]) -> None:
        self._opened = opened
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._greeted = False
        self._window, self._stream_window = 65535, 65535
        self._streams: dict[int, Stream] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._frame(_SETTINGS, 0, 0, b"")

    def connection_lost(self, exc: Exception | None) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            if stream.handler:
                stream.handler.closed()

    def close(self) -> None:
        if self._transport:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._greeted:
            if len(self._buffer) < len(_PREFACE):
                return
            if not self._buffer.startswith(_PREFACE):
                self.close()
                return
            del self._buffer[: len(_PREFACE)]
            self._greeted = True
        while len(self._buffer) >= 9:
            length = int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < 9 + length:
                return
            kind, flags = self._buffer[3], self._buffer[4]
            number = int.from_bytes(self._buffer[5:9], "big") & 0x7FFFFFFF
            payload = bytes(self._buffer[9 : 9 + length])
            del self._buffer[: 9 + length]
            self._handle(kind, flags, number, payload)

    def _handle(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _DATA:
            self._data(flags, number, payload)
        elif kind == _HEADERS and number not in self._streams:
            stream = self._streams[number] = Stream(number, self, self._stream_window)
            self._frame(_HEADERS, _END_HEADERS, number, _ANSWER)
            stream.handler = self._opened(stream)
        elif kind == _SETTINGS and not flags & _ACK:
            for at in range(0, len(payload) - 5, 6):
                key, value = struct.unpack("!HI", payload[at : at + 6])
                if key == _INITIAL_WINDOW:
                    for stream in self._streams.values():
                        stream.window += value - self._stream_window
                    self._stream_window = value
            self._frame(_SETTINGS, _ACK, 0, b"")
            self.flush()
        elif kind == _PING and not flags & _ACK:
            self._frame(_PING, _ACK, 0, payload)
        elif kind == _WINDOW_UPDATE:
            more = int.from_bytes(payload, "big") & 0x7FFFFFFF
            if number == 0:
                self._window += more
            elif number in self._streams:
                self._streams[number].window += more
            self.flush()
        elif kind == _RST_STREAM:
            self._end(number)
        elif kind == _GOAWAY:
            self.close()

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        if payload:
            increment = struct.pack("!I", len(payload))
            self._frame(_WINDOW_UPDATE, 0, 0, increment)
            self._frame(_WINDOW_UPDATE, 0, number, increment)
        stream = self._streams.get(number)
        if stream is None:
            return
        if flags & _PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        stream.incoming += payload
        while len(stream.incoming) >= 5:
            length = int.from_bytes(stream.incoming[1:5], "big")
            if len(stream.incoming) < 5 + length:
                break
            message = bytes(stream.incoming[5 : 5 + length])
            del stream.incoming[: 5 + length]
            if stream.handler:
                stream.handler.received(message)
        if flags & _END_STREAM:
            self._end(number)

    def _end(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream and stream.handler:
            stream.handler.closed()

    def flush(self) -> None:
        """Send what the client's windows let through."""
        for stream in self._streams.values():
            while stream.outgoing:
                size = min(len(stream.outgoing), stream.window, self._window, _FRAME_SIZE)
                if size <= 0:
                    break
                self._frame(_DATA, 0, stream.number, bytes(stream.outgoing[:size]))
                del stream.outgoing[:size]
                stream.window -= size
                self._window -= size

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + number.to_bytes(4, "big")
            self._transport.write(head + payload)
