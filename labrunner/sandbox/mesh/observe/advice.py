"""Why a proxy did not simply pass a request on, and what would change that, from Envoy's flags and details.

Source: the response flags and details in Envoy's access log documentation, and the objects of the world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.mesh.model import Workload, World
from labrunner.sandbox.mesh.observe import route_advice, upstream_advice
from labrunner.sandbox.mesh.observe.origin import origin_of
from labrunner.sandbox.mesh.observe.peers import Directory
from labrunner.sandbox.mesh.observe.record import Record

Words = tuple[str, tuple[str, ...]]
"""(why, what would have to change)"""


@dataclass(frozen=True, slots=True)
class Advice:
    why: str = ""
    change: tuple[str, ...] = ()
    failed: bool = False
    """The request did not get where it was meant to go."""
    denied: bool = False
    """A security rule kept it from there."""


_FLAGS = {
    "UF": "the connection to the upstream failed",
    "UH": "no healthy endpoint: the service has no ready pods, or outlier detection ejected them all",
    "UO": "a circuit breaker was open: the connection pool's limits were reached",
    "UT": "the upstream did not answer within the route's timeout",
    "URX": "the retry limit (or the TCP connection attempts) was reached",
    "UC": "the upstream closed the connection before it answered",
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
    "IH": "a header has a value that is not allowed",
    "DT": "the request was longer under way than the connection may last",
    "OM": "the proxy is overloaded",
}


def advise(
    record: Record,
    world: World,
    workload: Workload | None,
    directory: Directory,
    headers: Mapping[str, str] | None = None,
) -> Advice:
    """Empty when nothing is worth saying. Refusals by AuthorizationPolicy are not told here: see `hops`."""
    if record.handshake_failed:
        return Advice(*_handshake(record, world), failed=True, denied=True)
    if record.details.startswith("jwt_authn_access_denied"):
        said = _plain(record.details.partition("{")[2].rstrip("}"))
        return Advice(f"the token was refused: {said}", (), True, True)
    if record.unmatched:
        if record.gateway and workload is not None:
            return Advice(*route_advice.no_chain(record, world, workload), failed=True)
        words = "no filter chain matched the connection: plaintext where mutual TLS is required, or another server name"
        return Advice(words, (), True)
    if record.is_http and ("NR" in record.flags or record.details == "route_not_found"):
        return Advice(*route_advice.no_route(record, world, workload, headers), failed=True)
    if upstream := upstream_advice.advise(record, world, workload, directory):
        return Advice(*upstream, failed=True)
    return _configured(record, world, workload)


def _configured(record: Record, world: World, workload: Workload | None) -> Advice:
    """What the mesh's configuration does by itself: faults, limits, redirects, answers of its own."""
    origin = origin_of(record, world)
    flags = set(record.flags.split(","))
    fault: Mapping[str, Any] = origin.entry.get("fault") or {}
    if "FI" in flags:
        share = _share(fault.get("abort"))
        why = f"{origin.name or 'a fault'} aborts {share}with {record.code} (fault.abort)"
        return Advice(why, (f"take fault.abort out of {origin.name}",) if origin.name else (), True)
    if "RL" in flags:
        filters = _filters_of_limits(world, workload)
        named = f" (EnvoyFilter {', '.join(filters)})" if filters else ""
        why = f"a local rate limit was exceeded{named}"
        return Advice(why, ("wait until the bucket is filled again, or raise its token_bucket",), True)
    if record.details == "direct_response":
        return _answered_itself(record, world, workload)
    delayed = ""
    if "DI" in flags:
        fixed = (fault.get("delay") or {}).get("fixedDelay", "")
        delayed = (
            f"{origin.name or 'a fault'} delays {_share(fault.get('delay'))}by {fixed or 'some time'} (fault.delay)"
        )
    words = [_FLAGS[flag] for flag in record.flags.split(",") if flag in _FLAGS and flag != "DI"]
    if delayed and not words:
        return Advice(delayed)
    if "DC" in flags:
        words = [f"the client closed the connection after {record.duration} ms, before an answer came"]
    return Advice("; ".join([*([delayed] if delayed else []), *words]), (), bool(words))


def _share(fault: Mapping[str, Any] | None) -> str:
    value = ((fault or {}).get("percentage") or {}).get("value", 100)
    return "" if float(value) >= 100 else f"{value:g} percent "


def _answered_itself(record: Record, world: World, workload: Workload | None) -> Advice:
    origin = origin_of(record, world)
    if record.route == "block_all" or record.upstream_cluster == "BlackHoleCluster":
        return Advice(*upstream_advice.unknown_host(record, world, workload), failed=True)
    if origin.entry.get("redirect") is not None:
        return Advice(f"{origin.name} redirects it ({record.code})")
    if origin.entry.get("directResponse") is not None:
        return Advice(f"{origin.name} answers itself with {record.code} (directResponse)")
    if record.gateway and 300 <= record.code < 400:
        return Advice(f"the Gateway sends plain HTTP to HTTPS ({record.code}, tls.httpsRedirect)")
    return Advice("the configuration itself answered")


def _filters_of_limits(world: World, workload: Workload | None) -> list[str]:
    found = []
    for config in world.of("EnvoyFilter"):
        meta, spec = config["metadata"], config.get("spec") or {}
        wanted = (spec.get("workloadSelector") or {}).get("labels") or {}
        mine = workload is not None and (
            meta.get("namespace") in (workload.namespace, world.mesh.root_namespace)
            and all(workload.labels.get(key) == value for key, value in wanted.items())
        )
        if mine and "local_ratelimit" in str(spec):
            found.append(f"{meta.get('namespace')}/{meta['name']}")
    return found


def _handshake(record: Record, world: World) -> Words:
    said = _plain(record.downstream_failure)
    upper = record.downstream_failure.upper()
    change: tuple[str, ...] = ()
    if "PEER_DID_NOT_RETURN_A_CERTIFICATE" in upper:
        said = "it sent no client certificate, and one is required"
        change = (
            ("send one: curl --cert client.crt --key client.key (the Gateway's tls.mode is MUTUAL)",)
            if record.gateway
            else ("the client must use its mesh identity: DestinationRule tls mode ISTIO_MUTUAL, or none at all",)
        )
    elif "CERTIFICATE_VERIFY_FAILED" in upper:
        said = "the client's certificate is not signed by a CA that is trusted here, or is not valid now"
        change = ("compare its issuer and dates with the CA certificate of the server's credential",)
    elif "UNKNOWN_CA" in upper or "CERTIFICATE_UNKNOWN" in upper or "BAD_CERTIFICATE" in upper:
        said = "the client does not trust the certificate that it was shown"
        change = ("give the client the CA: curl --cacert ca.crt, and call the name that the certificate has",)
    elif "UNSUPPORTED_PROTOCOL" in upper or "NO_SHARED_CIPHER" in upper:
        change = ("client and server have no TLS version or cipher in common: see the Gateway's minProtocolVersion",)
    elif "HTTP_REQUEST" in upper or "WRONG_VERSION_NUMBER" in upper:
        said = "the client spoke no TLS where TLS is expected"
        change = ("call it with https://",)
    return f"the TLS handshake with the client failed: {said}", change


def _plain(text: str) -> str:
    bare = text.removeprefix("TLS_error:").removesuffix(":TLS_error_end").replace("_", " ").strip()
    return bare.removeprefix("TLS error:").strip() or text
