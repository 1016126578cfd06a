"""What a gateway serves: the servers of the Gateways that select it, merged as istiod merges them.

Source: pilot/pkg/model/gateway.go (MergeGateways) and the Gateway reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.mesh.model import Config, Workload, World
from labrunner.sandbox.mesh.traffic.hosts import matches

_HTTP = ("HTTP", "HTTP2", "GRPC", "GRPC-WEB")


@dataclass(frozen=True, slots=True)
class Server:
    """One `servers` entry of a Gateway."""

    gateway: str
    """`namespace/name` of the Gateway."""
    spec: dict[str, Any]

    @property
    def namespace(self) -> str:
        return self.gateway.partition("/")[0]

    @property
    def port(self) -> int:
        return int(self.spec["port"]["number"])

    @property
    def protocol(self) -> str:
        return str(self.spec["port"].get("protocol", "")).upper()

    @property
    def tls(self) -> dict[str, Any]:
        return self.spec.get("tls") or {}

    @property
    def mode(self) -> str:
        return str(self.tls.get("mode", "PASSTHROUGH"))

    @property
    def terminates(self) -> bool:
        """TLS ends here."""
        return self.protocol in ("HTTPS", "TLS") and self.mode not in ("PASSTHROUGH", "AUTO_PASSTHROUGH")

    @property
    def secure(self) -> bool:
        """It has TLS settings and is not plaintext HTTP that redirects."""
        return bool(self.tls) and not self.plain_http

    @property
    def plain_http(self) -> bool:
        return self.protocol in _HTTP

    @property
    def serves_http(self) -> bool:
        return self.plain_http or (self.protocol == "HTTPS" and self.terminates)

    @property
    def hosts(self) -> list[str]:
        """Without the namespaces that may stand before them."""
        return [host.partition("/")[2] or host for host in self.spec.get("hosts") or ()]

    def admits(self, config: Config, host: str) -> list[str]:
        """The hosts under which this server offers a VirtualService's host: the narrower of each pair that fits."""
        namespace = config["metadata"].get("namespace", "")
        found: dict[str, None] = {}
        for pattern in self.spec.get("hosts") or ():
            where, slash, name = pattern.partition("/")
            if slash and where not in ("*", namespace) and not (where == "." and namespace == self.namespace):
                continue
            name = str(name if slash else pattern)
            if matches(name, host):
                found[host] = None
            elif matches(host, name):
                found[name] = None
        return list(found)

    @property
    def route_name(self) -> str:
        """Of its route table, as EnvoyFilters name it."""
        if self.plain_http:
            return f"http.{self.port}"
        namespace, _, name = self.gateway.partition("/")
        return f"https.{self.port}.{self.spec['port'].get('name', '')}.{name}.{namespace}"


def servers_of(world: World, proxy: Workload) -> list[Server]:
    """What the Gateways that select this workload declare, oldest Gateway first."""
    found = []
    for config in world.of("Gateway"):
        spec, meta = config.get("spec") or {}, config["metadata"]
        selector = spec.get("selector") or {}
        if all(proxy.labels.get(key) == value for key, value in selector.items()):
            name = f"{meta.get('namespace', '')}/{meta['name']}"
            found += [Server(name, server) for server in spec.get("servers") or ()]
    return found


def bound_to(config: Config, gateway_name: str) -> bool:
    """Whether a VirtualService lists this gateway, by `namespace/name` or, in its own namespace, by name."""
    namespace = config["metadata"].get("namespace", "")
    listed = (config.get("spec") or {}).get("gateways") or ()
    return any((entry if "/" in entry else f"{namespace}/{entry}") == gateway_name for entry in listed)


def merged(servers: Iterable[Server], target: Callable[[int], int]) -> dict[int, list[Server]]:
    """By the port the gateway listens on (`target` gives it): of servers that exclude each other the first stays.

    Plaintext HTTP servers of one port are served together, others exclude each other; a TLS server is left out as a
    whole when one of its hosts is taken on its port.
    """
    found: dict[int, list[Server]] = {}
    names: dict[int, set[str]] = {}
    for server in servers:
        port = target(server.port)
        known = found.setdefault(port, [])
        if server.secure:
            taken = names.setdefault(port, set())
            if (known and not known[0].secure) or taken & set(server.spec.get("hosts") or ()):
                continue
            if server.serves_http and any(server.route_name == other.route_name for other in known):
                continue
            taken.update(server.spec.get("hosts") or ())
        elif known and not (known[0].plain_http and server.plain_http):
            continue
        known.append(server)
    return {port: servers for port, servers in found.items() if servers}
