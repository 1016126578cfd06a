"""A gateway workload: the Gateway resources that select it, as listeners with the VirtualServices bound to them.

Source: pilot/pkg/networking/core/gateway.go, pilot/pkg/model/gateway.go (merging) and the Gateway reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.mesh.access_log import connection_log
from labrunner.sandbox.mesh.model import Config, Service, Workload, World
from labrunner.sandbox.mesh.security.authorization import policies_for, rbac_filters
from labrunner.sandbox.mesh.security.request_authentication import jwt_filter, requests_for
from labrunner.sandbox.mesh.traffic.cluster import Cluster, ClusterContext, cluster_name, outbound_clusters
from labrunner.sandbox.mesh.traffic.destination_rule import Rule, hash_policy, rule_for
from labrunner.sandbox.mesh.traffic.filter_chain import (
    Chain,
    Filter,
    http_manager,
    listener_filter,
    server_tls,
    tcp_proxy,
)
from labrunner.sandbox.mesh.traffic.hosts import config_visible, full_name, matches, specificity, visible
from labrunner.sandbox.mesh.traffic.http_route import Route, Scope, routes

_HTTP = ("HTTP", "HTTP2", "GRPC", "GRPC-WEB")
_VERSIONS = {"TLSV1_0": "TLSv1_0", "TLSV1_1": "TLSv1_1", "TLSV1_2": "TLSv1_2", "TLSV1_3": "TLSv1_3"}


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
    def plain_http(self) -> bool:
        return self.protocol in _HTTP

    @property
    def serves_http(self) -> bool:
        return self.plain_http or (self.protocol == "HTTPS" and self.terminates)

    @property
    def hosts(self) -> list[str]:
        """Without the namespaces that may stand before them."""
        return [host.partition("/")[2] or host for host in self.spec.get("hosts") or ()]

    def admits(self, config: Config, host: str) -> str:
        """The host under which this server offers a VirtualService's host; empty when it does not."""
        namespace = config["metadata"].get("namespace", "")
        for pattern in self.spec.get("hosts") or ():
            where, slash, name = pattern.partition("/")
            if slash and where not in ("*", namespace) and not (where == "." and namespace == self.namespace):
                continue
            name = str(name if slash else pattern)
            if matches(name, host):
                return host
            if matches(host, name):
                return name
        return ""


def gateway(context: ClusterContext) -> tuple[list[dict[str, Any]], list[Cluster]]:
    side = _Gateway(context)
    return side.listeners(), side.clusters()


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


class _Gateway:
    def __init__(self, context: ClusterContext) -> None:
        self._context, self._proxy, self._world = context, context.proxy, context.world
        self._servers = servers_of(context.world, context.proxy)
        self._services = {
            s.host: s
            for s in reversed(self._world.services)
            if visible(s.export_to, s.namespace, self._proxy.namespace)
        }
        self._used: dict[str, Service] = {}

    # listeners

    def listeners(self) -> list[dict[str, Any]]:
        by_port: dict[int, list[Server]] = {}
        for server in self._servers:
            by_port.setdefault(self._target(server.port), []).append(server)
        found = []
        for port, servers in by_port.items():
            chains = self._chains(port, servers)
            if chains:
                found.append(self._listener(port, chains, any(not s.plain_http for s in servers)))
        return found

    def _target(self, port: int) -> int:
        """Where the Service in front of the gateway sends this port."""
        for service in self._world.services:
            for service_port in service.ports:
                if service_port.port == port:
                    for endpoint in service.endpoints.get(port, ()):
                        if endpoint.workload and endpoint.workload.ip == self._proxy.ip:
                            return endpoint.port
        return port

    def _listener(self, port: int, chains: list[Chain], tls: bool) -> dict[str, Any]:
        address, real = self._context.addresses.real(self._proxy.ip, port)
        return {
            "name": f"{self._proxy.key}/0.0.0.0_{port}",
            "address": {"socket_address": {"address": address, "port_value": real}},
            "traffic_direction": "OUTBOUND",
            "listener_filters": [listener_filter("tls_inspector")] if tls else [],
            "listener_filters_timeout": "5s",
            "continue_on_listener_filters_timeout": True,
            "filter_chains": chains,
            "access_log": connection_log({"proxy": self._proxy.key, "direction": "gateway", "port": str(port)}),
        }

    def _chains(self, port: int, servers: list[Server]) -> list[Chain]:
        chains: list[Chain] = []
        plain = [server for server in servers if server.plain_http]
        if plain:
            chains.append({"name": f"http.{port}", "filters": self._http(f"http.{plain[0].port}", plain)})
        taken: set[str] = set()
        for server in servers:
            if server.plain_http:
                continue
            names = [name for name in dict.fromkeys(server.hosts) if name not in taken]
            if server.terminates:
                taken.update(names)
                if names:
                    chains += self._terminating(server, names)
            elif server.protocol in ("TLS", "HTTPS"):
                chains += self._passing(server, taken)
            else:
                chains += self._tcp(server)
        return chains

    def _match(self, names: Sequence[str]) -> dict[str, Any]:
        wanted = [name for name in names if name != "*"]
        return {"server_names": wanted} if wanted and "*" not in names else {}

    def _terminating(self, server: Server, names: list[str]) -> list[Chain]:
        socket = self._tls(server)
        if socket is None:
            return []
        label = f"https.{server.port}.{server.spec['port'].get('name', '')}.{server.gateway.replace('/', '.')}"
        filters = self._http(label, [server]) if server.serves_http else self._tcp_filters(server)
        if not filters:
            return []
        return [
            {
                "name": label,
                "filter_chain_match": self._match(names),
                "filters": filters,
                "transport_socket": socket,
            }
        ]

    def _tls(self, server: Server) -> dict[str, Any] | None:
        """None while the credential is missing or unusable: the listener then has no answer to a handshake."""
        tls = server.tls
        name = tls.get("credentialName") or next(iter(tls.get("credentialNames") or ()), "")
        secret = self._world.secrets.get((self._proxy.namespace, name), {})
        certificate = secret.get("tls.crt") or secret.get("cert")
        key = secret.get("tls.key") or secret.get("key")
        if not certificate or not key:
            return None
        alpn = ["h2", "http/1.1"] if server.serves_http else ["istio"]
        common: dict[str, Any] = {
            "alpn_protocols": alpn,
            "tls_params": _tls_params(tls),
            "tls_certificates": [{"certificate_chain": _inline(certificate), "private_key": _inline(key)}],
        }
        if server.mode in ("MUTUAL", "OPTIONAL_MUTUAL"):
            beside = self._world.secrets.get((self._proxy.namespace, f"{name}-cacert"), {})
            authority = secret.get("ca.crt") or secret.get("cacert") or beside.get("ca.crt") or beside.get("cacert")
            if not authority:
                return None
            common["validation_context"] = {"trusted_ca": _inline(authority)}
            if tls.get("subjectAltNames"):
                common["validation_context"]["match_typed_subject_alt_names"] = [
                    {"san_type": kind, "matcher": {"exact": san}}
                    for san in tls["subjectAltNames"]
                    for kind in ("DNS", "URI")
                ]
        return server_tls(common, require_client=server.mode == "MUTUAL")

    # HTTP

    def _http(self, name: str, servers: list[Server]) -> list[Filter]:
        policies = policies_for(self._world, self._proxy)
        rbac = rbac_filters(
            policies, "http", trust_domain=self._world.mesh.trust_domain, addresses=self._context.addresses
        )
        jwt = jwt_filter(requests_for(self._world, self._proxy))
        extra = {
            "use_remote_address": True,
            "forward_client_cert_details": "SANITIZE_SET",
            "set_current_client_cert_details": {"subject": True, "cert": True, "dns": True, "uri": True},
        }
        log = {"proxy": self._proxy.key, "direction": "gateway", "port": str(servers[0].port)}
        config = self._route_config(name, servers)
        return [http_manager(f"outbound_{name}", config, [*([jwt] if jwt else []), *rbac], log, **extra)]

    def _route_config(self, name: str, servers: list[Server]) -> dict[str, Any]:
        table: dict[str, list[Route]] = {}
        redirects: set[str] = set()
        for server in servers:
            if server.tls.get("httpsRedirect"):
                redirects.update(server.hosts)
            for config in self._world.of("VirtualService"):
                if not bound_to(config, server.gateway) or not config_visible(config, self._proxy.namespace):
                    continue
                found = self._routes(config, server)
                for host in (config.get("spec") or {}).get("hosts") or ():
                    full = full_name(host, config["metadata"].get("namespace", ""))
                    if found and (offered := server.admits(config, full)):
                        known = table.setdefault(offered, [])
                        known += [route for route in found if route not in known]
        for host in redirects:
            table.setdefault(host, [])
        hosts = []
        for host, found in sorted(table.items(), key=lambda item: specificity(item[0])):
            virtual: dict[str, Any] = {
                "name": f"{host}:{servers[0].port}",
                "domains": [host],
                "routes": _catch_all_last(found),
                "include_request_attempt_count": True,
            }
            if host in redirects or any(matches(pattern, host) for pattern in redirects):
                virtual["require_tls"] = "ALL"
            hosts.append(virtual)
        if not hosts:
            hosts = [{"name": f"blackhole:{servers[0].port}", "domains": ["*"]}]
        return {
            "name": name,
            "validate_clusters": False,
            "ignore_port_in_host_matching": True,
            "max_direct_response_body_size_bytes": 1048576,
            "virtual_hosts": hosts,
        }

    def _routes(self, config: Config, server: Server) -> list[Route]:
        spec, meta = config.get("spec") or {}, config["metadata"]
        hashed = {}
        for host, service in self._services.items():
            rule = self._rule(service)
            if rule and (policy := hash_policy(rule.policy)):
                hashed[host] = policy
        scope = Scope(
            namespace=meta.get("namespace", ""),
            gateway=server.gateway,
            port=server.port,
            proxy_namespace=self._proxy.namespace,
            proxy_labels=self._proxy.labels,
            cluster=lambda host, number, subset: self._cluster(host, number, subset, server.port),
            name=meta["name"],
            hash_policy=hashed,
        )
        entries = enumerate(spec.get("http") or ())
        return [route for number, entry in entries for route in routes(entry, scope, number)]

    # TLS and TCP

    def _passing(self, server: Server, taken: set[str]) -> list[Chain]:
        """TLS goes through untouched, to where its SNI says."""
        chains = []
        for config, entry in self._entries(server, "tls"):
            for match in entry.get("match") or ():
                if not _applies(match, server, config):
                    continue
                names = [n for n in match.get("sniHosts") or () if n not in taken and server.admits(config, n)]
                taken.update(names)
                if names:
                    filters = [self._routed(entry, config, server)]
                    chain: Chain = {"name": f"tls.{server.port}.{names[0]}", "filter_chain_match": self._match(names)}
                    chains.append({**chain, "filters": filters})
        return chains

    def _tcp(self, server: Server) -> list[Chain]:
        filters = self._tcp_filters(server)
        return [{"name": f"tcp.{server.port}", "filters": filters}] if filters else []

    def _tcp_filters(self, server: Server) -> list[Filter]:
        for config, entry in self._entries(server, "tcp"):
            wanted = entry.get("match") or [{}]
            if any(_applies(match, server, config) for match in wanted):
                policies = policies_for(self._world, self._proxy)
                domain = self._world.mesh.trust_domain
                rbac = rbac_filters(policies, "tcp", trust_domain=domain, addresses=self._context.addresses)
                return [*rbac, self._routed(entry, config, server)]
        return []

    def _entries(self, server: Server, kind: str) -> list[tuple[Config, dict[str, Any]]]:
        return [
            (config, entry)
            for config in self._world.of("VirtualService")
            if bound_to(config, server.gateway)
            and any(server.admits(config, host) for host in (config.get("spec") or {}).get("hosts") or ())
            for entry in (config.get("spec") or {}).get(kind) or ()
        ]

    def _routed(self, entry: dict[str, Any], config: Config, server: Server) -> Filter:
        log = {"proxy": self._proxy.key, "direction": "gateway", "port": str(server.port)}
        clusters: list[dict[str, Any]] = []
        for route in entry.get("route") or ():
            destination = route.get("destination") or {}
            number = (destination.get("port") or {}).get("number")
            host = full_name(destination.get("host", ""), config["metadata"].get("namespace", ""))
            name = self._cluster(host, int(number) if number else None, destination.get("subset", ""), server.port)
            clusters.append({"name": name, "weight": int(route.get("weight") or 0) or 1})
        if len(clusters) == 1:
            return tcp_proxy(clusters[0]["name"].partition("/")[2], clusters[0]["name"], log)
        found = tcp_proxy("weighted", "", log)
        del found["typed_config"]["cluster"]
        found["typed_config"]["weighted_clusters"] = {"clusters": clusters}
        return found

    # clusters

    def _cluster(self, host: str, port: int | None, subset: str, fallback: int) -> str:
        service = self._services.get(host)
        if service:
            self._used[host] = service
            if port is None:
                port = service.ports[0].port if len(service.ports) == 1 else fallback
        return cluster_name(self._proxy, host, port or fallback, subset)

    def _rule(self, service: Service) -> Rule | None:
        return rule_for(self._world, self._proxy, service)

    def clusters(self) -> list[Cluster]:
        """Of the services that routes lead to; `listeners` has found them."""
        return [
            cluster
            for service in self._used.values()
            for port in service.ports
            if port.protocol == "TCP"
            for cluster in outbound_clusters(self._context, service, port, self._rule(service))
        ]


def _applies(match: dict[str, Any], server: Server, config: Config) -> bool:
    if match.get("port") and int(match["port"]) != server.port:
        return False
    namespace = config["metadata"].get("namespace", "")
    listed = [g if "/" in g else f"{namespace}/{g}" for g in match.get("gateways") or ()]
    return not listed or server.gateway in listed


def _catch_all_last(found: list[Route]) -> list[Route]:
    """Routes of several VirtualServices for one host: those that match everything come after all others."""

    def catches_all(route: Route) -> bool:
        match = route["match"]
        return match.get("prefix") == "/" and not match.get("headers") and not match.get("query_parameters")

    return [*(r for r in found if not catches_all(r)), *(r for r in found if catches_all(r))]


def _tls_params(tls: dict[str, Any]) -> dict[str, Any]:
    found = {
        "tls_minimum_protocol_version": _VERSIONS.get(tls.get("minProtocolVersion", ""), "TLSv1_2"),
        "tls_maximum_protocol_version": _VERSIONS.get(tls.get("maxProtocolVersion", ""), "TLSv1_3"),
    }
    if tls.get("cipherSuites"):
        return {**found, "cipher_suites": list(tls["cipherSuites"])}
    return found


def _inline(pem: bytes) -> dict[str, str]:
    return {"inline_string": pem.decode("utf-8", "replace")}
