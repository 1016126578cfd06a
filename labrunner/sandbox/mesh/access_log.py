"""The access log all proxies share: one JSON line a request, written by Envoy, read back by the sandbox.

From it come `kubectl logs -c istio-proxy` in Istio's default format, Istio's metrics, the mesh map and explanations.
"""

from __future__ import annotations

from typing import Any

PATH_VARIABLE = "ACCESS_LOG"
"""Placeholder the supervisor replaces by the log's path, so that rendering stays pure."""

TAG = "tag:"
"""Prefix of the fields that hold a span's custom tags."""
TRACE_HEADER = "x-labrunner-trace"
"""Marks a request that the sandbox itself sends: gateways give requests from outside the mesh a new x-request-id."""
_COMMON = {
    "start": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "termination": "%CONNECTION_TERMINATION_DETAILS%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_local": "%UPSTREAM_LOCAL_ADDRESS%",
    "upstream_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "local": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "remote": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "direct_remote": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    "sni": "%REQUESTED_SERVER_NAME%",
    "peer": "%DOWNSTREAM_PEER_URI_SAN%",
    "own": "%DOWNSTREAM_LOCAL_URI_SAN%",
    "upstream_peer": "%UPSTREAM_PEER_URI_SAN%",
    "tls": "%DOWNSTREAM_TLS_VERSION%",
    "downstream_failure": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
    "chain": "%FILTER_CHAIN_NAME%",
    "rule": "%METADATA(CLUSTER:istio:config)%",
}
_HTTP = {
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "code": "%RESPONSE_CODE%",
    "upstream_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "route": "%ROUTE_NAME%",
    "virtual_service": "%METADATA(ROUTE:istio:config)%",
    "place": "%METADATA(ROUTE:labrunner:place)%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "traceparent": "%REQ(TRACEPARENT)%",
    "trace": f"%REQ({TRACE_HEADER.upper()})%",
}


def access_log(fields: dict[str, str], *, tcp: bool = False) -> list[dict[str, Any]]:
    """`fields`: constants of the place that logs (`proxy`, `direction`, `port`, `service`)."""
    form: dict[str, str] = {**fields, **_COMMON} if tcp else {**fields, **_COMMON, **_HTTP}
    typed = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": f"${{{PATH_VARIABLE}}}",
        "log_format": {"json_format": form, "omit_empty_values": True},
    }
    return [{"name": "envoy.access_loggers.file", "typed_config": typed}]


def connection_log(fields: dict[str, str]) -> list[dict[str, Any]]:
    """For a listener: connections that no filter chain took, and TLS handshakes that failed.

    Neither gets as far as the log of a connection manager or TCP proxy.
    """
    (log,) = access_log(fields, tcp=True)
    failed = {
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            # What the socket reports (a reset at the end of a good connection) is no failure of TLS.
            "expression": "connection.transport_failure_reason != ''"
            " && !connection.transport_failure_reason.contains('system library')",
        },
    }
    either = [{"response_flag_filter": {"flags": ["NR"]}}, {"extension_filter": failed}]
    return [{**log, "filter": {"or_filter": {"filters": either}}}]
