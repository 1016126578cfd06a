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
from labrunner.sandbox.mesh.telemetry import log_fields
from labrunner.sandbox.mesh.traffic.cluster import (
    MESH_ALPN,
    Cluster,
    ClusterContext,
    cluster_name,
    outbound_clusters,
    wire,
)
from labrunner.sandbox.mesh.traffic.destination_rule import Rule, rule_for
from labrunner.sandbox.mesh.traffic.filter_chain import (
    Chain,
    Filter,
    http_manager,
    listener_filter,
    offer_alpn,
    tcp_proxy,
)
from labrunner.sandbox.mesh.traffic.hosts import domains, full_name, matches, specificity
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
            "listener_filters_timeout": self._context.world.mesh.detection_timeout,
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
        name = f"{service.host}_{port.port}"
        configs = self._virtual_services(service.host)
        plain = self._tcp(
            f"outbound|{port.port}||{service.host}", self._cluster(service.host, port.port, "", 0), port.port
        )
        for place in self._places(service, port):
            if port.kind in ("tls", "https"):
                self._by_server_name(chains, name, place, service, port, configs, plain)
                continue
            filters = [self._tcp_route(configs, port.port) or plain]
            if port.kind == "auto":
                # The server takes what comes here for bytes, not for HTTP.
                filters.insert(0, offer_alpn(MESH_ALPN))
            chains.add(name, place, filters)
            chains.add(name, {**place, "transport_protocol": "raw_buffer"}, filters)

    def _by_server_name(
        self,
        chains: _Chains,
        name: str,
        place: dict[str, Any],
        service: Service,
        port: ServicePort,
        configs: Sequence[Config],
        plain: Filter,
    ) -> None:
        """TLS: where VirtualServices route by server name, other names lead nowhere."""
        matched = False
        for config in configs:
            namespace = config["metadata"].get("namespace", "")
            for entry in (config.get("spec") or {}).get("tls") or ():
                for match in entry.get("match") or ():
                    if self._matches_port(match, port.port):
                        names = {"server_names": list(match.get("sniHosts") or ())}
                        chains.add(name, {**place, **names}, [self._routed(entry, namespace, port.port)])
                        matched = True
        if matched:
            return
        if service.external and (not service.addresses or service.host.startswith("*")):
            chains.add(name, {**place, "server_names": [service.host]}, [plain])
            return
        chains.add(name, place, [plain])
        chains.add(name, {**place, "transport_protocol": "raw_buffer"}, [plain])

    def _tcp_route(self, configs: Sequence[Config], port: int) -> Filter | None:
        for config in configs:
            namespace = config["metadata"].get("namespace", "")
            for entry in (config.get("spec") or {}).get("tcp") or ():
                if self._tcp_applies(entry, port):
                    return self._routed(entry, namespace, port)
        return None

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
        extra = {"use_remote_address": False, "forward_client_cert_details": "SANITIZE", "server_name": "envoy"}
        log = log_fields(self._context.world, self._proxy, "outbound", port)
        return http_manager(f"outbound_{name}", route_config, [], log, **extra)

    # routes

    def _virtual_services(self, host: str) -> list[Config]:
        """Those with a host that names this one, the closest first; of equals the oldest."""
        found = []
        for index, config in enumerate(self._scope.virtual_services):
            ranks = [specificity(pattern) for pattern in self._hosts(config) if matches(pattern, host)]
            if ranks:
                found.append((min(ranks), index, config))
        return [config for _, _, config in sorted(found, key=lambda one: one[:2])]

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
            # A VirtualService none of whose routes is for this proxy leaves the service as it is.
            routed = (self._routes(config, port) for config in self._virtual_services(service.host))
            found = next((routes for routes in routed if routes), None) or self._default(service.host, port)
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
        if rule and (hashed := rule.hash_policy(port)):
            route["route"]["hash_policy"] = hashed
        return [route]

    def _routes(self, config: Config, port: int) -> list[Route]:
        spec, meta = config.get("spec") or {}, config["metadata"]
        scope = Scope(
            namespace=meta.get("namespace", ""),
            gateway="mesh",
            port=port,
            proxy_namespace=self._proxy.namespace,
            proxy_labels=self._proxy.labels,
            cluster=lambda host, number, subset: self._cluster(host, number, subset, port),
            name=meta["name"],
            hashing=self._hashing,
        )
        entries = enumerate(spec.get("http") or ())
        return [route for number, entry in entries for route in routes(entry, scope, number)]

    def _hashing(self, host: str, port: int | None, subset: str) -> list[dict[str, Any]]:
        rule = self._rules.get(host)
        return rule.hash_policy(port, subset) if rule else []

    def _unknown_hosts(self, config: Config, port: int, here: Sequence[Service], add: Any) -> None:
        """Hosts that no service of this port has: they are served beside the services of the same VirtualService, and
        on port 80 where it has none."""
        known = {service.host for service in here}
        hosts = self._hosts(config)
        beside = any(matches(pattern, service.host) for pattern in hosts for service in here)
        if not beside and port != 80:
            return
        for host in hosts:
            covers = host.startswith("*") and any(matches(host, service.host) for service in here)
            if host not in known and not covers:
                add(f"{host}:{port}", [host], self._routes(config, port))

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
