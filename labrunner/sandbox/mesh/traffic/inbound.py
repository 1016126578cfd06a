"""The inbound side of a sidecar: one listener per port of the pod, with mTLS as its PeerAuthentication has it.

istiod has one listener on 15006 with a filter chain per port; here each port is a listener on the pod's own twin
address, where clients connect without iptables. Chains keep istiod's names and order.
Source: pilot/pkg/networking/core/listener_inbound.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.mesh.access_log import connection_log
from labrunner.sandbox.mesh.model import ServicePort, Workload, World
from labrunner.sandbox.mesh.security.authorization import policies_for, rbac_filters
from labrunner.sandbox.mesh.security.peer_authentication import Mode, peer_modes
from labrunner.sandbox.mesh.security.request_authentication import jwt_filter, requests_for
from labrunner.sandbox.mesh.telemetry import log_fields
from labrunner.sandbox.mesh.traffic.cluster import MESH_ALPN, Cluster, cluster_name
from labrunner.sandbox.mesh.traffic.filter_chain import (
    HTTP_ALPN_ACCEPTED,
    MESH_ALPN_ACCEPTED,
    Chain,
    Filter,
    http_manager,
    listener_filter,
    mesh_server_tls,
    tcp_proxy,
)
from labrunner.sandbox.mesh.traffic.http_route import default_route
from labrunner.sandbox.mesh.traffic.sidecar_scope import sidecar_for
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


@dataclass(frozen=True, slots=True)
class _Port:
    """A port that the sidecar takes connections on. `app`: where its container listens; `kind`: http, tcp or auto."""

    number: int
    app: int
    kind: str
    service: int
    """Of the Service in front of it, by which istiod names the route table's host."""


def inbound(context: InboundContext) -> tuple[list[Listener], list[Cluster]]:
    """Listeners and clusters for every port of the workload's containers, and of its Sidecar's `ingress`."""
    modes = peer_modes(context.world, context.proxy)
    ports = [_port(context, number) for number in context.proxy.app_ports]
    stated = {port.number: port for port in _ingress(context)}
    ports = [stated.pop(port.number, port) for port in ports] + list(stated.values())
    listeners = [_listener(context, port, modes.of(port.number)) for port in ports]
    return listeners, [_cluster(context, port) for port in ports]


def _port(context: InboundContext, number: int) -> _Port:
    service = service_port_of(context.world, context.proxy, number)
    return _Port(number, number, _inbound_kind(service) if service else "auto", service.port if service else number)


def _ingress(context: InboundContext) -> Iterator[_Port]:
    sidecar = sidecar_for(context.world, context.proxy)
    for entry in ((sidecar or {}).get("spec") or {}).get("ingress") or ():
        port = entry.get("port") or {}
        number = int(port.get("number", 0))
        where = str(entry.get("defaultEndpoint") or f"127.0.0.1:{number}").rpartition(":")[2]
        if number and where.isdigit():
            kind = ServicePort("", number, number, app_protocol=str(port.get("protocol", "")))
            yield _Port(number, int(where), _inbound_kind(kind), number)


def service_port_of(world: World, workload: Workload, port: int) -> ServicePort | None:
    """The port of the oldest Service that leads to this container port."""
    for service in world.services:
        if service.namespace != workload.namespace:
            continue
        for service_port in service.ports:
            if any(e.workload is workload and e.port == port for e in service.endpoints.get(service_port.port, ())):
                return service_port
    return None


def _inbound_kind(port: ServicePort) -> str:
    if port.kind in ("http", "http2", "grpc", "grpc-web"):
        return "http"
    return "auto" if port.kind == "auto" else "tcp"


def _listener(context: InboundContext, port: _Port, mode: Mode) -> Listener:
    address, real = context.addresses.real(context.proxy.ip, port.number)
    # Inspectors wait for the client to speak first; where nothing needs telling apart they stay away.
    inspectors = ["tls_inspector"] if mode != "DISABLE" else []
    if port.kind == "auto" and mode != "STRICT":
        inspectors.append("http_inspector")
    return {
        "name": f"{context.proxy.key}/inbound|{port.number}",
        "address": {"socket_address": {"address": address, "port_value": real}},
        "traffic_direction": "INBOUND",
        "listener_filters": [listener_filter(name) for name in inspectors],
        "listener_filters_timeout": context.world.mesh.detection_timeout,
        "continue_on_listener_filters_timeout": True,
        "filter_chains": _chains(context, port, mode),
        "access_log": connection_log({"proxy": context.proxy.key, "direction": "inbound", "port": str(port.number)}),
    }


def _chains(context: InboundContext, port: _Port, mode: Mode) -> list[Chain]:
    """As istiod's inbound filter chain match options, per mode and protocol."""
    http, tcp = _network_filters(context, port, http=True), _network_filters(context, port, http=False)
    chains: list[Chain] = []

    def add(transport: str, filters: list[Filter], alpn: list[str] | None = None) -> None:
        match: dict[str, Any] = {"transport_protocol": transport}
        if alpn:
            match["application_protocols"] = alpn
        chains.append({"name": f"0.0.0.0_{port.number}", "filter_chain_match": match, "filters": filters})

    def add_mesh(filters: list[Filter], alpn: list[str] | None = None) -> None:
        add("tls", filters, alpn)
        serves = ["h2", "http/1.1"] if filters is http else ["istio"]
        chains[-1]["transport_socket"] = mesh_server_tls(context.identity, serves)

    primary = http if port.kind == "http" else tcp
    permissive = mode == "PERMISSIVE"
    if mode != "DISABLE":
        if port.kind == "auto":
            add_mesh(http, HTTP_ALPN_ACCEPTED)
            add_mesh(tcp, MESH_ALPN if permissive else None)
        else:
            add_mesh(primary, MESH_ALPN_ACCEPTED if permissive else None)
    if mode != "STRICT":
        if port.kind == "auto":
            add("raw_buffer", http, ["http/1.0", "http/1.1", "h2c"])
        add("raw_buffer", primary)
    if permissive and port.kind != "http":
        # TLS that is the application's own business passes through as bytes.
        add("tls", tcp)
    return chains


def _network_filters(context: InboundContext, port: _Port, *, http: bool) -> list[Filter]:
    policies = policies_for(context.world, context.proxy)
    domain = context.world.mesh.trust_domain
    cluster = cluster_name(context.proxy, "", port.number, direction="inbound")
    log = {"proxy": context.proxy.key, "direction": "inbound", "port": str(port.number)}
    if not http:
        rbac = rbac_filters(policies, "tcp", trust_domain=domain, addresses=context.addresses)
        return [*rbac, tcp_proxy(f"inbound|{port.number}||", cluster, log)]
    rbac = rbac_filters(policies, "http", trust_domain=domain, addresses=context.addresses)
    jwt = jwt_filter(requests_for(context.world, context.proxy))
    log = log_fields(context.world, context.proxy, "inbound", port.number)
    routes = {
        "name": f"inbound|{port.number}||",
        "validate_clusters": False,
        "virtual_hosts": [
            {
                "name": f"inbound|http|{port.service}",
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
    return [http_manager(f"inbound_0.0.0.0_{port.number}", routes, [*([jwt] if jwt else []), *rbac], log, **extra)]


def _cluster(context: InboundContext, port: _Port) -> Cluster:
    name = cluster_name(context.proxy, "", port.number, direction="inbound")
    endpoint = {"endpoint": {"address": context.app_address(context.proxy, port.app)}}
    return {
        "name": name,
        "alt_stat_name": f"{context.proxy.key};inbound|{port.number}||",
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
