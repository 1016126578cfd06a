"""Connections by PROXY protocol: the header Envoy is told destinations with, and the door through which it leaves.

What a sidecar passes on unrouted (PassthroughCluster) comes to `Wire` with its destination, and the sandbox's network
connects it as it would connect the pod itself: Services, NetworkPolicies and all.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Awaitable, Callable

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_CHUNK = 65536

Place = tuple[str, int]
Dial = Callable[[Place, Place], Awaitable[socket.socket]]
"""(source, destination) -> a connected, non-blocking socket."""


def header(source: Place, destination: Place) -> bytes:
    """A PROXY protocol v2 header for TCP over IPv4."""
    packed = ipaddress.IPv4Address(source[0]).packed + ipaddress.IPv4Address(destination[0]).packed
    return _SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 12) + packed + struct.pack("!HH", source[1], destination[1])


class Wire:
    """Takes connections that begin with such a header and joins them with what `dial` gives."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self.address: Place = ("127.0.0.1", 1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    def start(self, host: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self._socket.listen(512)
        self.address = self._socket.getsockname()[:2]
        self._accepting = asyncio.get_running_loop().create_task(self._accept(self._socket))

    def stop(self) -> None:
        for task in (*self._tasks, *([self._accepting] if self._accepting else ())):
            task.cancel()
        if self._socket is not None:
            self._socket.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listening)
            except ConnectionError:
                continue
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._serve(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket) -> None:
        try:
            target = await self._dial(*await _read_header(client))
        except (OSError, ValueError):
            reset(client)
            return
        except asyncio.CancelledError:
            client.close()
            raise
        await splice(client, target)


async def _read_header(sock: socket.socket) -> tuple[Place, Place]:
    """(source, destination). Raises ValueError for anything but TCP over IPv4, ConnectionResetError at the end."""
    loop = asyncio.get_running_loop()

    async def exactly(count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = await loop.sock_recv(sock, count - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data

    head = await exactly(16)
    length = struct.unpack("!H", head[14:16])[0]
    body = await exactly(length)
    if head[:12] != _SIGNATURE or head[12] != 0x21 or head[13] != 0x11 or length < 12:
        raise ValueError("no PROXY protocol v2 header for TCP over IPv4")
    source_port, port = struct.unpack("!HH", body[8:12])
    return (str(ipaddress.IPv4Address(body[:4])), source_port), (str(ipaddress.IPv4Address(body[4:8])), port)


def reset(sock: socket.socket) -> None:
    """Close so that the other side sees a reset, as a refused or cut connection looks."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def splice(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until both sides have ended; a reset on one side resets the other."""
    tasks = [asyncio.ensure_future(_copy(one, other)), asyncio.ensure_future(_copy(other, one))]
    cut = False
    try:
        await asyncio.gather(*tasks)
    except OSError:
        cut = True
    finally:
        # Nothing may wait for a socket that is closed: the loop would mistake the next one of the same number for it.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sock in (one, other):
            reset(sock) if cut else sock.close()


async def _copy(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, _CHUNK):
        await loop.sock_sendall(target, data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
