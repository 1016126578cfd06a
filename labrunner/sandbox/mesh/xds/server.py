"""The discovery server: keeps Envoy's secrets and extension configurations as they should be, hears what it refuses."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from labrunner.sandbox.kube.protobuf.wire import WireError
from labrunner.sandbox.mesh.xds.grpc import Connection, Stream
from labrunner.sandbox.mesh.xds.message import DiscoveryRequest, read_request, response

log = logging.getLogger(__name__)

Resources = dict[str, bytes]
"""Name -> encoded message."""


class DiscoveryServer:
    """`put` replaces all resources of a type; only those that changed, and that Envoy asks for, are sent."""

    def __init__(self) -> None:
        self.resources: dict[str, Resources] = {}
        """By type URL."""
        self.refused: dict[str, str] = {}
        """Name -> Envoy's words, for resources it did not take."""
        self._server: asyncio.Server | None = None
        self._streams: list[_Stream] = []
        self._connections: list[Connection] = []

    async def start(self, path: Path) -> None:
        self._server = await asyncio.get_running_loop().create_unix_server(self._connection, path)

    def stop(self) -> None:
        if self._server:
            self._server.close()
        for connection in self._connections:
            connection.close()

    def _connection(self) -> Connection:
        connection = Connection(self._opened)
        self._connections = [*self._connections[-4:], connection]
        return connection

    def _opened(self, stream: Stream) -> _Stream:
        opened = _Stream(self, stream)
        self._streams.append(opened)
        return opened

    def gone(self, stream: _Stream) -> None:
        if stream in self._streams:
            self._streams.remove(stream)

    def put(self, type_url: str, resources: Resources) -> None:
        known = self.resources.get(type_url, {})
        changed = [name for name, resource in resources.items() if known.get(name) != resource]
        gone = known.keys() - resources.keys()
        self.resources[type_url] = resources
        self.refused = {n: text for n, text in self.refused.items() if n not in gone and n not in changed}
        for stream in self._streams:
            if subscription := stream.subscriptions.get(type_url):
                subscription.offer(changed)

    async def taken(self, seconds: float) -> bool:
        """Waits until Envoy has answered to everything sent; False when it did not in time."""
        deadline = asyncio.get_running_loop().time() + seconds
        while busy := [s for stream in self._streams for s in stream.subscriptions.values() if not s.idle.is_set()]:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            try:
                await asyncio.wait_for(busy[0].idle.wait(), left)
            except TimeoutError:
                return False
        return True


class _Stream:
    """One ADS stream: a subscription for each type Envoy asks for."""

    def __init__(self, server: DiscoveryServer, stream: Stream) -> None:
        self._server, self._stream = server, stream
        self.subscriptions: dict[str, _Subscription] = {}

    def received(self, message: bytes) -> None:
        try:
            request = read_request(message)
        except (WireError, UnicodeDecodeError):
            log.warning("a discovery request cannot be read")
            return
        if request.type_url not in self.subscriptions:
            self.subscriptions[request.type_url] = _Subscription(self._server, self._stream, request.type_url)
        self.subscriptions[request.type_url].received(request)

    def closed(self) -> None:
        self._server.gone(self)
        for subscription in self.subscriptions.values():
            subscription.idle.set()


class _Subscription:
    """What Envoy wants of a type, what it was sent, and whether it took it."""

    def __init__(self, server: DiscoveryServer, stream: Stream, type_url: str) -> None:
        self._server, self._stream, self._type_url = server, stream, type_url
        self._wanted: frozenset[str] = frozenset()
        self._waiting: dict[str, None] = {}
        self._alone: list[str] = []
        """Names of a refused response, to be offered one by one."""
        self._sent: list[str] = []
        self._nonce = 0
        self.idle = asyncio.Event()
        self.idle.set()

    def offer(self, names: list[str]) -> None:
        """Send these, as far as Envoy wants them."""
        self._waiting |= {name: None for name in names if name in self._wanted}
        self._next()

    def received(self, request: DiscoveryRequest) -> None:
        if request.nonce and request.nonce == str(self._nonce) and self._sent:
            self._answered(request.error)
        fresh = sorted(request.names - self._wanted)
        self._wanted = request.names
        self._waiting |= dict.fromkeys(fresh)
        self._next()

    def _answered(self, error: str) -> None:
        sent, self._sent = self._sent, []
        if error and len(sent) > 1:
            # One of them is at fault: each is offered alone.
            self._alone += sent
        elif error:
            self._server.refused[sent[0]] = error
        self.idle.set()

    def _next(self) -> None:
        while not self._sent and (self._alone or self._waiting):
            if self._alone:
                names = [self._alone.pop(0)]
            else:
                names = list(self._waiting)
                self._waiting.clear()
            known = self._server.resources.get(self._type_url, {})
            self._sent = [name for name in names if name in known and name in self._wanted]
            if self._sent:
                self._nonce += 1
                version = str(self._nonce)
                self._stream.send(response(version, version, self._type_url, [known[name] for name in self._sent]))
        if self._sent:
            self.idle.clear()
