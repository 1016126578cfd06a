"""What would have to change where a policy or a token check refused a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labrunner.sandbox.mesh.explain.authorization import Explanation, RuleReport, policy_of
from labrunner.sandbox.mesh.explain.request import RequestFacts
from labrunner.sandbox.mesh.explain.token import parse
from labrunner.sandbox.mesh.model import Config, Workload, World
from labrunner.sandbox.mesh.observe.origin import name_of
from labrunner.sandbox.mesh.observe.peers import Directory, Peer
from labrunner.sandbox.mesh.observe.record import Record

_RULES_SHOWN = 3
_OF_IDENTITY = ("principals", "namespaces", "serviceAccounts", "source.principal", "source.namespace")


def permission_change(found: Explanation, record: Record) -> tuple[str, ...]:
    """For a refusal by AuthorizationPolicy: field by field, of the rules that come closest."""
    if record.policy not in ("", "none"):
        own = next((r for r in found.rules if _is(r, record.policy)), None)
        held = " and ".join(f"{hit.field} ({hit.wants}) holds for {hit.has}" for hit in own.held) if own else ""
        why = f": {held}" if held else " whatever comes"
        return (f"{policy_of(record.policy)} denies it{why}; the request must not match, or the rule must go",)
    allowing = sorted((r for r in found.rules if r.action == "ALLOW" and r.misses), key=lambda r: len(r.misses))
    return tuple(
        f"{report.policy} {miss.field} wants {miss.wants}; it is {miss.has}"
        for report in allowing[:_RULES_SHOWN]
        for miss in report.misses
    )


def _is(report: RuleReport, matched: str) -> bool:
    return policy_of(matched) == f"{report.policy} rules[{report.rule}]"


def identity_change(
    found: Explanation, record: Record, directory: Directory, world: World, source: Peer
) -> tuple[str, ...]:
    """Why the caller had no identity, where one was wanted."""
    wanted = any(word in miss.field for report in found.rules for miss in report.misses for word in _OF_IDENTITY)
    if record.peer or not wanted:
        return ()
    caller = directory.by_ip.get((record.direct_remote or record.remote).rpartition(":")[0])
    if caller is None:
        return ("the caller is no pod of the mesh: only a sidecar or gateway shows an identity",)
    if caller.sidecar:
        return (f"{caller.key} has a sidecar, but called in plaintext: look for a DestinationRule with tls DISABLE",)
    return (f"{caller.key} has no sidecar and so no identity: {injection(world, caller)}",)


def injection(world: World, workload: Workload) -> str:
    """What gives a pod a sidecar, for one that has none."""
    labels = world.namespaces.get(workload.namespace, {})
    own = workload.labels.get("sidecar.istio.io/inject") or workload.annotations.get("sidecar.istio.io/inject")
    if own == "false":
        return "its label sidecar.istio.io/inject is false"
    if labels.get("istio-injection") == "enabled" or labels.get("istio.io/rev"):
        return "its namespace is labelled for injection, but the pod is older than the label: recreate it"
    return f"namespace {workload.namespace} is not labelled for injection; label it and recreate the pod"


def token_change(refused: str, requests: Iterable[Config], facts: RequestFacts) -> tuple[str, ...]:
    """For a refusal by RequestAuthentication: what the rule wants and what the token has."""
    claims = _claims(facts)
    rules = [(name_of(c), rule) for c in requests for rule in (c.get("spec") or {}).get("jwtRules") or ()]
    names = ", ".join(dict.fromkeys(name for name, _ in rules))
    if "issuer" in refused:
        known = ", ".join(str(rule.get("issuer")) for _, rule in rules)
        return (f"RequestAuthentication {names} knows the issuer {known}; the token's iss is {claims.get('iss', '?')}",)
    if "Audiences" in refused:
        wanted = ", ".join(a for _, r in rules if r.get("issuer") == claims.get("iss") for a in r.get("audiences", ()))
        return (f"RequestAuthentication {names} wants an audience of {wanted}; the token's aud is {_aud(claims)}",)
    if "expired" in refused or "not yet valid" in refused:
        return (f"get a new token: exp is {claims.get('exp', '?')}, nbf is {claims.get('nbf', '?')}",)
    if "verification fails" in refused:
        return (f"sign the token with a key whose public part is in the jwks of RequestAuthentication {names}",)
    if "form of Header" in refused:
        return ("send a whole JWT: three parts with dots between them, after `Authorization: Bearer `",)
    return (f"send a token that RequestAuthentication {names} accepts, or none",)


def _aud(claims: dict[str, Any]) -> str:
    held = claims.get("aud", "absent")
    return ", ".join(map(str, held)) if isinstance(held, list) else str(held)


def _claims(facts: RequestFacts) -> dict[str, Any]:
    """Of the bearer token, unverified: for words only."""
    text = (facts.header("authorization") or "").partition(" ")[2]
    try:
        return parse(text)[1]
    except ValueError:
        return {}
