"""The pieces listeners are made of: HTTP connection managers, TCP proxies, TLS contexts, filter chains."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.mesh.access_log import access_log
from labrunner.sandbox.mesh.traffic.cluster import MESH_ALPN, mesh_secrets

Chain = dict[str, Any]
Filter = dict[str, Any]

_TYPE = "type.googleapis.com/envoy.extensions.filters"
_DOWNSTREAM_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
HTTP_ALPN_ACCEPTED = ["istio-http/1.0", "istio-http/1.1", "istio-h2"]
MESH_ALPN_ACCEPTED = [*MESH_ALPN, *HTTP_ALPN_ACCEPTED]
"""How a sidecar tells a mesh client's TLS from an application's own."""


def http_manager(
    name: str, route_config: dict[str, Any], filters: list[Filter], log: dict[str, str], **extra: Any
) -> Filter:
    """An HTTP connection manager with routes inline; `log` is what every line of its access log carries."""
    chain = [
        *filters,
        {"name": "envoy.filters.http.cors", "typed_config": {"@type": f"{_TYPE}.http.cors.v3.Cors"}},
        {"name": "envoy.filters.http.fault", "typed_config": {"@type": f"{_TYPE}.http.fault.v3.HTTPFault"}},
        {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPE}.http.router.v3.Router"}},
    ]
    config: dict[str, Any] = {
        "@type": f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": route_config,
        "http_filters": chain,
        "access_log": access_log(log),
        "server_name": "istio-envoy",
        "normalize_path": True,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "stream_idle_timeout": "0s",
        "request_id_extension": {
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "use_request_id_for_trace_sampling": True,
            }
        },
        **extra,
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def tcp_proxy(stat_prefix: str, cluster: str, log: dict[str, str], **extra: Any) -> Filter:
    config = {
        "@type": f"{_TYPE}.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": stat_prefix,
        "cluster": cluster,
        "access_log": access_log(log, tcp=True),
        **extra,
    }
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": config}


def offer_alpn(protocols: list[str]) -> Filter:
    """Connections of this chain offer these to the server, whatever their cluster has."""
    value = {
        "object_key": "envoy.network.application_protocols",
        "format_string": {"text_format_source": {"inline_string": ",".join(protocols)}},
        "shared_with_upstream": "ONCE",
    }
    kind = f"{_TYPE}.network.set_filter_state.v3.Config"
    return {
        "name": "envoy.filters.network.set_filter_state",
        "typed_config": {"@type": kind, "on_new_connection": [value]},
    }


def listener_filter(name: str) -> Filter:
    """`tls_inspector`, `http_inspector` or `proxy_protocol`."""
    kind = {"tls_inspector": "TlsInspector", "http_inspector": "HttpInspector", "proxy_protocol": "ProxyProtocol"}[name]
    return {
        "name": f"envoy.filters.listener.{name}",
        "typed_config": {"@type": f"{_TYPE}.listener.{name}.v3.{kind}"},
    }


def mesh_server_tls(identity: str, alpn: list[str]) -> dict[str, Any]:
    """Mutual TLS as a sidecar serves it: the client must show an identity of the mesh."""
    common = {
        "alpn_protocols": alpn,
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        **mesh_secrets(identity, {}),
    }
    return server_tls(common, require_client=True)


def server_tls(common: dict[str, Any], *, require_client: bool) -> dict[str, Any]:
    typed = {"@type": _DOWNSTREAM_TLS, "require_client_certificate": require_client, "common_tls_context": common}
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed}
