"""The mesh of one sandbox at work: follows the cluster's objects, keeps Envoy in step, joins in when pods connect.

Everything runs on the server's event loop. Envoy starts when the first pod has a sidecar or a gateway runs; where it
is missing, pods with a sidecar cannot connect and the reason is said by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labrunner.errors import EnvironmentFault
from labrunner.sandbox import sockets
from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.settings import MeshSettings
from labrunner.sandbox.mesh import envoy_filter, policy, world
from labrunner.sandbox.mesh.delivery import Delivery, Refusal
from labrunner.sandbox.mesh.envoy import Envoy
from labrunner.sandbox.mesh.identities import Identities
from labrunner.sandbox.mesh.model import Endpoint, Workload, World
from labrunner.sandbox.mesh.notices import COMPONENT, Notices
from labrunner.sandbox.mesh.relay import Relay
from labrunner.sandbox.mesh.render import Rendered, Surroundings, render
from labrunner.sandbox.mesh.traffic.cluster import ROOT_SECRET
from labrunner.sandbox.mesh.traffic.hosts import matches
from labrunner.sandbox.mesh.traffic.outbound import OUTBOUND_PORT
from labrunner.sandbox.mesh.wire import Wire, header
from labrunner.sandbox.mesh.xds.message import SECRET, certificate_secret, validation_secret
from labrunner.sandbox.mesh.xds.server import DiscoveryServer
from labrunner.sandbox.workload.addresses import pod_port
from labrunner.sandbox.workload.network import Attempt, Detour, Network, Peer

log = logging.getLogger(__name__)

CURL_HOME = "client"
"""Folder, beside Envoy's, of what programs outside the cluster need to reach it."""
DEBOUNCE_SECONDS = 0.008
_PATIENCE_SECONDS = 10.0
"""How long a connection waits at most for configuration that is on its way."""
_AGENT_PORTS = frozenset((15000, 15001, 15004, 15006, 15020, 15021, 15053, 15090))


@dataclass(slots=True)
class MeshPlane:
    """Made by `install`; `close` ends its process."""

    api: Api
    network: Network
    directory: Path
    settings: MeshSettings
    identities: Identities
    envoy: Envoy = field(init=False)
    delivery: Delivery = field(init=False)
    wire: Wire = field(init=False)
    relay: Relay = field(init=False)
    world: World | None = None
    rendered: Rendered = field(default_factory=Rendered)
    problem: str = ""
    """Why there is no Envoy; empty when there is or none is needed."""
    refusals: list[Refusal] = field(default_factory=list)
    _active: set[str] = field(default_factory=set)
    _refused: dict[str, str] = field(default_factory=dict)
    """EnvoyFilters Envoy does not take, and in which version."""
    _words: dict[str, str] = field(default_factory=dict)
    """What Envoy says of them."""
    _proven: dict[str, str] = field(default_factory=dict)
    restarts: int = 0
    """How often Envoy ended by itself; `last_end`: how the last time."""
    last_end: str = ""
    notices: Notices = field(init=False)
    _wanted: int = 1
    """Counts what has changed; `_reached`: how much of that is in force, or cannot be."""
    _reached: int = 0
    _running: bool = False
    _task: asyncio.Task[None] | None = None
    _timer: asyncio.TimerHandle | None = None
    _renewal: asyncio.TimerHandle | None = None
    _progress: asyncio.Event = field(default_factory=asyncio.Event)
    _black_hole: list[socket.socket] = field(default_factory=list)
    _sockets: Path = field(init=False)
    _unsubscribe: Any = None
    _closed: bool = False

    def __post_init__(self) -> None:
        self._sockets = sockets.sockets_of(self.directory.parent)
        self.envoy = Envoy(self.directory, self._sockets, self._envoy_ended)
        self.delivery = Delivery(self.envoy, DiscoveryServer())
        self.wire = Wire(self._leave)
        self.relay = Relay(self._enter)
        self.notices = Notices(self.api)

    # life

    def start(self) -> None:
        """Begin to follow the cluster; Envoy comes when it is needed."""
        self.network.capture = self.capture
        self.network.inbound = self.inbound
        self.network.app_place = self.app_place
        self.network.policies.append(self.permits)
        self.network.listeners_changed = self._listening_changed
        self.relay.start(f"127.{self.network.plan.block}.255.251")
        self.relay.write_settings(self.directory.parent / CURL_HOME)
        self._unsubscribe = self.api.subscribe(world.WATCHED, self._changed)
        self.touch()

    def close(self) -> None:
        self._closed = True
        if self._unsubscribe:
            self._unsubscribe()
        for timer in (self._timer, self._renewal):
            if timer:
                timer.cancel()
        if self._task:
            self._task.cancel()
        self.wire.stop()
        self.relay.stop()
        self.delivery.discovery.stop()
        for sock in self._black_hole:
            sock.close()
        self.envoy.kill()
        sockets.remove(self._sockets)

    # following

    def _changed(self, change: Change) -> None:
        if change.kind in ("Secret", "ConfigMap", "apps/Deployment") and not self._matters(change.obj, change.kind):
            return
        if change.kind == "Pod" and change.old is not None and _same_pod(change.old, change.obj):
            return
        self.touch()

    def _matters(self, obj: Obj, kind: str) -> bool:
        namespace = obj["metadata"].get("namespace", "")
        if kind != "Secret":
            return bool(namespace == self.settings.system_namespace)
        return (
            namespace in (self.settings.system_namespace, self.settings.ingress_namespace)
            or self.world is None
            or any(w.gateway and w.namespace == namespace for w in self.world.workloads)
        )

    def _listening_changed(self, pod: Obj, port: int) -> None:
        if self._running and not (port in _AGENT_PORTS and _has_proxy(pod)):
            self.touch()

    def touch(self) -> None:
        """Something changed: look again soon."""
        self._wanted += 1
        if self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(DEBOUNCE_SECONDS, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work(), name="mesh")

    async def _work(self) -> None:
        while not self.settled and not self._closed:
            seen = self._wanted
            try:
                await self._bring_up_to_date()
            except EnvironmentFault as error:
                self._fail(error.message)
            except OSError as error:
                log.warning("mesh: %s", error, exc_info=True)
                await asyncio.sleep(0.2)
                continue
            except Exception:
                # The edge of a worker: one bad object must not end the mesh.
                log.exception("mesh: configuration cannot be made")
            self._reached = seen
            self._progress.set()
            self._progress = asyncio.Event()

    def _fail(self, message: str) -> None:
        if self.problem != message:
            self.problem = message
            log.error("mesh: %s", message)

    async def _bring_up_to_date(self) -> None:
        root = self.settings.system_namespace
        seen = world.build(self.api, root, self._listening)
        if not any(w.sidecar for w in seen.workloads) and not self._running:
            self.world = seen
            return
        self.identities.refresh(self.api, root)
        self._issue(seen)
        self.world = seen
        await self._bind_programs(seen)
        self._active &= {w.ip for w in seen.workloads}
        if not self._running:
            await self._start_envoy(seen)
        self.rendered = await self._deliver(seen)
        self._plan_renewal()

    def _issue(self, seen: World) -> None:
        """Certificates for every identity in use, and the root, to Envoy; renewed ones take the old ones' place."""
        now, domain = self.api.now(), seen.mesh.trust_domain
        used = {w.spiffe(domain) for w in seen.workloads if w.sidecar}
        self.identities.keep(used)
        found = {name: self.identities.current(name, now) for name in used}
        secrets = {name: certificate_secret(name, i.certificate, i.key) for name, i in found.items()}
        secrets[ROOT_SECRET] = validation_secret(ROOT_SECRET, self.identities.root_pem)
        self.delivery.discovery.put(SECRET, secrets)

    async def _start_envoy(self, seen: World) -> None:
        """With what cannot be refused: EnvoyFilters come with the first delivery."""
        if not self._black_hole:
            host = f"127.{self.network.plan.block}.255.252"
            self._black_hole = _black_hole(host)
            self.wire.start(host)
            sockets.make(self._sockets)
            await self.delivery.discovery.start(self.envoy.discovery)
        everything = {envoy_filter.name_of(config) for config in seen.of("EnvoyFilter")}
        self.delivery.prepare(render(seen, self._surroundings(seen), self._active, everything))
        await self.envoy.run()
        self._running, self.problem = True, ""

    async def _deliver(self, seen: World) -> Rendered:
        """Bring the world into force; an EnvoyFilter that Envoy refuses is left out, alone, and told so."""
        versions = {envoy_filter.name_of(c): _version(c) for c in seen.of("EnvoyFilter")}
        self._refused = {name: v for name, v in self._refused.items() if versions.get(name) == v}
        rendered, refusals = await self._try(seen, set(self._refused))
        suspects = [n for n in rendered.patched if self._proven.get(n) != versions[n]] if refusals else []
        if suspects:
            await self._try(seen, {*self._refused, *suspects})
            for name in suspects:
                left = {*self._refused, *suspects[suspects.index(name) + 1 :]}
                rendered, refusals = await self._try(seen, left)
                if refusals:
                    self._refused[name] = versions[name]
                    self._words[name] = "; ".join(refusal.detail for refusal in refusals)
                    log.warning("EnvoyFilter %s is refused by Envoy: %s", name, self._words[name])
                    rendered, refusals = await self._try(seen, {*left, name})
        if not refusals:
            self._proven = {name: versions[name] for name in rendered.patched}
        self.refusals = refusals
        self._words = {name: words for name, words in self._words.items() if name in self._refused}
        self.notices.refresh(seen, rendered.problems, self._words)
        for refusal in refusals:
            log.warning("Envoy refused %s %s: %s", refusal.what, ", ".join(refusal.resources), refusal.detail)
        return rendered

    async def _try(self, seen: World, without: set[str]) -> tuple[Rendered, list[Refusal]]:
        rendered = render(seen, self._surroundings(seen), self._active, without)
        return rendered, await self.delivery.push(rendered)

    def _surroundings(self, seen: World) -> Surroundings:
        hole = self._black_hole[0].getsockname()[:2] if self._black_hole else ("127.0.0.1", 1)

        def reachable(source: Workload, endpoint: Endpoint) -> bool:
            return endpoint.workload is None or policy.allows(seen, source, endpoint.workload, endpoint.port)

        return Surroundings(self.network.plan, self._app_address, reachable, hole, self.wire.address)

    def _plan_renewal(self) -> None:
        if self._renewal:
            self._renewal.cancel()
        due = self.identities.next_renewal()
        if due is not None:
            wait = min(max(0.2, due - self.api.now()), 86400)
            self._renewal = asyncio.get_running_loop().call_later(wait, self.touch)

    def _envoy_ended(self, status: int) -> None:
        if self._closed:
            return
        self._running = False
        self.delivery.forget()
        self.restarts, self.last_end = self.restarts + 1, _reason(status)
        log.error("Envoy ended with status %d; it is started again", status)
        root = self.api.get("Namespace", self.settings.system_namespace)
        if root is not None:
            say = f"Envoy ended unexpectedly ({self.last_end}) and was started again; connections were cut."
            self.api.record_event(root, "Warning", "ProxyRestarted", say, component=COMPONENT)
        self.touch()

    def health(self) -> dict[str, Any]:
        """For `sandbox status`: whether Envoy runs, what happened to it, and what has no effect."""
        state = "missing" if self.problem else "running" if self._running else "not needed"
        found: dict[str, Any] = {"envoy": state, "restarts": self.restarts}
        if self.problem:
            found["problem"] = self.problem
        if self.last_end:
            found["lastEnd"] = self.last_end
        problems = dict(self.notices.standing)
        problems |= {f"Envoy ({refusal.what})": refusal.detail for refusal in self.refusals}
        return found | ({"problems": problems} if problems else {})

    # programs in pods

    def _listening(self, pod_ip: str) -> list[int]:
        pod = self.network.pod_at(pod_ip)
        if pod is None or _is_gateway(pod):
            return []
        return [port for port in self.network.ports(pod) if port not in _AGENT_PORTS]

    async def _bind_programs(self, seen: World) -> None:
        """Programs listen before Envoy may want them; otherwise they do when their first connection comes."""
        for workload in seen.workloads:
            pod = None if workload.gateway else self.network.pod_at(workload.ip)
            for port in self.network.ports(pod) if pod else ():
                if pod and not (workload.sidecar and port in _AGENT_PORTS):
                    with contextlib.suppress(OSError):
                        await self.network.bind(pod, port)

    def _app_address(self, workload: Workload, port: int) -> dict[str, Any]:
        pod = self.network.pod_at(workload.ip)
        where = self.network.bound(pod, port) if pod else None
        # Nothing listens there: connections are refused, as by a program that has not started.
        address, number = where or (self.network.plan.real_ip(workload.ip), 1)
        return {"socket_address": {"address": address, "port_value": number}}

    def app_place(self, pod: Obj, port: int) -> tuple[str, int] | None:
        """Where a program binds whose port the sidecar has; None: at the twin address itself."""
        if not _has_proxy(pod) or port in _AGENT_PORTS:
            return None
        return self.network.plan.real_ip(pod["status"]["podIP"]), 0

    # connections

    @property
    def settled(self) -> bool:
        """Everything that has changed so far is in force."""
        return self._reached >= self._wanted

    async def ready(self) -> bool:
        """Waits until what is known now is in force, whatever changes meanwhile; False when that cannot be.

        Every new connection passes here, so that none meets a policy older than the one the API has acknowledged.
        """
        wanted = self._wanted
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while self._reached < wanted:
                    await self._progress.wait()
        return self._running

    async def capture(self, source: Peer, asked: Peer) -> Detour | None:
        """Connections of a pod with a sidecar go to its outbound listener."""
        if source.pod is None or not _has_proxy(source.pod) or _is_gateway(source.pod):
            # Nothing to send through Envoy, but NetworkPolicies of this moment.
            await self.ready()
            return None
        if asked.port in _excluded(source.pod):
            return None
        if source.ip not in self._active:
            self._active.add(source.ip)
            self.touch()
        if not await self.ready():
            raise ConnectionRefusedError(self.problem or "the mesh's Envoy does not run")
        plan = self.network.plan
        to = asked.ip, asked.port
        if asked.pod is not None:
            to = plan.real(asked.ip, asked.port)
        preface = header((plan.real_ip(source.ip), source.port or 40000), to)
        return Detour((plan.real_ip(source.ip), OUTBOUND_PORT), preface)

    async def inbound(self, pod: Obj, port: int) -> tuple[str, int] | None:
        """Where Envoy takes connections to this pod's port; None when it does not."""
        if not _has_proxy(pod) or port in _AGENT_PORTS:
            return None
        if not await self.ready():
            raise ConnectionRefusedError(self.problem or "the mesh's Envoy does not run")
        return self.network.plan.real(pod["status"]["podIP"], port)

    def permits(self, attempt: Attempt) -> bool:
        """NetworkPolicies, for connections that Envoy does not make."""
        if self.world is None:
            return True
        by_ip = {w.ip: w for w in self.world.workloads}
        target = attempt.target
        return policy.allows_addresses(self.world, by_ip, attempt.source.ip, target.ip, target.port, attempt.protocol)

    async def _leave(self, source: tuple[str, int], destination: tuple[str, int]) -> socket.socket:
        """What a sidecar sends on without a route."""
        plan = self.network.plan
        ip, port = plan.pod_ip(destination[0]), destination[1]
        if ip != destination[0]:
            port = pod_port(port)
        from_ip = plan.pod_ip(source[0])
        client = Peer(from_ip, source[1], self.network.pod_at(from_ip))
        return await self.network.open_from(client, Peer(ip, port, self.network.pod_at(ip)))

    async def _enter(self, host: str, port: int) -> socket.socket | None:
        """From outside the cluster: LoadBalancers, nodes, and host names that Gateways serve."""
        if not world.is_address(host):
            host = self._gateway_address(host)
        if not host or not self._is_public(host):
            return None
        return await self.network.open_from(Peer("", 0), Peer(host, port))

    def _is_public(self, ip: str) -> bool:
        if any(
            ip == a.get("address") for n in self.api.objects("Node") for a in n.get("status", {}).get("addresses", ())
        ):
            return True
        return any(ip in _public_addresses(service) for service in self.api.objects("Service"))

    def _gateway_address(self, name: str) -> str:
        """The LoadBalancer address of a gateway that serves this name."""
        from labrunner.sandbox.mesh.traffic.gateway_servers import servers_of

        seen = self.world
        for gateway in (w for w in seen.workloads if w.gateway) if seen else ():
            assert seen is not None
            exact = any(name in server.hosts for server in servers_of(seen, gateway))
            wild = any(matches(h, name) for s in servers_of(seen, gateway) for h in s.hosts if h.startswith("*."))
            if not exact and not wild:
                continue
            for service in self.api.objects("Service", gateway.namespace):
                selector = service["spec"].get("selector") or {}
                leads_there = selector and all(gateway.labels.get(k) == v for k, v in selector.items())
                if leads_there and (found := _public_addresses(service)):
                    return found[0]
        return ""


def _public_addresses(service: Obj) -> list[str]:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [e["ip"] for e in ingress if e.get("ip")] + list(service["spec"].get("externalIPs") or ())


def install(api: Api, network: Network, directory: Path, settings: MeshSettings) -> MeshPlane:
    """`directory`: for Envoy's files and the mesh's certificates."""
    plane = MeshPlane(api, network, directory / "envoy", settings, Identities(directory / "identities"))
    plane.start()
    return plane


def _has_proxy(pod: Obj) -> bool:
    spec = pod["spec"]
    return any(
        c["name"] == world.PROXY for group in ("containers", "initContainers") for c in spec.get(group) or ()
    ) and not spec.get("hostNetwork")


def _is_gateway(pod: Obj) -> bool:
    return any(c["name"] == world.PROXY and "router" in (c.get("args") or ()) for c in pod["spec"]["containers"])


def _excluded(pod: Obj) -> set[int]:
    text = (pod["metadata"].get("annotations") or {}).get("traffic.sidecar.istio.io/excludeOutboundPorts", "")
    return {int(word) for word in text.split(",") if word.strip().isdigit()}


def _same_pod(old: Obj, new: Obj) -> bool:
    """Whether a change of a pod leaves the mesh as it is."""

    def essence(pod: Obj) -> tuple[Any, ...]:
        meta, status = pod["metadata"], pod.get("status") or {}
        ready = [c.get("status") for c in status.get("conditions") or () if c.get("type") == "Ready"]
        return (status.get("podIP"), status.get("phase"), ready, meta.get("labels"), meta.get("annotations"),
                meta.get("deletionTimestamp"))  # fmt: skip

    return essence(old) == essence(new)


def _version(config: Obj) -> str:
    """Changes with the spec, not with the status."""
    return f"{config['metadata'].get('uid', '')}/{config['metadata'].get('generation', 0)}"


def _reason(status: int) -> str:
    import signal

    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _black_hole(host: str) -> list[socket.socket]:
    """A listening socket whose backlog is full: connection attempts get no answer, as when a packet is dropped."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.bind((host, 0))
    listening.listen(0)
    held = [listening]
    for _ in range(2):
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            client.connect(listening.getsockname())
        held.append(client)
    return held
