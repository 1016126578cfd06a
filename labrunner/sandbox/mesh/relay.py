"""The learner's own way into the cluster: a proxy on loopback that knows LoadBalancer and node addresses.

Such addresses exist only inside the sandbox, so curl (through `.curlrc` in CURL_HOME), openssl (`s_client -proxy`)
and browsers reach them through here, by SOCKS5 or HTTP CONNECT with this session's password. Every other address is
connected as if the proxy were not there.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import os
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

from labrunner.sandbox.mesh.wire import reset, splice

USER = "labrunner"
_HEAD_LIMIT = 16384
_HEAD_SECONDS = 30.0
_OWN_KEYS = ("proxy", "noproxy", "socks5", "preproxy")

Enter = Callable[[str, int], Awaitable[socket.socket | None]]
"""(host, port) -> a connection into the cluster; None when the address is none of the cluster's.
Raises OSError when it is, and nothing answers there."""


class Relay:
    """Serves on one loopback address until `stop`."""

    def __init__(self, enter: Enter) -> None:
        self._enter = enter
        self.password = secrets.token_urlsafe(18)
        self.address = ("127.0.0.1", 0)
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, host: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self._socket.listen(256)
        self.address = self._socket.getsockname()[:2]
        self._spawn(self._accept(self._socket))

    def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._socket is not None:
            self._socket.close()

    def write_settings(self, folder: Path) -> None:
        """`.curlrc` for CURL_HOME, and `relay` (`host:port password`) for other programs."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        host, port = self.address
        own = ""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            own = (Path.home() / ".curlrc").read_text()
        lines = [line for line in own.splitlines() if line.strip().lstrip("-").split("=")[0].strip() not in _OWN_KEYS]
        lines += [f'proxy = "socks5://{USER}:{self.password}@{host}:{port}"', 'noproxy = "127.0.0.1,localhost,::1"']
        _write(folder / ".curlrc", "\n".join(lines) + "\n")
        _write(folder / "relay", f"{host}:{port} {self.password}\n")

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listening)
            except ConnectionError:
                continue
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._spawn(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                first = await _exactly(client, 1)
                host, port, granted = await (self._socks(client) if first == b"\x05" else self._connect(client, first))
            loop = asyncio.get_running_loop()
            try:
                target = await self._dial(host, port)
            except OSError:
                # To the program this looks like a server that cuts the connection: nothing answers there.
                await loop.sock_sendall(client, granted)
                reset(client)
                return
            await loop.sock_sendall(client, granted)
        except (OSError, ValueError, TimeoutError):
            client.close()
            return
        except asyncio.CancelledError:
            client.close()
            raise
        await splice(client, target)

    async def _dial(self, host: str, port: int) -> socket.socket:
        inside = await self._enter(host, port)
        if inside is not None:
            return inside
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        problem = OSError("no address")
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                problem = error
            else:
                return sock
        raise problem

    async def _socks(self, client: socket.socket) -> tuple[str, int, bytes]:
        """RFC 1928 and 1929. Raises ValueError for anything else and for a wrong password."""
        loop = asyncio.get_running_loop()
        methods = await _exactly(client, (await _exactly(client, 1))[0])
        if 2 not in methods:
            await loop.sock_sendall(client, b"\x05\xff")
            raise ValueError("no password offered")
        await loop.sock_sendall(client, b"\x05\x02")
        await _exactly(client, 1)
        user = await _exactly(client, (await _exactly(client, 1))[0])
        password = await _exactly(client, (await _exactly(client, 1))[0])
        if not self._known(user.decode("latin-1"), password.decode("latin-1")):
            await loop.sock_sendall(client, b"\x01\x01")
            raise ValueError("wrong password")
        await loop.sock_sendall(client, b"\x01\x00")
        _, command, _, kind = await _exactly(client, 4)
        if kind == 1:
            host = str(ipaddress.IPv4Address(await _exactly(client, 4)))
        elif kind == 4:
            host = str(ipaddress.IPv6Address(await _exactly(client, 16)))
        else:
            host = (await _exactly(client, (await _exactly(client, 1))[0])).decode("idna")
        port = struct.unpack("!H", await _exactly(client, 2))[0]
        if command != 1:
            await loop.sock_sendall(client, b"\x05\x07\x00\x01" + bytes(6))
            raise ValueError("only CONNECT")
        return host, port, b"\x05\x00\x00\x01" + bytes(6)

    async def _connect(self, client: socket.socket, first: bytes) -> tuple[str, int, bytes]:
        """HTTP CONNECT with basic authentication."""
        head = first
        while not head.endswith(b"\r\n\r\n"):
            if len(head) > _HEAD_LIMIT:
                raise ValueError("too long")
            head += await _exactly(client, 1)
        request, *headers = head.decode("latin-1").split("\r\n")
        method, target = [*request.split(" "), "", ""][:2]
        given = next((h.partition(":")[2].strip() for h in headers if h.lower().startswith("proxy-authorization:")), "")
        wanted = base64.b64encode(f"{USER}:{self.password}".encode())
        if not secrets.compare_digest(given.partition(" ")[2].strip().encode("latin-1"), wanted):
            answer = 'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="labrunner"\r\n'
            await asyncio.get_running_loop().sock_sendall(client, f"{answer}Content-Length: 0\r\n\r\n".encode())
            raise ValueError("wrong password")
        host, colon, port = target.rpartition(":")
        if method != "CONNECT" or not colon or not port.isdigit():
            answer = "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"
            await asyncio.get_running_loop().sock_sendall(client, answer.encode())
            raise ValueError("only CONNECT")
        return host.strip("[]"), int(port), b"HTTP/1.1 200 Connection established\r\n\r\n"

    def _known(self, user: str, password: str) -> bool:
        return user == USER and secrets.compare_digest(password.encode(), self.password.encode())


async def _exactly(sock: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < count:
        part = await loop.sock_recv(sock, count - len(data))
        if not part:
            raise ConnectionResetError
        data += part
    return data


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
