"""Envoy's response flags, details and failures in words that say what to look at."""

from __future__ import annotations

from labrunner.sandbox.mesh.observe.record import Record

_FLAGS = {
    "UF": "the connection to the upstream failed",
    "UH": "no healthy endpoint: the service has no ready pods, or outlier detection ejected them all",
    "UO": "a circuit breaker was open: the connection pool's limits were reached",
    "UT": "the upstream did not answer within the route's timeout",
    "URX": "the retry limit (or the TCP connection attempts) was reached",
    "UC": "the upstream closed the connection",
    "NR": "no route or filter chain matched",
    "NC": "the route's cluster does not exist: no such service or subset",
    "DC": "the client closed the connection",
    "DI": "a fault delayed the request",
    "FI": "a fault aborted the request",
    "RL": "a rate limit was exceeded",
    "LR": "the connection was reset locally",
    "UR": "the upstream reset the connection",
    "DPE": "the client's bytes were no HTTP",
    "UPE": "the upstream's bytes were no HTTP",
    "SI": "the stream was idle for too long",
    "LH": "the local service failed its health check",
    "UAEX": "an authorization check refused it",
}


def reason(record: Record) -> str:
    """One sentence on what went wrong at this hop; empty when nothing did."""
    if record.denied:
        return ""
    if record.downstream_failure:
        return f"the TLS handshake with the client failed: {_plain(record.downstream_failure)}"
    if record.upstream_failure:
        return f"the TLS handshake with the upstream failed: {_plain(record.upstream_failure)}"
    if record.details.startswith("jwt_authn_access_denied"):
        return f"the token was refused: {_plain(record.details.partition('{')[2].rstrip('}'))}"
    if "NR" in record.flags and not record.is_http:
        return "no filter chain matched the connection: plaintext where mutual TLS is required, or another server name"
    if record.details == "route_not_found":
        return f"no route matched host {record.authority} and path {record.path}"
    if record.details in ("direct_response", "fault_filter_abort") and not record.flags:
        return "the configuration itself answered"
    words = [_FLAGS[flag] for flag in record.flags.split(",") if flag in _FLAGS]
    return "; ".join(words)


def _plain(text: str) -> str:
    return text.replace("_", " ").strip().removeprefix("TLS error:").strip() or text
