"""A gateway workload: the Gateway resources that select it, as listeners with the VirtualServices bound to them.

Source: pilot/pkg/networking/core/gateway.go, pilot/pkg/model/gateway.go (merging) and the Gateway reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from labrunner.sandbox.mesh.access_log import connection_log
from labrunner.sandbox.mesh.model import Config, Service, ServicePort, Workload, World
from labrunner.sandbox.mesh.security.authorization import policies_for, rbac_filters
from labrunner.sandbox.mesh.security.request_authentication import jwt_filter, requests_for
from labrunner.sandbox.mesh.telemetry import log_fields
from labrunner.sandbox.mesh.traffic.cluster import (
    Cluster,
    ClusterContext,
    cluster_name,
    outbound_clusters,
    passing_cluster,
)
from labrunner.sandbox.mesh.traffic.destination_rule import Rule, rule_for
from labrunner.sandbox.mesh.traffic.filter_chain import (
    MESH_ALPN_ACCEPTED,
    Chain,
    Filter,
    http_manager,
    listener_filter,
    mesh_server_tls,
    server_tls,
    tcp_proxy,
)
from labrunner.sandbox.mesh.traffic.gateway_servers import Server, bound_to, merged, servers_of
from labrunner.sandbox.mesh.traffic.hosts import config_visible, full_name, matches, specificity, visible
from labrunner.sandbox.mesh.traffic.http_route import Route, Scope, routes
from labrunner.sandbox.mesh.traffic.route_match import catches_all

_VERSIONS = {"TLSV1_0": "TLSv1_0", "TLSV1_1": "TLSv1_1", "TLSV1_2": "TLSv1_2", "TLSV1_3": "TLSv1_3"}


def gateway(context: ClusterContext) -> tuple[list[dict[str, Any]], list[Cluster]]:
    side = _Gateway(context)
    return side.listeners(), side.clusters()


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
        self._untouched: dict[str, tuple[Service, ServicePort, str, Rule | None]] = {}
        """Clusters that pass the mesh's own TLS on."""

    # listeners

    def listeners(self) -> list[dict[str, Any]]:
        found = []
        for port, servers in merged(self._servers, self._target).items():
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
            "listener_filters_timeout": self._world.mesh.detection_timeout,
            "continue_on_listener_filters_timeout": True,
            "filter_chains": chains,
            "access_log": connection_log({"proxy": self._proxy.key, "direction": "gateway", "port": str(port)}),
        }

    def _chains(self, port: int, servers: list[Server]) -> list[Chain]:
        chains: list[Chain] = []
        plain = [server for server in servers if server.plain_http]
        if plain:
            chains.append({"name": f"http.{port}", "filters": self._http(f"http.{port}", plain)})
        passing: set[str] = set()
        for server in servers:
            if server.plain_http:
                continue
            if server.terminates:
                chains += self._terminating(server)
            elif server.mode == "AUTO_PASSTHROUGH" and server.secure:
                chains += self._by_cluster(server)
            elif server.secure:
                chains += self._passing(server, passing)
            else:
                chains += self._tcp(server)
        return chains

    def _match(self, names: Sequence[str]) -> dict[str, Any]:
        wanted = [name for name in names if name != "*"]
        return {"server_names": wanted} if wanted and "*" not in names else {}

    def _terminating(self, server: Server) -> list[Chain]:
        socket = self._tls(server)
        if socket is None:
            return []
        label = server.route_name
        filters = self._http(label, [server]) if server.serves_http else self._tcp_filters(server)
        if not filters:
            return []
        return [
            {
                "name": label,
                "filter_chain_match": self._match(list(dict.fromkeys(server.hosts))),
                "filters": filters,
                "transport_socket": socket,
            }
        ]

    def _tls(self, server: Server) -> dict[str, Any] | None:
        """None while the credential is missing or unusable: the listener then has no answer to a handshake."""
        tls = server.tls
        alpn = ["h2", "http/1.1"] if server.serves_http else ["istio"]
        if server.mode == "ISTIO_MUTUAL":
            return mesh_server_tls(self._context.identity, alpn)
        names = [*([tls["credentialName"]] if tls.get("credentialName") else []), *(tls.get("credentialNames") or ())]
        certificates = [found for name in names if (found := self._certificate(name))]
        if not names or len(certificates) < len(names):
            return None
        common: dict[str, Any] = {
            "alpn_protocols": alpn,
            "tls_params": _tls_params(tls),
            "tls_certificates": certificates,
        }
        if server.mode in ("MUTUAL", "OPTIONAL_MUTUAL"):
            authority = self._authority(str(tls.get("caCertCredentialName") or ""), names[0])
            if not authority:
                return None
            common["validation_context"] = _validation(tls, authority)
        return server_tls(common, require_client=server.mode == "MUTUAL")

    def _certificate(self, name: str) -> dict[str, Any] | None:
        secret = self._world.secrets.get((self._proxy.namespace, name), {})
        certificate, key = secret.get("tls.crt") or secret.get("cert"), secret.get("tls.key") or secret.get("key")
        if not certificate or not key:
            return None
        return {"certificate_chain": _inline(certificate), "private_key": _inline(key)}

    def _authority(self, stated: str, name: str) -> bytes | None:
        """Who signs clients' certificates: a secret of its own, else beside the server's certificate."""
        for secret_name in (stated,) if stated else (name, f"{name}-cacert"):
            secret = self._world.secrets.get((self._proxy.namespace, secret_name), {})
            if found := secret.get("ca.crt") or secret.get("cacert"):
                return found
        return None

    # HTTP

    def _http(self, name: str, servers: list[Server]) -> list[Filter]:
        policies = policies_for(self._world, self._proxy)
        rbac = rbac_filters(
            policies, "http", trust_domain=self._world.mesh.trust_domain, addresses=self._context.addresses
        )
        # Routes may ask for claims, so they are chosen again once a token has been read.
        jwt = jwt_filter(requests_for(self._world, self._proxy), clear_routes=True)
        extra = {
            "use_remote_address": True,
            "xff_num_trusted_hops": trusted_proxies(self._world, self._proxy),
            "forward_client_cert_details": "SANITIZE_SET",
            "set_current_client_cert_details": {"subject": True, "cert": True, "dns": True, "uri": True},
        }
        log = log_fields(self._world, self._proxy, "gateway", servers[0].port)
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
                    for offered in server.admits(config, full) if found else ():
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
        scope = Scope(
            namespace=meta.get("namespace", ""),
            gateway=server.gateway,
            port=server.port,
            proxy_namespace=self._proxy.namespace,
            proxy_labels=self._proxy.labels,
            cluster=lambda host, number, subset: self._cluster(host, number, subset, server.port),
            tls=bool(server.tls),
            name=meta["name"],
            hashing=self._hashing,
        )
        entries = enumerate(spec.get("http") or ())
        return [route for number, entry in entries for route in routes(entry, scope, number)]

    # TLS and TCP

    def _passing(self, server: Server, taken: set[str]) -> list[Chain]:
        """TLS goes through untouched, to where its SNI says; of two that want the same name the first stays."""
        chains: list[Chain] = []
        for config, entry in self._entries(server, "tls"):
            for match in entry.get("match") or ():
                names = list(match.get("sniHosts") or ())
                if not _applies(match, server, config) or not names or taken & set(names):
                    continue
                taken.update(names)
                filters = [*self._tcp_rbac(), self._routed(entry, config, server)]
                name = f"tls.{server.port}.{names[0]}"
                chains.append({"name": name, "filter_chain_match": self._match(names), "filters": filters})
        return chains

    def _by_cluster(self, server: Server) -> list[Chain]:
        """The mesh's own TLS to where its SNI says, which names a cluster (`outbound_.8000_._.host`)."""
        chains: list[Chain] = []
        for service in self._services.values():
            if service.location == "MESH_EXTERNAL" and service.external:
                continue
            if not any(matches(pattern, service.host) for pattern in server.hosts):
                continue
            rule = self._rule(service)
            for port in service.ports:
                for subset in ("", *(rule.subsets if rule else ())):
                    sni = f"outbound_.{port.port}_.{subset}_.{service.host}"
                    cluster = cluster_name(self._proxy, service.host, port.port, subset, "outbound-sni")
                    self._untouched[cluster] = (service, port, subset, rule)
                    match = {"server_names": [sni], "application_protocols": MESH_ALPN_ACCEPTED}
                    filters = [tcp_proxy(sni, cluster, self._log(server))]
                    chains.append({"name": sni, "filter_chain_match": match, "filters": filters})
        return chains

    def _tcp(self, server: Server) -> list[Chain]:
        filters = self._tcp_filters(server)
        return [{"name": f"tcp.{server.port}", "filters": filters}] if filters else []

    def _tcp_filters(self, server: Server) -> list[Filter]:
        for config, entry in self._entries(server, "tcp"):
            wanted = entry.get("match") or [{}]
            if any(_applies(match, server, config) for match in wanted):
                return [*self._tcp_rbac(), self._routed(entry, config, server)]
        return []

    def _tcp_rbac(self) -> list[Filter]:
        policies = policies_for(self._world, self._proxy)
        domain = self._world.mesh.trust_domain
        return rbac_filters(policies, "tcp", trust_domain=domain, addresses=self._context.addresses)

    def _log(self, server: Server) -> dict[str, str]:
        return {"proxy": self._proxy.key, "direction": "gateway", "port": str(server.port)}

    def _entries(self, server: Server, kind: str) -> list[tuple[Config, dict[str, Any]]]:
        return [
            (config, entry)
            for config in self._world.of("VirtualService")
            if bound_to(config, server.gateway)
            and any(server.admits(config, host) for host in (config.get("spec") or {}).get("hosts") or ())
            for entry in (config.get("spec") or {}).get(kind) or ()
        ]

    def _routed(self, entry: dict[str, Any], config: Config, server: Server) -> Filter:
        log = self._log(server)
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

    def _hashing(self, host: str, port: int | None, subset: str) -> list[dict[str, Any]]:
        service = self._services.get(host)
        rule = self._rule(service) if service else None
        return rule.hash_policy(port, subset) if rule else []

    def clusters(self) -> list[Cluster]:
        """Of the services that routes lead to; `listeners` has found them."""
        return [
            cluster
            for service in self._used.values()
            for port in service.ports
            if port.protocol == "TCP"
            for cluster in outbound_clusters(self._context, service, port, self._rule(service))
        ] + [
            passing_cluster(self._context, service, port, rule, subset, name)
            for name, (service, port, subset, rule) in self._untouched.items()
        ]


def _applies(match: dict[str, Any], server: Server, config: Config) -> bool:
    if match.get("port") and int(match["port"]) != server.port:
        return False
    namespace = config["metadata"].get("namespace", "")
    listed = [g if "/" in g else f"{namespace}/{g}" for g in match.get("gateways") or ()]
    return not listed or server.gateway in listed


def _catch_all_last(found: list[Route]) -> list[Route]:
    """Routes of several VirtualServices for one host: those that match everything come after all others."""
    return sorted(found, key=lambda route: catches_all(route["match"]))


def _validation(tls: dict[str, Any], authority: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"trusted_ca": _inline(authority)}
    if tls.get("subjectAltNames"):
        found["match_typed_subject_alt_names"] = [
            {"san_type": kind, "matcher": {"exact": san}} for san in tls["subjectAltNames"] for kind in ("DNS", "URI")
        ]
    for key, target in (("verifyCertificateSpki", "spki"), ("verifyCertificateHash", "hash")):
        if tls.get(key):
            found[f"verify_certificate_{target}"] = list(tls[key])
    return found


def trusted_proxies(world: World, proxy: Workload) -> int:
    """`gatewayTopology.numTrustedProxies` of the pod's own `proxy.istio.io/config`, else of the mesh's."""
    try:
        own = yaml.safe_load(proxy.annotations.get("proxy.istio.io/config", "")) or {}
        stated = (own.get("gatewayTopology") or {}).get("numTrustedProxies")
        return world.mesh.trusted_proxies if stated is None else int(stated)
    except (yaml.YAMLError, AttributeError, TypeError, ValueError):
        return world.mesh.trusted_proxies


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
