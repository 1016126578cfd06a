"""The inbound side of a sidecar: one listener per port of the pod, with mTLS as its PeerAuthentication has it.

istiod has one listener on 15006 with a filter chain per port; here each port is a listener on the pod's own twin
address, where clients connect without iptables. Chains keep istiod's names and order.
Source: pilot/pkg/networking/core/listener_inbound.go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.mesh.access_log import connection_log
from labrunner.sandbox.mesh.model import ServicePort, Workload, World
from labrunner.sandbox.mesh.security.authorization import policies_for, rbac_filters
from labrunner.sandbox.mesh.security.peer_authentication import Mode, peer_modes
from labrunner.sandbox.mesh.security.request_authentication import jwt_filter, requests_for
from labrunner.sandbox.mesh.traffic.cluster import Cluster, cluster_name
from labrunner.sandbox.mesh.traffic.filter_chain import (
    MESH_ALPN_ACCEPTED,
    Chain,
    Filter,
    http_manager,
    listener_filter,
    mesh_server_tls,
    tcp_proxy,
)
from labrunner.sandbox.mesh.traffic.http_route import default_route
from labrunner.sandbox.workload.addresses import AddressPlan

Listener = dict[str, Any]


@dataclass(frozen=True, slots=True)
class InboundContext:
    world: World
    proxy: Workload
    addresses: AddressPlan
    identity: str
    """Its SPIFFE identity."""
    app_address: Callable[[Workload, int], dict[str, Any]]
    """Where the container itself listens: an Envoy `address`."""


def inbound(context: InboundContext) -> tuple[list[Listener], list[Cluster]]:
    """Listeners and clusters for every port of the workload's containers."""
    modes = peer_modes(context.world, context.proxy)
    listeners, clusters = [], []
    for port in context.proxy.app_ports:
        listeners.append(_listener(context, port, modes.of(port)))
        clusters.append(_cluster(context, port))
    return listeners, clusters


def protocol_of(world: World, workload: Workload, port: int) -> str:
    """http, tcp or auto: what the Services that lead to this container port say of it."""
    for service in world.services:
        if service.namespace != workload.namespace:
            continue
        for service_port in service.ports:
            if any(e.workload is workload and e.port == port for e in service.endpoints.get(service_port.port, ())):
                return _inbound_kind(service_port)
    return "auto"


def _inbound_kind(port: ServicePort) -> str:
    if port.kind in ("http", "http2", "grpc", "grpc-web"):
        return "http"
    return "auto" if port.kind == "auto" else "tcp"


def _listener(context: InboundContext, port: int, mode: Mode) -> Listener:
    address, real = context.addresses.real(context.proxy.ip, port)
    kind = protocol_of(context.world, context.proxy, port)
    filters = [listener_filter("tls_inspector")]
    if kind == "auto":
        filters.append(listener_filter("http_inspector"))
    return {
        "name": f"{context.proxy.key}/inbound|{port}",
        "address": {"socket_address": {"address": address, "port_value": real}},
        "traffic_direction": "INBOUND",
        "listener_filters": filters,
        "listener_filters_timeout": "5s",
        "continue_on_listener_filters_timeout": True,
        "filter_chains": _chains(context, port, mode, kind),
        "access_log": connection_log({"proxy": context.proxy.key, "direction": "inbound", "port": str(port)}),
    }


def _chains(context: InboundContext, port: int, mode: Mode, kind: str) -> list[Chain]:
    http, tcp = _network_filters(context, port, http=True), _network_filters(context, port, http=False)
    chains: list[Chain] = []

    def add(name: str, match: dict[str, Any], filters: list[Filter], tls: bool) -> None:
        chain: Chain = {"name": name, "filter_chain_match": match, "filters": filters}
        if tls:
            chain["transport_socket"] = mesh_server_tls(
                context.identity, ["h2", "http/1.1"] if filters is http else ["istio"]
            )
        chains.append(chain)

    plain_http = {"transport_protocol": "raw_buffer", "application_protocols": ["http/1.1", "h2c"]}
    primary = http if kind == "http" else tcp
    if mode != "DISABLE":
        match: dict[str, Any] = {"transport_protocol": "tls"}
        if mode == "PERMISSIVE":
            match["application_protocols"] = MESH_ALPN_ACCEPTED
        if kind == "auto":
            # Inside mesh TLS nothing can be sniffed; HTTP is what nearly every service without a named port speaks.
            add(f"0.0.0.0_{port}", match, http, tls=True)
        else:
            add(f"0.0.0.0_{port}", match, primary, tls=True)
    if mode == "PERMISSIVE" or mode == "DISABLE":
        if kind == "auto":
            add(f"0.0.0.0_{port}", plain_http, http, tls=False)
            add(f"0.0.0.0_{port}", {"transport_protocol": "raw_buffer"}, tcp, tls=False)
        else:
            add(f"0.0.0.0_{port}", {"transport_protocol": "raw_buffer"}, primary, tls=False)
        # TLS that is the application's own business passes through as bytes.
        add(f"0.0.0.0_{port}", {"transport_protocol": "tls"}, tcp, tls=False)
    return chains


def _network_filters(context: InboundContext, port: int, *, http: bool) -> list[Filter]:
    policies = policies_for(context.world, context.proxy)
    domain = context.world.mesh.trust_domain
    cluster = cluster_name(context.proxy, "", port, direction="inbound")
    log = {"proxy": context.proxy.key, "direction": "inbound", "port": str(port)}
    if not http:
        rbac = rbac_filters(policies, "tcp", trust_domain=domain, addresses=context.addresses)
        return [*rbac, tcp_proxy(f"inbound|{port}||", cluster, log)]
    rbac = rbac_filters(policies, "http", trust_domain=domain, addresses=context.addresses)
    jwt = jwt_filter(requests_for(context.world, context.proxy))
    routes = {
        "name": f"inbound|{port}||",
        "validate_clusters": False,
        "virtual_hosts": [
            {
                "name": f"inbound|http|{port}",
                "domains": ["*"],
                "routes": [{**default_route(cluster), "route": {"cluster": cluster, "timeout": "0s"}}],
            }
        ],
    }
    extra = {
        "forward_client_cert_details": "APPEND_FORWARD",
        "set_current_client_cert_details": {"subject": True, "dns": True, "uri": True},
        "use_remote_address": False,
    }
    return [http_manager(f"inbound_0.0.0.0_{port}", routes, [*([jwt] if jwt else []), *rbac], log, **extra)]


def _cluster(context: InboundContext, port: int) -> Cluster:
    name = cluster_name(context.proxy, "", port, direction="inbound")
    endpoint = {"endpoint": {"address": context.app_address(context.proxy, port)}}
    return {
        "name": name,
        "alt_stat_name": f"{context.proxy.key};inbound|{port}||",
        "type": "STATIC",
        "connect_timeout": "10s",
        "circuit_breakers": {
            "thresholds": [
                {key: 4294967295 for key in ("max_connections", "max_pending_requests", "max_requests", "max_retries")}
            ]
        },
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}},
            }
        },
    }
