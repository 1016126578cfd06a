"""A request's way, hop by hop: what each proxy chose and who decided, in the words of the learner's resources.

The verdict is Envoy's, taken from its record; the explanation is checked against it, and says so when they differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from labrunner.sandbox.mesh.explain.authorization import explain, policy_of
from labrunner.sandbox.mesh.explain.observed import http_facts
from labrunner.sandbox.mesh.explain.request import RequestFacts
from labrunner.sandbox.mesh.explain.token import authenticate
from labrunner.sandbox.mesh.model import Workload, World
from labrunner.sandbox.mesh.observe.peers import Directory
from labrunner.sandbox.mesh.observe.reasons import reason
from labrunner.sandbox.mesh.observe.record import Record, facts_of
from labrunner.sandbox.mesh.security.authorization import policies_for
from labrunner.sandbox.mesh.security.peer_authentication import peer_modes
from labrunner.sandbox.mesh.security.request_authentication import jwt_filter, requests_for
from labrunner.sandbox.workload.addresses import AddressPlan

DEFECT = "labrunner explains this otherwise than Envoy decided: a defect of labrunner's, please report it"


@dataclass(frozen=True, slots=True)
class Hop:
    """One proxy's part. `verdict`: allowed, denied, failed or answered."""

    proxy: str
    workload: str
    direction: str
    listener: str
    route: str
    upstream: str
    """Cluster and endpoint chosen."""
    client: str
    """Who called, as the proxy saw it: a SPIFFE URI, or an address."""
    server: str
    """Who answered at the other end, where TLS said so."""
    tls: str
    """`mTLS TLSv1.3`, `TLSv1.3` or `plaintext`, of the connection that came in (inbound) or went out (outbound)."""
    code: int
    flags: str
    details: str
    milliseconds: int
    verdict: str
    policy: str = ""
    """`namespace/name rules[0]` that allowed or denied, as Envoy names it."""
    why: str = ""
    change: tuple[str, ...] = ()
    """What would have to change for the request to pass."""
    agrees: bool = True
    """False: the explanation contradicts Envoy."""

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
    return [_hop(record, world, directory, headers, addresses) for record in records]


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
    mutual = record.peer if inbound else record.upstream_peer
    version = record.tls if inbound else ""
    tls = f"mTLS {version}".strip() if mutual else version or "plaintext"
    endpoint = f"{record.upstream_cluster} {record.upstream_host}".strip()
    failed = reason(record)
    ok = (not record.is_http and not failed) or (record.is_http and 0 < record.code < 400)
    verdict = "denied" if record.denied else "allowed" if ok else "failed" if failed or not record.code else "answered"
    hop = Hop(
        proxy=record.proxy, workload=f"{peer.workload}.{peer.namespace}" if peer.known else record.proxy,
        direction=record.direction, listener=record.chain or record.local, route=record.route, upstream=endpoint,
        client=record.peer or record.remote, server=record.upstream_peer, tls=tls, code=record.code,
        flags=record.flags, details=record.details or record.termination, milliseconds=record.duration,
        verdict=verdict, why=failed,
    )  # fmt: skip
    if inbound and workload is not None:
        return _authorized(hop, record, world, workload, headers, addresses)
    return hop


def _authorized(
    hop: Hop,
    record: Record,
    world: World,
    workload: Workload,
    headers: Mapping[str, str] | None,
    addresses: AddressPlan | None,
) -> Hop:
    """What the AuthorizationPolicies said, checked against what Envoy did."""
    if not record.local or record.downstream_failure or ("NR" in record.flags and not record.is_http):
        return _strictness(hop, world, workload, record)
    policies = policies_for(world, workload)
    facts = _facts(record, headers or {}, addresses)
    token = authenticate(jwt_filter(requests_for(world, workload)), facts) if record.is_http else None
    if token and token.refused and headers is not None:
        agrees = record.code == token.status
        return replace(hop, verdict="denied", why=f"the token was refused: {token.refused}", agrees=agrees)
    found = explain(
        policies, token.facts if token else facts, trust_domain=world.mesh.trust_domain, addresses=addresses
    )
    known = headers is not None or not _asks_for_headers(policies)
    agrees = not known or (
        found.verdict.allowed is not record.denied
        and (not record.denied or not record.policy or found.verdict.policy == record.policy)
    )
    change: tuple[str, ...] = ()
    if record.denied:
        change = tuple(
            f"{report.policy} {miss.field} wants {miss.wants}; it is {miss.has}"
            for report in found.rules
            if report.action == "ALLOW"
            for miss in report.misses
        )
        if record.policy not in ("", "none"):
            change = (f"{policy_of(record.policy)} denies it: the request must not match, or the rule must go",)
    decided = policy_of(record.policy) if record.policy not in ("", "none") else ""
    if not record.denied and found.verdict.allowed and found.verdict.policy:
        decided = policy_of(found.verdict.policy)
    why = found.summary if policies and (record.denied or not hop.why) else hop.why
    if not agrees:
        why = f"Envoy: {record.details or record.termination or record.code}. {DEFECT}"
        change = ()
    return replace(hop, policy=decided, why=why, change=change, agrees=agrees)


def _strictness(hop: Hop, world: World, workload: Workload, record: Record) -> Hop:
    port = record.local.rpartition(":")[2]
    modes = peer_modes(world, workload)
    if port.isdigit() and modes.of(int(port)) == "STRICT" and not record.peer:
        source = modes.sources[-1] if modes.sources else "the mesh's default"
        return replace(
            hop,
            verdict="denied",
            why=f"PeerAuthentication {source} is STRICT: the connection was not mutual TLS",
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
        values["direct_remote_ip"] = addresses.real_ip(values["direct_remote_ip"])
        values["destination"] = addresses.real(*values["destination"])
    if not record.is_http:
        host, port = values["destination"]
        source = values["direct_remote_ip"]
        return RequestFacts(record.peer, source, source, host, port, record.sni, tcp=True)
    return http_facts(**values)


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
