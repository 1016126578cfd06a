"""The ends of a request's way: who asked, what answered, and why no proxy saw it where none did."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from labrunner.sandbox.mesh import policy
from labrunner.sandbox.mesh.model import Service, Workload, World
from labrunner.sandbox.mesh.observe.hops import Hop
from labrunner.sandbox.mesh.observe.identity_advice import injection
from labrunner.sandbox.mesh.observe.peers import Directory, workload_name
from labrunner.sandbox.mesh.observe.route_advice import credential_problem
from labrunner.sandbox.mesh.traffic.gateway_servers import servers_of
from labrunner.sandbox.mesh.traffic.hosts import DOMAIN


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads, as the caller reads it."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Target:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        scheme = parts.scheme or "http"
        try:
            port = parts.port
        except ValueError:
            port = None
        return cls(scheme, parts.hostname or "", port or (443 if scheme == "https" else 80))


@dataclass(frozen=True, slots=True)
class Client:
    who: str
    """`pod.namespace`, or `this machine`."""
    identity: str
    """The SPIFFE URI that its sidecar shows; empty: it has none."""
    sidecar: bool


@dataclass(frozen=True, slots=True)
class Application:
    """What the request was for."""

    who: str
    """`pod.namespace`, an address outside the mesh, or empty: unknown."""
    address: str
    sidecar: bool
    state: str
    """answered; silent: it was called, and nothing came back; unreached."""


@dataclass(frozen=True, slots=True)
class Journey:
    client: Client
    hops: tuple[Hop, ...]
    application: Application
    why: str = ""
    """Where no proxy saw it, or none could know: what stood in its way."""
    change: tuple[str, ...] = field(default=())

    def document(self) -> dict[str, Any]:
        return asdict(self)


def callers(text: str, world: World) -> tuple[Workload, ...]:
    """The pods that `namespace/POD` or `namespace/deploy/NAME` may mean; none for `host`."""
    namespace, _, rest = text.partition("/")
    kind, slash, name = rest.partition("/")
    found = [w for w in world.workloads if w.namespace == namespace]
    if slash and kind not in ("pod", "pods", "po"):
        return tuple(w for w in found if workload_name(w) == name)
    return tuple(w for w in found if w.name == (name or kind))


def journey(
    hops: list[Hop], sent_by: tuple[Workload, ...], target: Target, world: World, directory: Directory
) -> Journey:
    own = [hop for hop in hops if hop.depth == 0]
    seen = directory.by_key.get(own[0].proxy) if own and own[0].direction == "outbound" else None
    caller = seen if seen is not None and not seen.gateway else next(iter(sent_by), None)
    client = Client("this machine", "", False)
    if caller is not None:
        identity = caller.spiffe(world.mesh.trust_domain) if caller.sidecar else ""
        client = Client(caller.key, identity, caller.sidecar)
    application = _application(own, directory)
    why = ""
    change: tuple[str, ...] = ()
    if not own or (own[-1].cluster == "PassthroughCluster" and not own[-1].why):
        why, change = _without_proxies(caller, target, world, directory)
    return Journey(client, tuple(hops), application, why, change)


def _application(own: list[Hop], directory: Directory) -> Application:
    if not own:
        return Application("", "", False, "unreached")
    last = own[-1]
    answered = last.details.startswith("via_upstream") or (not last.code and last.verdict == "allowed")
    called = bool(last.endpoint) and last.verdict != "denied" and set(last.flags.split(",")) & {"DC", "UT", "UC"}
    state = "answered" if answered else "silent" if called else "unreached"
    if last.direction == "inbound":
        return Application(last.proxy, last.address, True, state)
    target = directory.by_key.get(last.pod)
    if target is not None:
        return Application(target.key, last.endpoint, target.sidecar, "unreached" if target.sidecar else state)
    if not last.endpoint:
        return Application("", "", False, "unreached")
    return Application(f"{last.endpoint} (outside the mesh)", last.endpoint, False, state)


def _without_proxies(
    caller: Workload | None, target: Target, world: World, directory: Directory
) -> tuple[str, tuple[str, ...]]:
    gateways = [w for w in world.workloads if w.gateway]
    if caller is None:
        return _at_gateway(target, world, gateways)
    service = service_named(target.host, caller.namespace, world)
    if service is None:
        return _unknown_name(target.host, caller, world, directory)
    if target.port not in {port.port for port in service.ports}:
        have = ", ".join(str(port.port) for port in service.ports)
        return (
            f"Service {service.namespace}/{service.name} has no port {target.port}; it has {have}",
            (f"call port {have}, or add port {target.port} to the Service",),
        )
    endpoints = service.endpoints.get(target.port, ())
    if not endpoints:
        wanted = ", ".join(f"{k}={v}" for k, v in service.selector.items()) or "nothing"
        return (
            f"Service {service.namespace}/{service.name} has no ready endpoint on port {target.port}",
            (f"its selector is {wanted}: is there a ready pod in {service.namespace} with these labels?",),
        )
    blocked = [b for e in endpoints if e.workload for b in policy.blocking(world, caller, e.workload, e.port)]
    if blocked:
        names = " and ".join(dict.fromkeys(blocked))
        return (
            f"packets to {service.host} are dropped by {names}",
            ("no rule of these policies lets this caller reach that port: add one",),
        )
    plain = [e.workload for e in endpoints if e.workload and not e.workload.sidecar]
    if not caller.sidecar and plain:
        return (
            f"neither {caller.key} nor {plain[0].key} has a sidecar: it went in plaintext, and no policy of the mesh"
            " applies to it",
            (f"{caller.key}: {injection(world, caller)}", f"{plain[0].key}: {injection(world, plain[0])}"),
        )
    return "no proxy has reported it yet: the program may not listen, or the request is still under way", ()


def service_named(host: str, namespace: str, world: World) -> Service | None:
    """What a name or address means to a pod of this namespace, as its DNS search list has it."""
    bare = host.rstrip(".")
    names = {bare, f"{bare}.{namespace}.{DOMAIN}", f"{bare}.{DOMAIN}", f"{bare}.cluster.local"}
    return next((s for s in world.services if s.host in names or bare in s.addresses), None)


def _unknown_name(host: str, caller: Workload, world: World, directory: Directory) -> tuple[str, tuple[str, ...]]:
    if host in directory.by_ip:
        pod = directory.by_ip[host]
        if blocked := policy.blocking(world, caller, pod, 0):
            return f"packets to {pod.key} are dropped by {' and '.join(dict.fromkeys(blocked))}", ()
        return f"{pod.key} did not answer there", ()
    short = host.partition(".")[0]
    elsewhere = [s for s in world.services if s.name == short and not s.external]
    if elsewhere:
        names = ", ".join(f"{s.name}.{s.namespace}" for s in elsewhere[:3])
        return f"there is no Service {host} as {caller.namespace} sees it", (f"there is {names}",)
    return f"nothing in the cluster has the name {host}", ("create the Service, or a ServiceEntry for an outside name",)


def _at_gateway(target: Target, world: World, gateways: list[Workload]) -> tuple[str, tuple[str, ...]]:
    if not gateways:
        return "no gateway runs in this sandbox: from outside only a gateway can be reached", ()
    for gateway in gateways:
        services = [
            s
            for s in world.services
            if any(e.workload is not None and e.workload.ip == gateway.ip for g in s.endpoints.values() for e in g)
        ]
        servers = servers_of(world, gateway)
        ports = sorted({s.port for s in servers})
        own = [s for s in servers if s.port == target.port]
        if not servers:
            return (
                f"gateway {gateway.key} has no listener: no Gateway object selects it",
                ("create a Gateway whose spec.selector has labels of the gateway's pods",),
            )
        if services and not own:
            listed = ", ".join(map(str, ports))
            return (
                f"gateway {gateway.key} has no listener on port {target.port}: its Gateways have {listed}",
                (f"call port {listed}, or add a server with port {target.port} to a Gateway",),
            )
        broken = [p for s in own if s.terminates and (p := credential_problem(s, world, gateway))]
        if broken and len(broken) == len(own):
            return f"gateway {gateway.key} has no listener on port {target.port}: {broken[0][0]}", (broken[0][1],)
    return (
        f"no gateway saw it: {target.host} is not an address of a gateway, or it never left this machine",
        ("kubectl get service -A shows the gateways' addresses (EXTERNAL-IP)",),
    )
