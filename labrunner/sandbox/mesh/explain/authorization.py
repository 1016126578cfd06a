"""A verdict in the words of the AuthorizationPolicies it came from: which rule, which field, what it wants.

`explain` walks the policies field by field with the same rendering and evaluation that the verdict rests on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.mesh.explain.rbac import Verdict, evaluate, matches
from labrunner.sandbox.mesh.explain.request import RequestFacts
from labrunner.sandbox.mesh.model import Config
from labrunner.sandbox.mesh.security.authorization import rbac_filters, rule_name
from labrunner.sandbox.mesh.security.rule import (
    HttpOnly,
    InvalidRule,
    RuleContext,
    attribute_generator,
    operation_generators,
    source_generators,
)
from labrunner.sandbox.workload.addresses import AddressPlan


@dataclass(frozen=True, slots=True)
class Miss:
    """A field of a rule that did not hold. `field`: `rules[0].from[0].source.principals`."""

    field: str
    wants: str
    has: str


@dataclass(frozen=True, slots=True)
class RuleReport:
    """One rule and every way (`from` x `to`) in which it came closest to matching."""

    policy: str
    """`namespace/name`."""
    action: str
    rule: int
    matched: bool
    misses: tuple[Miss, ...] = ()
    """Of the nearest combination: what would have to change for the rule to match."""


@dataclass(frozen=True, slots=True)
class Explanation:
    verdict: Verdict
    rules: tuple[RuleReport, ...]
    summary: str
    """One sentence for the learner."""


def explain(
    policies: list[Config],
    facts: RequestFacts,
    *,
    trust_domain: str = "cluster.local",
    addresses: AddressPlan | None = None,
) -> Explanation:
    """Of the policies that apply to the workload (see `policies_for`)."""
    transport = "tcp" if facts.tcp else "http"
    filters = rbac_filters(policies, "tcp" if facts.tcp else "http", trust_domain=trust_domain, addresses=addresses)
    verdict = evaluate(filters, facts)
    reports = []
    for policy in policies:
        action = (policy.get("spec") or {}).get("action", "ALLOW")
        context = RuleContext(
            policy["metadata"].get("namespace", ""), transport == "tcp", action == "ALLOW", trust_domain, addresses
        )
        for index, rule in enumerate((policy.get("spec") or {}).get("rules") or ()):
            reports.append(_report(policy, action, index, rule or {}, facts, context))
    return Explanation(verdict, tuple(reports), _summary(verdict, policies, reports))


def policy_of(rule: str) -> str:
    """`ns[a]-policy[b]-rule[0]` -> `a/b rules[0]`; other texts as they are."""
    import re

    found = re.fullmatch(r"ns\[(.*)\]-policy\[(.*)\]-rule\[(\d+)\]", rule)
    return f"{found[1]}/{found[2]} rules[{found[3]}]" if found else rule


def _report(
    policy: Config, action: str, index: int, rule: dict[str, Any], facts: RequestFacts, context: RuleContext
) -> RuleReport:
    meta = policy["metadata"]
    prefix = f"rules[{index}]"
    sources = [
        _misses(f"{prefix}.from[{i}].source", entry.get("source") or {}, source_generators(), facts, context)
        for i, entry in enumerate(rule.get("from") or ())
    ] or [[]]
    operations = [
        _misses(f"{prefix}.to[{i}].operation", entry.get("operation") or {}, operation_generators(), facts, context)
        for i, entry in enumerate(rule.get("to") or ())
    ] or [[]]
    conditions: list[Miss] = []
    for number, when in enumerate(rule.get("when") or ()):
        conditions += _condition(f"{prefix}.when[{number}]", when, facts, context)
    nearest = min(sources, key=len) + min(operations, key=len) + conditions
    name = f"{meta.get('namespace', '')}/{meta['name']}"
    return RuleReport(name, action, index, not nearest, tuple(nearest))


def _misses(
    prefix: str, fields: Mapping[str, Any], generators: Mapping[str, Any], facts: RequestFacts, context: RuleContext
) -> list[Miss]:
    found = []
    for name, generate in generators.items():
        negated = "not" + name[0].upper() + name[1:]
        for key, wanted in ((name, True), (negated, False)):
            values = list(fields.get(key) or ())
            if values and (miss := _judge(f"{prefix}.{key}", values, generate, wanted, name, facts, context)):
                found.append(miss)
    return found


def _condition(prefix: str, when: Mapping[str, Any], facts: RequestFacts, context: RuleContext) -> list[Miss]:
    key = when.get("key", "")
    try:
        generate = attribute_generator(key)
    except InvalidRule as error:
        return [Miss(f"{prefix}.key", "a known condition", str(error))]
    found = []
    for name, wanted in (("values", True), ("notValues", False)):
        values = list(when.get(name) or ())
        if values and (miss := _judge(f"{prefix}.{name}", values, generate, wanted, key, facts, context)):
            found.append(miss)
    return found


def _judge(
    place: str, values: list[str], generate: Any, wanted: bool, name: str, facts: RequestFacts, context: RuleContext
) -> Miss | None:
    shown = ("" if wanted else "none of ") + ", ".join(map(str, values))
    try:
        held = any(matches(node, facts) for node in generate(values, context))
    except HttpOnly:
        # DENY and AUDIT ignore such a field on TCP; for ALLOW it voids the rule.
        return Miss(place, shown, "a TCP connection, where HTTP fields never match") if context.allow else None
    except ValueError as error:
        return Miss(place, shown, f"a value that is not valid: {error}") if context.allow else None
    return None if held is wanted else Miss(place, shown, _has(name, facts))


def _has(name: str, facts: RequestFacts) -> str:
    """What the request has where a field looks."""
    identity = facts.principal.removeprefix("spiffe://") or "no identity (the connection is not mutual TLS)"
    match name:
        case "principals" | "source.principal" | "serviceAccounts" | "source.serviceAccount":
            return identity
        case "namespaces" | "source.namespace":
            parts = facts.principal.split("/ns/")
            return parts[1].partition("/")[0] if len(parts) == 2 else identity
        case "ipBlocks" | "source.ip":
            return facts.direct_remote_ip
        case "remoteIpBlocks" | "remote.ip":
            return facts.remote_ip or facts.direct_remote_ip
        case "hosts":
            return facts.authority
        case "methods":
            return facts.method
        case "paths":
            return facts.path
        case "ports" | "destination.port":
            return str(facts.destination_port)
        case "destination.ip":
            return facts.destination_ip
        case "connection.sni":
            return facts.sni or "no SNI"
    if name.startswith("request.headers["):
        value = facts.header(name.removeprefix("request.headers[").removesuffix("]"))
        return value if value is not None else "no such header"
    if name.startswith(("request.auth", "requestPrincipals")):
        if facts.claims is None:
            return "no verified token"
        return f"a token of {facts.claims.get('iss', '?')}/{facts.claims.get('sub', '?')}"
    return "something else"


def _summary(verdict: Verdict, policies: list[Config], reports: list[RuleReport]) -> str:
    if not policies:
        return "allowed: no AuthorizationPolicy selects this workload"
    if verdict.allowed:
        return (
            f"allowed by {policy_of(verdict.policy)}"
            if verdict.policy
            else "allowed: only DENY or AUDIT policies apply"
        )
    if verdict.policy != "none":
        return f"denied by {policy_of(verdict.policy)} ({verdict.action})"
    allowing = [report for report in reports if report.action == "ALLOW"]
    if not allowing:
        names = [rule_name(p, 0) for p in policies if (p.get("spec") or {}).get("action", "ALLOW") == "ALLOW"]
        name = policy_of(names[0]).partition(" ")[0] if names else "the policy"
        return f"denied: {name} allows nothing, it has no rules"
    nearest = min(allowing, key=lambda report: len(report.misses))
    first = nearest.misses[0] if nearest.misses else Miss("", "", "")
    wanted = f"whose {first.field} wants {first.wants}: it is {first.has}"
    return f"denied: no rule matched; nearest is {nearest.policy}, {wanted}"
