"""A request's way, hop by hop: what each proxy chose and who decided, in the words of the learner's resources.

The verdict is Envoy's, taken from its record; the explanation is checked against it, and says so when they differ.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from labrunner.sandbox.mesh.explain.authorization import Explanation, explain, policy_of
from labrunner.sandbox.mesh.explain.observed import http_facts
from labrunner.sandbox.mesh.explain.request import RequestFacts
from labrunner.sandbox.mesh.explain.token import authenticate
from labrunner.sandbox.mesh.model import Workload, World
from labrunner.sandbox.mesh.observe.advice import Advice, advise
from labrunner.sandbox.mesh.observe.identity_advice import identity_change, permission_change, token_change
from labrunner.sandbox.mesh.observe.origin import origin_of
from labrunner.sandbox.mesh.observe.peers import Directory
from labrunner.sandbox.mesh.observe.record import Record, facts_of
from labrunner.sandbox.mesh.security.authorization import policies_for
from labrunner.sandbox.mesh.security.peer_authentication import peer_modes
from labrunner.sandbox.mesh.security.request_authentication import jwt_filter, requests_for
from labrunner.sandbox.workload.addresses import AddressPlan, real_port

DEFECT = "labrunner explains this otherwise than Envoy decided: a defect of labrunner's, please report it"


@dataclass(frozen=True, slots=True)
class Hop:
    """One proxy's part. `verdict`: allowed, denied, failed or answered (by an error that is nobody's refusal)."""

    proxy: str
    workload: str
    kind: str
    """sidecar or gateway."""
    direction: str
    """inbound or outbound; a gateway's is outbound."""
    listener: str
    """The filter chain chosen, as istiod names it, or the address where there was none."""
    address: str
    """Where the client connected to."""
    route: str
    origin: str
    """The VirtualService that the route is from, and where in it; empty: the service's own route."""
    upstream: str
    """Cluster and endpoint chosen."""
    cluster: str
    endpoint: str
    pod: str
    """`pod.namespace` of the endpoint; empty for what is no pod."""
    rule: str
    """`namespace/name` of the DestinationRule in force for the cluster."""
    client: str
    """Who called, as the proxy saw it: a SPIFFE URI, or an address."""
    server: str
    """Who answered at the other end, where TLS said so."""
    tls: str
    """`mTLS TLSv1.3`, `TLSv1.3` or `plaintext`: of the connection that came in (inbound) or went out (outbound)."""
    incoming: str
    """The same of the connection that came in."""
    code: int
    flags: str
    details: str
    milliseconds: int
    attempts: int
    """How often the upstream was tried; 0: not at all, or unknown."""
    verdict: str
    policy: str = ""
    """`namespace/name rules[0]` that allowed or denied, as Envoy names it."""
    why: str = ""
    change: tuple[str, ...] = ()
    """What would have to change for the request to pass."""
    agrees: bool = True
    """False: the explanation contradicts Envoy."""
    depth: int = 0
    """0: of the request itself; more: of what the programs called to answer it."""

    def document(self) -> dict[str, Any]:
        return asdict(self)


def hops(
    records: Iterable[Record],
    world: World,
    directory: Directory,
    headers: Mapping[str, str] | None = None,
    addresses: AddressPlan | None = None,
) -> list[Hop]:
    """`headers`: what the client sent; None where that is not known, then conditions on headers are not judged."""
    found: list[Hop] = []
    for record in records:
        hop = _hop(record, world, directory, headers, addresses)
        found.append(replace(hop, depth=_depth(hop, found)))
        headers = _passed_on(record, world, directory, headers, addresses)
    return found


def _depth(hop: Hop, before: list[Hop]) -> int:
    for other in reversed(before):
        if hop.direction == "inbound" and other.direction == "outbound" and other.endpoint == hop.address:
            return other.depth
        if hop.direction == "outbound" and other.direction == "inbound" and other.proxy == hop.proxy:
            return other.depth + 1
    return 0


def _passed_on(
    record: Record,
    world: World,
    directory: Directory,
    headers: Mapping[str, str] | None,
    addresses: AddressPlan | None,
) -> Mapping[str, str] | None:
    """The headers that the next proxy sees; None where they are not known any more."""
    if headers is None or record.direction == "inbound" or not record.is_http:
        # Behind the application that was called come its own requests.
        return None
    operations = ((origin_of(record, world).entry.get("headers") or {}).get("request") or {}).keys()
    weighted = any(route.get("headers") for route in origin_of(record, world).entry.get("route") or ())
    if operations or weighted:
        return None
    workload = directory.by_key.get(record.proxy)
    if record.gateway and workload is not None:
        token = authenticate(jwt_filter(requests_for(world, workload)), _facts(record, headers, addresses))
        return token.facts.headers
    return headers


def _hop(
    record: Record,
    world: World,
    directory: Directory,
    headers: Mapping[str, str] | None,
    addresses: AddressPlan | None,
) -> Hop:
    workload = directory.by_key.get(record.proxy)
    inbound = record.direction == "inbound"
    peer, _ = directory.source(record) if not inbound else directory.destination(record)
    advice = advise(record, world, workload, directory, headers) if not record.denied else Advice()
    ok = (not record.is_http and not advice.failed) or (record.is_http and 0 < record.code < 400)
    failed = advice.failed or not record.code
    verdict = "denied" if record.denied or advice.denied else "allowed" if ok else "failed" if failed else "answered"
    target = directory.by_ip.get(record.upstream_host.rpartition(":")[0])
    incoming = _tls(record.peer, record.tls)
    hop = Hop(
        proxy=record.proxy, workload=f"{peer.workload}.{peer.namespace}" if peer.known else record.proxy,
        kind="gateway" if record.gateway else "sidecar", direction=record.direction,
        listener=record.chain or record.local, address=record.local, route=record.route,
        origin=origin_of(record, world).name, upstream=f"{record.upstream_cluster} {record.upstream_host}".strip(),
        cluster=record.upstream_cluster, endpoint=record.upstream_host, pod=target.key if target else "",
        rule=record.rule, client=record.peer or record.remote, server=record.upstream_peer,
        tls=incoming if inbound else _tls(record.upstream_peer, ""), incoming=incoming, code=record.code,
        flags="" if record.flags == "-" else record.flags, details=record.details or record.termination,
        milliseconds=record.duration, attempts=record.attempts, verdict=verdict, why=advice.why, change=advice.change,
    )  # fmt: skip
    if workload is not None and (inbound or record.gateway):
        return _authorized(hop, record, world, workload, directory, headers, addresses)
    return hop


def _tls(peer: str, version: str) -> str:
    return f"mTLS {version}".strip() if peer else version or "plaintext"


def _authorized(
    hop: Hop,
    record: Record,
    world: World,
    workload: Workload,
    directory: Directory,
    headers: Mapping[str, str] | None,
    addresses: AddressPlan | None,
) -> Hop:
    """What the AuthorizationPolicies said, checked against what Envoy did."""
    if not record.local or record.handshake_failed or record.unmatched:
        return hop if record.gateway else _strictness(hop, world, workload, record)
    policies = policies_for(world, workload)
    facts = _facts(record, headers or {}, addresses)
    requests = requests_for(world, workload)
    token = authenticate(jwt_filter(requests), facts) if record.is_http else None
    if token and headers is not None and (token.refused or _token_refused(record)):
        agrees = record.code == token.status
        why = f"the token was refused: {token.refused}" if agrees else _disagreement(record)
        change = token_change(token.refused, requests, facts) if agrees else ()
        return replace(hop, verdict="denied", why=why, change=change, agrees=agrees)
    if _token_refused(record):
        return hop
    seen = token.facts if token else facts
    found = explain(policies, seen, trust_domain=world.mesh.trust_domain, addresses=addresses)
    same = found.verdict.allowed is not record.denied and (
        not record.denied or not record.policy or found.verdict.policy == record.policy
    )
    judged = record.denied or not record.is_http or record.details.startswith(("via_upstream", "upstream_"))
    known = headers is not None or not _asks_for_headers(policies)
    agrees = same or not known or not judged
    if not agrees:
        return replace(hop, why=_disagreement(record), change=(), agrees=False)
    change = hop.change
    if record.denied:
        source, _ = directory.source(record)
        change = (*permission_change(found, record), *identity_change(found, record, directory, world, source))
    why = found.summary if policies and (record.denied or not hop.why) else hop.why
    return replace(hop, policy=_decided(record, found), why=why, change=change)


def _token_refused(record: Record) -> bool:
    return record.details.startswith("jwt_authn_access_denied")


def _disagreement(record: Record) -> str:
    return f"Envoy: {record.details or record.termination or record.code}. {DEFECT}"


def _decided(record: Record, found: Explanation) -> str:
    if record.policy not in ("", "none"):
        return policy_of(record.policy)
    if not record.denied and found.verdict.allowed and found.verdict.policy:
        return policy_of(found.verdict.policy)
    return ""


def _strictness(hop: Hop, world: World, workload: Workload, record: Record) -> Hop:
    port = record.local.rpartition(":")[2]
    modes = peer_modes(world, workload)
    if "NR" in record.flags and port.isdigit() and modes.of(int(port)) == "STRICT" and not record.peer:
        source = f"PeerAuthentication {modes.sources[-1]}" if modes.sources else "The mesh's default"
        return replace(
            hop,
            verdict="denied",
            why=f"{source} is STRICT: the connection was not mutual TLS",
            change=("the client needs a sidecar, and no DestinationRule that turns its TLS off",),
        )
    return hop


def _facts(record: Record, headers: Mapping[str, str], addresses: AddressPlan | None) -> RequestFacts:
    sent = dict(headers)
    if record.forwarded_for:
        sent["x-forwarded-for"] = record.forwarded_for
    if record.user_agent:
        sent.setdefault("user-agent", record.user_agent)
    values = facts_of(record, sent)
    if addresses is not None:
        # Rendered rules have the addresses as Envoy sees them.
        values["direct_remote_ip"] = _real(addresses, values["direct_remote_ip"])
        host, port = values["destination"]
        values["destination"] = (_real(addresses, host), real_port(port))
    if not record.is_http:
        host, port = values["destination"]
        source = values["direct_remote_ip"]
        return RequestFacts(record.peer, source, source, host, port, record.sni, tcp=True)
    facts = http_facts(**values)
    # A gateway takes the address that the connection came from for the client's; what X-Forwarded-For says it adds to.
    return replace(facts, remote_ip=facts.direct_remote_ip) if record.gateway else facts


def _real(addresses: AddressPlan, ip: str) -> str:
    """The twin of a pod's address; other addresses as they are."""
    try:
        inside = ipaddress.ip_address(ip) in ipaddress.ip_network(addresses.pod_cidr)
    except ValueError:
        return ip
    return addresses.real_ip(ip) if inside else ip


def _asks_for_headers(policies: Iterable[Mapping[str, Any]]) -> bool:
    keys = (
        when.get("key", "")
        for policy in policies
        for rule in (policy.get("spec") or {}).get("rules") or ()
        for when in (rule or {}).get("when") or ()
    )
    return any(key.startswith(("request.headers", "request.auth")) for key in keys) or any(
        "equestPrincipals" in str(policy.get("spec")) for policy in policies
    )


def expected(record: Record, world: World, directory: Directory, addresses: AddressPlan | None) -> bool | None:
    """Whether the policies of now would let the recorded request in; None where that cannot be told. A forecast:
    only Envoy decides."""
    workload = directory.by_key.get(record.proxy)
    if workload is None or not record.local:
        return None
    port = record.local.rpartition(":")[2]
    modes = peer_modes(world, workload)
    if port.isdigit() and modes.of(int(port)) == "STRICT" and not record.peer:
        return False
    policies = policies_for(world, workload)
    if _asks_for_headers(policies) or requests_for(world, workload) or record.downstream_failure:
        return None
    found = explain(policies, _facts(record, {}, addresses), trust_domain=world.mesh.trust_domain, addresses=addresses)
    return found.verdict.allowed
