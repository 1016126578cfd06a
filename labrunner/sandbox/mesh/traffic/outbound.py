"""The outbound side of a sidecar: one listener that sorts connections by where they wanted to go.

istiod has a listener on 15001 and one per port or virtual address behind it; here they are filter chains of one
listener, chosen by the original destination, which arrives by PROXY protocol instead of iptables.
Source: pilot/pkg/networking/core/listener.go (buildSidecarOutboundListeners) and route/route.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labrunner.sandbox.mesh.model import Config, Service, ServicePort
from labrunner.sandbox.mesh.traffic.cluster import Cluster, ClusterContext, cluster_name, outbound_clusters, wire
from labrunner.sandbox.mesh.traffic.destination_rule import Rule, hash_policy, rule_for
from labrunner.sandbox.mesh.traffic.filter_chain import Chain, Filter, http_manager, listener_filter, tcp_proxy
from labrunner.sandbox.mesh.traffic.hosts import DOMAIN, domains, full_name, matches, specificity
from labrunner.sandbox.mesh.traffic.http_route import Route, Scope, default_route, routes
from labrunner.sandbox.mesh.traffic.sidecar_scope import SidecarScope, scope_for
from labrunner.sandbox.workload.addresses import real_port

OUTBOUND_PORT = 15001
HTTP_KINDS = ("http", "http2", "grpc", "grpc-web")
_OPAQUE = ("tcp", "mysql", "mongo", "redis")
HTTP_ALPN = ["http/1.0", "http/1.1", "h2c"]
PASSTHROUGH, BLACK_HOLE = "PassthroughCluster", "BlackHoleCluster"


@dataclass(slots=True)
class _Chains:
    """Filter chains with distinct matches: of two that want the same connections the first stays."""

    found: list[Chain] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def add(self, name: str, match: dict[str, Any], filters: list[Filter]) -> None:
        key = json.dumps(match, sort_keys=True)
        if key not in self._seen:
            self._seen.add(key)
            self.found.append({"name": name, "filter_chain_match": match, "filters": filters})


def outbound(context: ClusterContext) -> tuple[list[dict[str, Any]], list[Cluster]]:
    """The listener and its clusters."""
    side = _Outbound(context, scope_for(context.world, context.proxy))
    return [side.listener()], side.clusters()


class _Outbound:
    def __init__(self, context: ClusterContext, scope: SidecarScope) -> None:
        self._context, self._scope = context, scope
        self._proxy = context.proxy
        self._rules: dict[str, Rule | None] = {
            service.host: rule_for(context.world, context.proxy, service) for service in scope.services
        }
        self._by_host = {service.host: service for service in reversed(scope.services)}

    # clusters

    def clusters(self) -> list[Cluster]:
        found: dict[str, Cluster] = {}
        for service in self._scope.services:
            if service.external_name:
                continue
            for port in service.ports:
                if port.protocol != "TCP":
                    continue
                for cluster in outbound_clusters(self._context, service, port, self._rules[service.host]):
                    found.setdefault(cluster["name"], cluster)
        extra = [wire(self._context, self._own(PASSTHROUGH)), self._black_hole()]
        return [*found.values(), *extra]

    def _own(self, name: str) -> str:
        return f"{self._proxy.key}/{name}"

    def _black_hole(self) -> Cluster:
        return {"name": self._own(BLACK_HOLE), "type": "STATIC", "connect_timeout": "10s"}

    def _cluster(self, host: str, port: int | None, subset: str, fallback: int) -> str:
        if port is None:
            service = self._by_host.get(host)
            port = service.ports[0].port if service and len(service.ports) == 1 else fallback
        return cluster_name(self._proxy, host, port, subset)

    # listener

    def listener(self) -> dict[str, Any]:
        address = self._context.addresses.real_ip(self._proxy.ip)
        default = self._own(BLACK_HOLE if self._scope.registry_only else PASSTHROUGH)
        return {
            "name": f"{self._proxy.key}/outbound",
            "address": {"socket_address": {"address": address, "port_value": OUTBOUND_PORT}},
            "traffic_direction": "OUTBOUND",
            "listener_filters": [
                listener_filter("proxy_protocol"),
                *(self._inspector(name) for name in ("tls_inspector", "http_inspector")),
            ],
            "listener_filters_timeout": "5s",
            "continue_on_listener_filters_timeout": True,
            "filter_chains": self._chains(),
            "default_filter_chain": {
                "name": "PassthroughFilterChain",
                "filters": [self._tcp(default.partition("/")[2], default, 0)],
            },
        }

    def _inspector(self, name: str) -> Filter:
        """Inspectors wait for the client to speak first; where servers do (declared TCP) they must stay away."""
        found = listener_filter(name)
        every = [port for service in self._scope.services for port in service.ports]
        ports = sorted({p.port for p in every if p.kind in _OPAQUE} - {p.port for p in every if p.kind not in _OPAQUE})
        if ports:
            each = [{"destination_port_range": {"start": port, "end": port + 1}} for port in ports]
            found["filter_disabled"] = each[0] if len(each) == 1 else {"or_match": {"rules": each}}
        return found

    def _chains(self) -> list[Chain]:
        chains = _Chains()
        http_ports: dict[int, None] = {}
        for service in self._scope.services:
            for port in service.ports:
                if port.protocol != "TCP" or service.external_name:
                    continue
                if port.kind in HTTP_KINDS:
                    http_ports[port.port] = None
                elif port.kind == "auto" and not service.headless and service.addresses:
                    self._auto(chains, service, port)
                elif port.kind == "auto":
                    http_ports[port.port] = None
                else:
                    self._opaque(chains, service, port)
        if any(self._hosts(v) for v in self._scope.virtual_services):
            http_ports.setdefault(80, None)
        for number in http_ports:
            manager = self._http(str(number), self._route_config(str(number), number, None), number)
            for wanted in dict.fromkeys((number, real_port(number))):
                match = {"destination_port": wanted, "transport_protocol": "raw_buffer"}
                chains.add(f"0.0.0.0_{number}", {**match, "application_protocols": HTTP_ALPN}, [manager])
        return chains.found

    def _hosts(self, config: Config) -> list[str]:
        namespace = config["metadata"].get("namespace", "")
        return [full_name(host, namespace) for host in (config.get("spec") or {}).get("hosts") or ()]

    def _auto(self, chains: _Chains, service: Service, port: ServicePort) -> None:
        """A port of no stated protocol: HTTP if it looks like it, else bytes."""
        name = f"{service.host}:{port.port}"
        match = {**_destination(service.addresses, port.port), "transport_protocol": "raw_buffer"}
        manager = self._http(name, self._route_config(name, port.port, service), port.port)
        chains.add(name, {**match, "application_protocols": HTTP_ALPN}, [manager])
        self._opaque(chains, service, port)

    def _opaque(self, chains: _Chains, service: Service, port: ServicePort) -> None:
        """TCP and TLS, with the `tls` and `tcp` routes of VirtualServices."""
        where = self._places(service, port)
        name = f"{service.host}_{port.port}"
        config = self._virtual_service(service.host)
        spec = (config or {}).get("spec") or {}
        namespace = (config or {"metadata": {}})["metadata"].get("namespace", "")
        for place in where:
            for entry in spec.get("tls") or ():
                for match in entry.get("match") or ():
                    if not self._matches_port(match, port.port):
                        continue
                    names = {"server_names": list(match.get("sniHosts") or ())}
                    chains.add(name, {**place, **names}, [self._routed(entry, namespace, port.port)])
            tcp = next((e for e in spec.get("tcp") or () if self._tcp_applies(e, port.port)), None)
            plain = (
                self._routed(tcp, namespace, port.port)
                if tcp
                else self._tcp(f"outbound|{port.port}||{service.host}", self._cluster(service.host, port.port, "", 0),
                               port.port)
            )  # fmt: skip
            by_name = port.kind in ("tls", "https") and service.external
            if by_name and (not service.addresses or service.host.startswith("*")):
                chains.add(name, {**place, "server_names": [service.host]}, [plain])
                continue
            chains.add(name, place, [plain])
            chains.add(name, {**place, "transport_protocol": "raw_buffer"}, [plain])

    def _places(self, service: Service, port: ServicePort) -> list[dict[str, Any]]:
        if service.headless:
            # Clients of a headless service call pods by their own addresses.
            return [
                _destination([self._context.addresses.real_ip(e.workload.ip)], real_port(e.port))
                for e in service.endpoints.get(port.port, ())
                if e.workload
            ]
        return [_destination(service.addresses, port.port)]

    def _matches_port(self, match: dict[str, Any], port: int) -> bool:
        if match.get("port") and int(match["port"]) != port:
            return False
        if match.get("gateways") and "mesh" not in match["gateways"]:
            return False
        wanted = match.get("sourceLabels") or {}
        namespace = match.get("sourceNamespace") or self._proxy.namespace
        return namespace == self._proxy.namespace and all(self._proxy.labels.get(k) == v for k, v in wanted.items())

    def _tcp_applies(self, entry: dict[str, Any], port: int) -> bool:
        return not entry.get("match") or any(self._matches_port(match, port) for match in entry["match"])

    def _routed(self, entry: dict[str, Any], namespace: str, port: int) -> Filter:
        clusters = []
        for route in entry.get("route") or ():
            destination = route.get("destination") or {}
            number = (destination.get("port") or {}).get("number")
            host = full_name(destination.get("host", ""), namespace)
            name = self._cluster(host, int(number) if number else None, destination.get("subset", ""), port)
            clusters.append({"name": name, "weight": int(route.get("weight") or 0) or 1})
        return self._tcp_to(clusters, port)

    def _tcp_to(self, clusters: Sequence[Mapping[str, Any]], port: int) -> Filter:
        log = self._log(port)
        if len(clusters) == 1:
            return tcp_proxy(clusters[0]["name"].partition("/")[2], clusters[0]["name"], log)
        found = tcp_proxy("weighted", "", log)
        del found["typed_config"]["cluster"]
        found["typed_config"]["weighted_clusters"] = {"clusters": list(clusters)}
        return found

    def _tcp(self, stat_prefix: str, cluster: str, port: int) -> Filter:
        return tcp_proxy(stat_prefix, cluster, self._log(port))

    def _log(self, port: int) -> dict[str, str]:
        return {"proxy": self._proxy.key, "direction": "outbound", "port": str(port)}

    def _http(self, name: str, route_config: dict[str, Any], port: int) -> Filter:
        extra = {"use_remote_address": False, "forward_client_cert_details": "SANITIZE"}
        return http_manager(f"outbound_{name}", route_config, [], self._log(port), **extra)

    # routes

    def _virtual_service(self, host: str) -> Config | None:
        """The one whose host names this one most closely; of equals the oldest."""
        best: tuple[tuple[int, int], int] | None = None
        found = None
        for index, config in enumerate(self._scope.virtual_services):
            for pattern in self._hosts(config):
                if matches(pattern, host) and (best is None or (specificity(pattern), index) < best):
                    best, found = (specificity(pattern), index), config
        return found

    def _route_config(self, name: str, port: int, only: Service | None) -> dict[str, Any]:
        """`only`: the route table of one service's port, where nothing else can be meant."""
        hosts = []
        taken: set[str] = set()

        def add(label: str, names: list[str], found: list[Route]) -> None:
            free = [n for n in dict.fromkeys(names) if n.lower() not in taken]
            taken.update(n.lower() for n in free)
            if free and found:
                hosts.append({"name": label, "domains": free, "routes": found, "include_request_attempt_count": True})

        here = [only] if only else [s for s in self._scope.services if self._on_http_port(s, port)]
        for service in here:
            config = self._virtual_service(service.host)
            found = self._routes(config, port, service) if config else self._default(service.host, port)
            add(f"{service.host}:{port}", self._domains(service, port), found)
        if only is None:
            for config in self._scope.virtual_services:
                self._unknown_hosts(config, port, here, add)
        add(*self._rest())
        return {
            "name": name,
            "validate_clusters": False,
            "max_direct_response_body_size_bytes": 1048576,
            "ignore_port_in_host_matching": True,
            "virtual_hosts": [_without_ports(host) for host in hosts],
        }

    def _domains(self, service: Service, port: int) -> list[str]:
        names = domains(service, port, self._proxy.namespace)
        for alias in self._scope.services:
            if alias.external_name and alias.external_name.rstrip(".") == service.host:
                names += domains(alias, port, self._proxy.namespace)
        return names

    def _on_http_port(self, service: Service, port: int) -> bool:
        return any(p.port == port and p.kind in (*HTTP_KINDS, "auto") for p in service.ports)

    def _default(self, host: str, port: int) -> list[Route]:
        rule = self._rules.get(host)
        route = default_route(self._cluster(host, port, "", port))
        if rule and (hashed := hash_policy(rule.policy_of(port))):
            route["route"]["hash_policy"] = hashed
        return [route]

    def _routes(self, config: Config, port: int, service: Service | None) -> list[Route]:
        spec, meta = config.get("spec") or {}, config["metadata"]
        hashed = {}
        for host, rule in self._rules.items():
            if rule and (policy := hash_policy(rule.policy_of(port))):
                hashed[host] = policy
        scope = Scope(
            namespace=meta.get("namespace", ""),
            gateway="mesh",
            port=port,
            proxy_namespace=self._proxy.namespace,
            proxy_labels=self._proxy.labels,
            cluster=lambda host, number, subset: self._cluster(host, number, subset, port),
            name=meta["name"],
            hash_policy=hashed,
        )
        if not spec.get("http"):
            return self._default(service.host, port) if service else []
        return [route for number, entry in enumerate(spec["http"]) for route in routes(entry, scope, number)]

    def _unknown_hosts(self, config: Config, port: int, here: Sequence[Service], add: Any) -> None:
        """Hosts that no service of this port has: istiod gives them a virtual host on port 80, and wildcards."""
        known = {service.host for service in self._scope.services}
        for host in self._hosts(config):
            if host in known or any(matches(host, service.host) for service in here):
                continue
            if port == 80 and not host.endswith(f".{DOMAIN}"):
                add(f"{host}:{port}", [host], self._routes(config, port, None))

    def _rest(self) -> tuple[str, list[str], list[Route]]:
        if self._scope.registry_only:
            blocked = {"name": "block_all", "match": {"prefix": "/"}, "direct_response": {"status": 502}}
            return "block_all", ["*"], [blocked]
        route = {"cluster": self._own(PASSTHROUGH), "timeout": "0s"}
        return "allow_any", ["*"], [{"name": "allow_any", "match": {"prefix": "/"}, "route": route}]


def _without_ports(host: dict[str, Any]) -> dict[str, Any]:
    """Domains without `:port`: the route table ignores ports in the Host header, as istiod's does."""
    names = dict.fromkeys(name.rpartition(":")[0] if _has_port(name) else name for name in host["domains"])
    return {**host, "domains": list(names)}


def _has_port(name: str) -> bool:
    head, colon, tail = name.rpartition(":")
    return bool(colon) and tail.isdigit() and (":" not in head or head.endswith("]"))


def _destination(addresses: Sequence[str], port: int) -> dict[str, Any]:
    match: dict[str, Any] = {"destination_port": port}
    if addresses:
        match["prefix_ranges"] = [_range(address) for address in addresses]
    return match


def _range(address: str) -> dict[str, Any]:
    prefix, slash, length = address.partition("/")
    return {"address_prefix": prefix, "prefix_len": int(length) if slash else (128 if ":" in prefix else 32)}
