"""Envoy clusters of one proxy: a service's port and subset, with endpoints, limits and the TLS it is called with.

One Envoy runs every proxy of the mesh, so names carry the proxy they belong to: `pod.ns/outbound|8000||host`.
Source: pilot/pkg/networking/core/cluster_builder.go and cluster_tls.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.mesh.model import Endpoint, Service, ServicePort, Workload, World
from labrunner.sandbox.mesh.security.peer_authentication import peer_modes
from labrunner.sandbox.mesh.traffic.destination_rule import Rule, cluster_fields
from labrunner.sandbox.workload.addresses import AddressPlan

Cluster = dict[str, Any]

MESH_ALPN = ["istio-peer-exchange", "istio"]
"""What mesh TLS offers for bytes of any protocol."""
HTTP_MESH_ALPN = ["istio-http/1.1", "istio"]
"""What it offers for HTTP; istiod's proxies decide so per request."""
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_UPSTREAM_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_PROXY_PROTOCOL = (
    "type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"
)
RAW_SOCKET = {
    "name": "envoy.transport_sockets.raw_buffer",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"},
}


ROOT_SECRET = "ROOTCA"
"""The name by which Envoy asks for the mesh's root certificate, as istiod's proxies do."""


@dataclass(frozen=True, slots=True)
class ClusterContext:
    """The proxy that clusters are for, and where things really are."""

    world: World
    proxy: Workload
    addresses: AddressPlan
    identity: str
    """The proxy's SPIFFE identity, the name by which Envoy asks for its certificate."""
    reachable: Callable[[Workload, Endpoint], bool]
    """Whether network policies let a connection through."""
    black_hole: tuple[str, int]
    """An address where connections hang, as a dropped packet has it."""
    wire: tuple[str, int] = ("127.0.0.1", 1)
    """Where the sandbox takes connections that leave the mesh, with their destination by PROXY protocol."""


def cluster_name(proxy: Workload, host: str, port: int, subset: str = "", direction: str = "outbound") -> str:
    return f"{proxy.key}/{direction}|{port}|{subset}|{host}"


def istio_name(name: str) -> str:
    """The name as istiod would have it: without the proxy."""
    return name.partition("/")[2] or name


def outbound_clusters(context: ClusterContext, service: Service, port: ServicePort, rule: Rule | None) -> list[Cluster]:
    """The port's cluster and one for each subset of its DestinationRule."""
    names: list[tuple[str, Mapping[str, str]]] = [("", {})]
    names += [(name, subset.get("labels") or {}) for name, subset in (rule.subsets.items() if rule else ())]
    return [_outbound(context, service, port, rule, name, labels) for name, labels in names]


def _outbound(
    context: ClusterContext,
    service: Service,
    port: ServicePort,
    rule: Rule | None,
    subset: str,
    labels: Mapping[str, str],
) -> Cluster:
    policy = rule.policy_of(port.port, subset) if rule else {}
    endpoints = [e for e in service.endpoints.get(port.port, ()) if _has_labels(e, labels)]
    cluster: Cluster = {
        "name": cluster_name(context.proxy, service.host, port.port, subset),
        "alt_stat_name": f"{context.proxy.key};outbound|{port.port}|{subset}|{service.host}",
        **cluster_fields(policy),
        "metadata": _origin(service, rule, subset),
    }
    if service.resolution == "NONE" or cluster["lb_policy"] == "CLUSTER_PROVIDED":
        cluster |= {"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"}
    else:
        cluster |= {"type": "STATIC", "load_assignment": _assignment(context, cluster["name"], endpoints)}
        cluster.setdefault("common_lb_config", {}).setdefault("healthy_panic_threshold", {"value": 0})
    if context.proxy.ip:
        source = {"address": context.addresses.real_ip(context.proxy.ip), "port_value": 0}
        cluster["upstream_bind_config"] = {"source_address": source}
    if options := _protocol_options(cluster, port, policy):
        cluster["typed_extension_protocol_options"] = {_HTTP_OPTIONS: options}
    _secure(context, cluster, service, port, subset, policy, endpoints)
    return cluster


def _origin(service: Service, rule: Rule | None, subset: str) -> dict[str, Any]:
    """Which objects a cluster is from, as istiod writes it."""
    own: dict[str, Any] = {
        "services": [{"host": service.host, "name": service.name, "namespace": service.namespace}],
    }
    if rule is not None:
        namespace, _, name = rule.source.partition("/")
        own["config"] = f"/apis/networking.istio.io/v1/namespaces/{namespace}/destination-rule/{name}"
    if subset:
        own["subset"] = subset
    return {"filter_metadata": {"istio": own}}


def passing_cluster(
    context: ClusterContext, service: Service, port: ServicePort, rule: Rule | None, subset: str, name: str
) -> Cluster:
    """Bytes as they are, to endpoints that speak the mesh's TLS; `subset` of the rule, or empty."""
    labels = ((rule.subsets.get(subset) or {}).get("labels") or {}) if rule else {}
    endpoints = [
        e
        for e in service.endpoints.get(port.port, ())
        if _has_labels(e, labels) and e.workload and speaks_mtls(context.world, e.workload, e.port)
    ]
    return {
        "name": name,
        "alt_stat_name": name.replace("/", ";"),
        "type": "STATIC",
        **cluster_fields(rule.policy_of(port.port, subset) if rule else {}),
        "load_assignment": _assignment(context, name, endpoints),
    }


def wire(context: ClusterContext, name: str) -> Cluster:
    """Goes where the client wanted to go, in plaintext: the sandbox's network connects it."""
    address, port = context.wire
    return {
        "name": name,
        "alt_stat_name": name.replace("/", ";"),
        "type": "STATIC",
        "connect_timeout": "10s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [_at(address, port)]}]},
        "transport_socket": {
            "name": "envoy.transport_sockets.upstream_proxy_protocol",
            "typed_config": {"@type": _PROXY_PROTOCOL, "config": {"version": "V2"}, "transport_socket": RAW_SOCKET},
        },
    }


def _at(address: str, port: int) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}


def _has_labels(endpoint: Endpoint, labels: Mapping[str, str]) -> bool:
    return all(endpoint.labels.get(key) == value for key, value in labels.items())


def _assignment(context: ClusterContext, name: str, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    found = [_endpoint(context, endpoint) for endpoint in endpoints]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": found}] if found else []}


def _endpoint(context: ClusterContext, endpoint: Endpoint) -> dict[str, Any]:
    workload = endpoint.workload
    if workload is None:
        address, port = endpoint.address, endpoint.port
    elif context.reachable(context.proxy, endpoint):
        address, port = context.addresses.real(workload.ip, endpoint.port)
    else:
        address, port = context.black_hole
    found: dict[str, Any] = {
        "endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}},
        "load_balancing_weight": max(endpoint.weight, 1),
    }
    metadata: dict[str, Any] = {}
    if workload is not None:
        metadata["istio"] = {"workload": f"{workload.name};{workload.namespace};;;Kubernetes"}
        if not endpoint.plain and speaks_mtls(context.world, workload, endpoint.port):
            metadata["envoy.transport_socket_match"] = {"tlsMode": "istio"}
    if metadata:
        found["metadata"] = {"filter_metadata": metadata}
    return found


def speaks_mtls(world: World, workload: Workload, port: int) -> bool:
    """Whether auto mTLS picks mutual TLS for this endpoint: it has a sidecar that was not told to disable it."""
    return workload.sidecar and peer_modes(world, workload).of(port) != "DISABLE"


def _protocol_options(cluster: Cluster, port: ServicePort, policy: dict[str, Any]) -> dict[str, Any]:
    http = (policy.get("connectionPool") or {}).get("http") or {}
    common = cluster.pop("common_http_protocol_options", None)
    options: dict[str, Any] = {"@type": f"type.googleapis.com/{_HTTP_OPTIONS}"}
    if common:
        options["common_http_protocol_options"] = common
    if http.get("useClientProtocol"):
        options["use_downstream_protocol_config"] = {"http_protocol_options": {}, "http2_protocol_options": {}}
    elif port.kind in ("http2", "grpc", "grpc-web") or http.get("h2UpgradePolicy") == "UPGRADE":
        options["explicit_http_config"] = {"http2_protocol_options": {}}
    elif port.kind == "auto":
        options["use_downstream_protocol_config"] = {"http_protocol_options": {}, "http2_protocol_options": {}}
    else:
        options["explicit_http_config"] = {"http_protocol_options": {}}
    return options


def _secure(
    context: ClusterContext,
    cluster: Cluster,
    service: Service,
    port: ServicePort,
    subset: str,
    policy: dict[str, Any],
    endpoints: Sequence[Endpoint],
) -> None:
    tls = policy.get("tls") or {}
    sni = f"outbound_.{port.port}_.{subset}_.{service.host}"
    match tls.get("mode"):
        case "DISABLE":
            return
        case "ISTIO_MUTUAL":
            cluster["transport_socket"] = mesh_tls(
                context, tls.get("sni") or sni, _identities(context, service, tls, endpoints), _alpn(port)
            )
        case "SIMPLE" | "MUTUAL":
            cluster["transport_socket"] = _plain_tls(tls, service)
        case _:
            if service.location == "MESH_EXTERNAL" or not any(e.workload for e in endpoints):
                return
            mutual = mesh_tls(context, sni, _identities(context, service, tls, endpoints), _alpn(port))
            cluster["transport_socket_matches"] = [
                {"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transport_socket": mutual},
                {"name": "tlsMode-disabled", "match": {}, "transport_socket": RAW_SOCKET},
            ]


def _identities(
    context: ClusterContext, service: Service, tls: dict[str, Any], endpoints: Sequence[Endpoint]
) -> list[str]:
    """Who may answer: what the rule says, else the service accounts behind the service (secure naming)."""
    if tls.get("subjectAltNames"):
        return list(tls["subjectAltNames"])
    domain = context.world.mesh.trust_domain
    accounts = {endpoint.workload.spiffe(domain) for endpoint in endpoints if endpoint.workload}
    return sorted(accounts | set(service.subject_alt_names))


def _alpn(port: ServicePort) -> list[str]:
    return HTTP_MESH_ALPN if port.kind in ("http", "http2", "grpc", "grpc-web", "auto") else MESH_ALPN


def mesh_tls(context: ClusterContext, sni: str, identities: list[str], alpn: list[str]) -> dict[str, Any]:
    """Mutual TLS with the proxy's own identity. An empty list of identities accepts any of the mesh."""
    names = [{"san_type": "URI", "matcher": {"exact": identity}} for identity in identities]
    common = {
        "alpn_protocols": alpn,
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        **mesh_secrets(context.identity, {"match_typed_subject_alt_names": names} if names else {}),
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": _UPSTREAM_TLS, "sni": sni, "common_tls_context": common},
    }


def mesh_secrets(identity: str, validation: dict[str, Any]) -> dict[str, Any]:
    """The proxy's certificate and the mesh's root, delivered as secrets: they change without a listener doing so."""
    return {
        "tls_certificate_sds_secret_configs": [_secret(identity)],
        "combined_validation_context": {
            "default_validation_context": validation,
            "validation_context_sds_secret_config": _secret(ROOT_SECRET),
        },
    }


def _secret(name: str) -> dict[str, Any]:
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "3s"}
    return {"name": name, "sds_config": source}


def _plain_tls(tls: dict[str, Any], service: Service) -> dict[str, Any]:
    """TLS as any client speaks it. Files named in the rule are the proxy's own and do not exist here: without
    `caCertificates` from a file the server's certificate is not verified, as Istio has it too."""
    typed: dict[str, Any] = {"@type": _UPSTREAM_TLS, "common_tls_context": {"tls_params": {}}}
    if tls.get("sni"):
        typed["sni"] = tls["sni"]
    elif not service.host.startswith("*"):
        typed["sni"] = service.host
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed}
