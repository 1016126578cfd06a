"""The server's side of gRPC, for the single client Envoy is: streams of messages both ways on one connection.

HTTP/2 itself is the h2 library's. Source: the gRPC over HTTP/2 protocol description.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

_ANSWER = [(":status", "200"), ("content-type", "application/grpc")]
_PREFIX = struct.Struct("!BI")
"""Before each message: whether it is compressed, and its length."""


class Handler(Protocol):
    """What happens on one gRPC stream."""

    def received(self, message: bytes) -> None: ...

    def closed(self) -> None: ...


@dataclass(slots=True)
class Stream:
    """Sends messages to the client, as fast as it wants them."""

    number: int
    connection: Connection
    handler: Handler | None = None
    incoming: bytearray = field(default_factory=bytearray)
    outgoing: bytearray = field(default_factory=bytearray)

    def send(self, message: bytes) -> None:
        self.outgoing += _PREFIX.pack(0, len(message)) + message
        self.connection.flush()

    def take(self, data: bytes) -> None:
        """Bytes from the client; hands on each message that is complete."""
        self.incoming += data
        while len(self.incoming) >= _PREFIX.size:
            _, length = _PREFIX.unpack_from(self.incoming)
            end = _PREFIX.size + length
            if len(self.incoming) < end:
                return
            message = bytes(self.incoming[_PREFIX.size : end])
            del self.incoming[:end]
            if self.handler:
                self.handler.received(message)


class Connection(asyncio.Protocol):
    """`opened` is called with each stream and returns what handles it."""

    def __init__(self, opened: Callable[[Stream], Handler]) -> None:
        self._opened = opened
        self._transport: asyncio.Transport | None = None
        self._http = H2Connection(H2Configuration(client_side=False))
        self._streams: dict[int, Stream] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._http.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for number in list(self._streams):
            self._end(number)

    def close(self) -> None:
        if self._transport:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._http.receive_data(data):
                self._handle(event)
        except ProtocolError:
            self.close()
            return
        self.flush()

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            stream = self._streams[event.stream_id] = Stream(event.stream_id, self)
            self._http.send_headers(event.stream_id, _ANSWER)
            stream.handler = self._opened(stream)
        elif isinstance(event, DataReceived):
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if stream_of := self._streams.get(event.stream_id):
                stream_of.take(event.data)
        elif isinstance(event, StreamEnded | StreamReset):
            self._end(event.stream_id)

    def _end(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream and stream.handler:
            stream.handler.closed()

    def flush(self) -> None:
        """Send what the client's windows let through."""
        for number, stream in self._streams.items():
            while stream.outgoing:
                window = self._http.local_flow_control_window(number)
                size = min(len(stream.outgoing), window, self._http.max_outbound_frame_size)
                if size <= 0:
                    break
                self._http.send_data(number, bytes(stream.outgoing[:size]))
                del stream.outgoing[:size]
        if self._transport and not self._transport.is_closing():
            self._transport.write(self._http.data_to_send())
