"""The cluster's network as pods see it: names, addresses, connections, listeners.

Each pod address has a twin on this machine's loopback network (`addresses`): servers bind there when the first
connection comes, and clients connect from their own pod's twin, so that who talks to whom is real. Nothing else can be
reached: an address that is no pod's, Service's or the API's does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import random
import re
import socket
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.workload import dns
from labrunner.sandbox.workload.addresses import AddressPlan
from labrunner.sandbox.workload.dns import Resolver

if TYPE_CHECKING:
    from labrunner.sandbox.workload.machine.pod import PodMachine

log = logging.getLogger(__name__)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
ProtocolFactory = Callable[[], asyncio.BaseProtocol]
DNS_ADDRESS = "10.96.0.10"
API_ADDRESS = "10.96.0.1"
API_SERVER = "10.224.0.3"
"""The API server's own address, behind its Service's."""
_EOF_SECONDS = 0.05
_STREAM_LIMIT = 256 * 1024


class Unreachable(OSError):
    """No answer at all: packets to this address are lost (a connection attempt times out)."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a connection inside the cluster. `pod` is None for what is no pod (node, API server, outside)."""

    ip: str
    port: int
    pod: Obj | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connection that is about to be made: what the client asked for, and where its Service leads."""

    source: Peer
    asked: Peer
    target: Peer
    """The endpoint behind a Service; the same as `asked` otherwise."""
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class Detour:
    """Where a connection really goes, and what is sent there first (a PROXY header)."""

    address: tuple[str, int]
    preface: bytes = b""


Policy = Callable[[Attempt], bool]
"""False drops the connection silently, as a NetworkPolicy does."""
Capture = Callable[[Peer, Peer], Awaitable["Detour | None"]]
"""(source, asked) -> where a pod's own proxy takes its outbound connections; None: none does."""
Inbound = Callable[[Obj, int], Awaitable["tuple[str, int] | None"]]
"""(pod, port) -> where a pod's own proxy takes connections to that port; None: none does."""


class Listener:
    """A bound port and its connections. Raises OSError when the port cannot be bound."""

    def __init__(self, address: tuple[str, int], factory: ProtocolFactory) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
            self._socket.listen(512)
        except OSError:
            self._socket.close()
            raise
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._factory = factory
        self._transports: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()
        self._task = asyncio.get_running_loop().create_task(self._accept(), name=f"listen {address[0]}:{address[1]}")

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._socket)
            except ConnectionError:
                continue
            except OSError as error:
                log.warning("cannot accept a connection: %s", error.strerror)
                await asyncio.sleep(0.1)
                continue
            with contextlib.suppress(OSError):
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                transport, _ = await loop.connect_accepted_socket(self._factory, accepted)
                self._transports.add(transport)

    def close(self) -> None:
        """Stop listening and cut what is connected."""
        self._task.cancel()
        # Before the number is another socket's: the loop would take that one for this.
        self._task.get_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        for transport in list(self._transports):
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()


class PodNetwork:
    """A pod's own network namespace: its listeners, whether they are bound or not."""

    def __init__(self, uid: str, namespace: str, name: str, network: Network) -> None:
        self.uid, self.namespace, self.name, self.network = uid, namespace, name, network
        self.listeners: dict[int, tuple[object, ProtocolFactory]] = {}
        """Port -> (who listens, what makes the protocol of a connection)."""
        self.servers: dict[int, Listener] = {}
        self.local_only: set[int] = set()
        self.changed: list[Callable[[int], None]] = []
        """Told of each port that begins or ends to listen."""

    def pod(self) -> Obj | None:
        """The pod as it is now."""
        found = self.network.api.get("Pod", self.name, self.namespace)
        return found if found is not None and found["metadata"]["uid"] == self.uid else None

    def ip(self) -> str:
        """Empty before it has one."""
        return str(((self.pod() or {}).get("status") or {}).get("podIP") or "")


class Network:
    """`api_server` is where the API really listens. Hooks: `policies`, `capture`."""

    def __init__(self, plan: AddressPlan) -> None:
        self.plan = plan
        self.policies: list[Policy] = []
        self.capture: Capture | None = None
        self.inbound: Inbound | None = None
        self.app_place: Callable[[Obj, int], tuple[str, int] | None] = lambda pod, port: None
        """Where a program binds whose twin address is its proxy's (port 0: any); None: at the twin itself."""
        self.listeners_changed: Callable[[Obj, int], None] = lambda pod, port: None
        self.api_server: tuple[str, int] | None = None
        self.resolver = Resolver(self)
        self.lock: socket.socket | None = None
        """Holds this sandbox's block of addresses."""
        self._captured: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        """Sockets that lead to their pod's own proxy."""
        self._pods: dict[str, PodNetwork] = {}
        self._api: Api | None = None
        self._binding: dict[tuple[str, int], asyncio.Lock] = {}

    def attach_api(self, api: Api) -> None:
        self._api = api

    @property
    def api(self) -> Api:
        assert self._api is not None
        return self._api

    def of_pod(self, uid: str, namespace: str, name: str) -> PodNetwork:
        return self._pods.setdefault(uid, PodNetwork(uid, namespace, name, self))

    # files

    def resolv_conf(self, machine: PodMachine) -> str:
        """/etc/resolv.conf by the pod's dnsPolicy."""
        pod = self.api.get("Pod", machine.name, machine.namespace)
        return dns.resolv_conf(pod, machine.namespace)

    def hosts_file(self, machine: PodMachine) -> str:
        pod = self.api.get("Pod", machine.name, machine.namespace) or {}
        return dns.hosts_file(pod, machine.hostname)

    def dns_works(self) -> bool:
        """Whether cluster DNS can be asked at all."""
        return True

    def dns_reachable(self, machine: PodMachine) -> bool:
        """Whether this pod may talk to cluster DNS."""
        pod = machine.network.pod()
        asked = Peer(DNS_ADDRESS, 53)
        target = self.endpoint(asked) or asked
        attempt = Attempt(Peer(machine.network_ip(), 0, pod), asked, target, "UDP")
        return self.dns_works() and all(policy(attempt) for policy in self.policies)

    def resolve(self, machine: PodMachine, name: str) -> list[str]:
        """The IPv4 addresses of a name as a pod's resolver library finds them; empty when there are none."""
        if re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", name):
            return [name] if all(int(part) < 256 for part in name.split(".")) else []
        in_file = [a for a in dns.addresses_in_hosts(self.hosts_file(machine), name) if ":" not in a]
        if in_file:
            return in_file[:1]
        if not self.dns_reachable(machine):
            return []
        pod = self.api.get("Pod", machine.name, machine.namespace)
        return self.resolver.resolve(pod, machine.namespace, name).addresses

    # listening

    def listen(self, machine: PodMachine, owner: object, port: int, factory: ProtocolFactory, *,
               local: bool = False) -> None:  # fmt: skip
        """Serve a port of the pod. Raises OSError EADDRINUSE. `local`: on 127.0.0.1 only."""
        network = machine.network
        if port in network.listeners:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        network.listeners[port] = (owner, factory)
        if local:
            network.local_only.add(port)
        self._tell(network, port)

    def _tell(self, network: PodNetwork, port: int) -> None:
        for callback in network.changed:
            callback(port)
        if pod := network.pod():
            self.listeners_changed(pod, port)

    def stop_listening(self, machine: PodMachine, owner: object, port: int | None = None) -> None:
        """Close one port, or all that this owner (a run of a container) listens on."""
        network = machine.network
        for number, (listening, _) in list(network.listeners.items()):
            if listening is owner and port in (None, number):
                self._close(network, number)

    def _close(self, network: PodNetwork, port: int) -> None:
        network.listeners.pop(port, None)
        network.local_only.discard(port)
        if server := network.servers.pop(port, None):
            server.close()
        self._tell(network, port)

    def close_pod(self, machine: PodMachine) -> None:
        for port in list(machine.network.listeners):
            self._close(machine.network, port)

    def forget(self, machine: PodMachine) -> None:
        self.close_pod(machine)
        self._pods.pop(machine.uid, None)

    def close(self) -> None:
        for network in self._pods.values():
            for server in network.servers.values():
                server.close()
        if self.lock is not None:
            self.lock.close()

    async def bind(self, pod: Obj, port: int) -> tuple[str, int] | None:
        """Make a pod's port really listen on its loopback twin; its address there, or None when nothing listens."""
        network = self._pods.get(pod["metadata"]["uid"])
        ip = (pod.get("status") or {}).get("podIP", "")
        if network is None or not ip or port not in network.listeners:
            return None
        if port in network.servers:
            return network.servers[port].address
        real = self.app_place(pod, port) or self.plan.real(ip, port)
        lock = self._binding.setdefault((network.uid, port), asyncio.Lock())
        async with lock:
            if port not in network.servers and port in network.listeners:
                _, factory = network.listeners[port]
                network.servers[port] = Listener(real, factory)
        self._binding.pop((network.uid, port), None)
        return network.servers[port].address if port in network.servers else None

    def bound(self, pod: Obj, port: int) -> tuple[str, int] | None:
        """Where a port of a pod is bound now."""
        network = self._pods.get(pod["metadata"]["uid"])
        server = network.servers.get(port) if network else None
        return server.address if server else None

    def ports(self, pod: Obj) -> list[int]:
        """What listens in a pod now."""
        network = self._pods.get(pod["metadata"]["uid"])
        return sorted(network.listeners) if network else []

    # connecting

    async def connect(self, machine: PodMachine, ip: str, port: int, source: Obj | None = None) -> Streams:
        """A connection from a pod. Raises ConnectionRefusedError, or waits for ever where packets would be lost.

        The caller sets its own time limit. Source: what a real pod's TCP stack and kube-proxy do.
        """
        sock = await self.open_socket(machine, ip, port)
        reader, writer = await streams_of(sock)
        return reader, _PatientWriter(writer) if sock in self._captured else writer

    async def open_socket(self, machine: PodMachine, ip: str, port: int) -> socket.socket:
        """As `connect`, as a connected non-blocking socket."""
        pod = self.api.get("Pod", machine.name, machine.namespace)
        own = (pod.get("status") or {}).get("podIP", "") if pod else ""
        if ip in ("0.0.0.0", "") or ip.startswith("127.") or (own and ip == own):
            return await self._to_itself(machine, pod, port, local=ip != own)
        source = Peer(own, 0, pod)
        asked = Peer(ip, port, self.pod_at(ip))
        if self.capture is not None and (detour := await self.capture(source, asked)) is not None:
            sock = await self._dial(detour.address, own)
            self._captured.add(sock)
            if detour.preface:
                await asyncio.get_running_loop().sock_sendall(sock, detour.preface)
            return sock
        return await self.open_from(source, asked)

    async def open_from(self, source: Peer, asked: Peer) -> socket.socket:
        """Past proxies: to a pod, through a Service's address or to the API server."""
        if asked.ip in (API_ADDRESS, API_SERVER):
            if asked.port != (443 if asked.ip == API_ADDRESS else 6443):
                await _lost()
            if self.api_server is None:
                raise refused()
            return await self._dial(self.api_server, "")
        target = self.endpoint(asked)
        if target is None:
            await _lost()
            raise refused()
        attempt = Attempt(source, asked, target)
        if not all(policy(attempt) for policy in self.policies):
            await _lost()
        if target.pod is None:
            raise refused()
        if self.inbound is not None and (real := await self.inbound(target.pod, target.port)) is not None:
            return await self._dial(real, source.ip)
        network = self._pods.get(target.pod["metadata"]["uid"])
        if network is None or target.port in network.local_only:
            raise refused()
        real = await self.bind(target.pod, target.port)
        if real is None:
            raise refused()
        return await self._dial(real, source.ip)

    async def _to_itself(self, machine: PodMachine, pod: Obj | None, port: int, *, local: bool) -> socket.socket:
        network = machine.network
        if pod is None or port not in network.listeners or (port in network.local_only and not local):
            raise refused()
        real = await self.bind(pod, port)
        if real is None:
            raise refused()
        return await self._dial(real, (pod.get("status") or {}).get("podIP", ""))

    async def _dial(self, address: tuple[str, int], source_ip: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            if source_ip:
                sock.bind((self.plan.real_ip(source_ip), 0))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        return sock

    # addresses

    def pod_at(self, ip: str) -> Obj | None:
        """The running pod that has this address."""
        for pod in self.api.objects("Pod"):
            status = pod.get("status") or {}
            if status.get("podIP") == ip and status.get("phase") not in ("Succeeded", "Failed"):
                return pod
        return None

    def service_at(self, ip: str) -> Obj | None:
        """The Service whose cluster or load balancer address this is."""
        for service in self.api.objects("Service"):
            spec = service["spec"]
            if ip in (spec.get("clusterIPs") or [spec.get("clusterIP")]) or ip in (spec.get("externalIPs") or ()):
                return service
            ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
            if any(entry.get("ip") == ip for entry in ingress):
                return service
        return None

    def endpoint(self, asked: Peer) -> Peer | None:
        """Where a connection leads: a pod, or a peer without pod when it is refused; None when it is lost."""
        if asked.pod is not None:
            return asked
        service = self.service_at(asked.ip)
        if service is None:
            if self._is_node(asked.ip):
                return self._node_port(asked)
            return None
        entry = next((p for p in service["spec"].get("ports") or () if p["port"] == asked.port), None)
        if entry is None:
            return None
        return self._chosen(service, entry) or Peer(asked.ip, asked.port)

    def _is_node(self, ip: str) -> bool:
        return any(
            address.get("address") == ip
            for node in self.api.objects("Node")
            for address in (node.get("status") or {}).get("addresses") or ()
        )

    def _node_port(self, asked: Peer) -> Peer:
        for service in self.api.objects("Service"):
            for entry in service["spec"].get("ports") or ():
                if entry.get("nodePort") == asked.port:
                    return self._chosen(service, entry) or Peer(asked.ip, asked.port)
        return Peer(asked.ip, asked.port)

    def _chosen(self, service: Obj, entry: dict[str, object]) -> Peer | None:
        """A ready endpoint at random, from the Service's EndpointSlices."""
        found = self.endpoints(service, str(entry.get("name") or ""), int(str(entry["port"])))
        if not found:
            return None
        ip, port = random.choice(found)
        return Peer(ip, port, self.pod_at(ip))

    def endpoints(self, service: Obj, port_name: str, port: int) -> list[tuple[str, int]]:
        """(address, port) of the ready endpoints of one of a Service's ports."""
        meta = service["metadata"]
        found: list[tuple[str, int]] = []
        slices = self.api.objects(
            "discovery.k8s.io/EndpointSlice", meta["namespace"], {"kubernetes.io/service-name": meta["name"]}
        )
        for slice_ in slices:
            entry = next((p for p in slice_.get("ports") or () if (p.get("name") or "") == port_name), None)
            if entry is None or not entry.get("port"):
                continue
            for endpoint in slice_.get("endpoints") or ():
                if (endpoint.get("conditions") or {}).get("ready") is not False:
                    found.extend((address, int(entry["port"])) for address in endpoint.get("addresses") or ())
        return found


def refused() -> ConnectionRefusedError:
    return ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


async def _lost() -> None:
    """Packets that nobody answers: waits until TCP gives up."""
    await asyncio.sleep(130)
    raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


class _PatientWriter(asyncio.StreamWriter):
    """Ends its side a moment after the last byte: Envoy cuts a connection that has ended before it was looked at."""

    def __init__(self, inner: asyncio.StreamWriter) -> None:
        super().__init__(inner.transport, inner._protocol, inner._reader, inner._loop)  # type: ignore[attr-defined]
        self._inner = inner
        """A writer that nobody holds closes its connection."""

    def write_eof(self) -> None:
        def end() -> None:
            with contextlib.suppress(OSError, RuntimeError):
                self.transport.write_eof()

        asyncio.get_running_loop().call_later(_EOF_SECONDS, end)


async def streams_of(sock: socket.socket) -> Streams:
    """Reader and writer of a connected socket."""
    reader = asyncio.StreamReader(limit=_STREAM_LIMIT)
    protocol = asyncio.StreamReaderProtocol(reader)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: protocol, sock=sock)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def claim_block(preferred: int = 0) -> tuple[int, socket.socket]:
    """(block of 127/8, the lock on it): a block that no other sandbox has. Raises OSError when all are taken."""
    order = [*([preferred] if preferred else []), *random.sample(range(1, 255), 254)]
    for block in order:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.bind((f"127.{block}.255.254", 49151))
            sock.listen(1)
        except OSError:
            sock.close()
            continue
        return block, sock
    raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
