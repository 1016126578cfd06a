"""A verdict in the words of the AuthorizationPolicies it came from: which rule, which field, what it wants.

`explain` walks the policies field by field with the same rendering and evaluation that the verdict rests on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from labrunner.sandbox.mesh.explain.rbac import Verdict, evaluate, matches
from labrunner.sandbox.mesh.explain.request import RequestFacts
from labrunner.sandbox.mesh.model import Config
from labrunner.sandbox.mesh.security.authorization import is_dry_run, rbac_filters, rule_name
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
    held: tuple[Miss, ...] = ()
    """Of the same combination: the fields that do hold."""


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
    policies = [policy for policy in policies if not is_dry_run(policy)]
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
    sources: list[tuple[list[Miss], list[Miss]]] = [
        _misses(f"{prefix}.from[{i}].source", entry.get("source") or {}, source_generators(), facts, context)
        for i, entry in enumerate(rule.get("from") or ())
    ] or [([], [])]
    operations: list[tuple[list[Miss], list[Miss]]] = [
        _misses(f"{prefix}.to[{i}].operation", entry.get("operation") or {}, operation_generators(), facts, context)
        for i, entry in enumerate(rule.get("to") or ())
    ] or [([], [])]
    parts = [min(sources, key=lambda each: len(each[0])), min(operations, key=lambda each: len(each[0]))]
    for number, when in enumerate(rule.get("when") or ()):
        parts.append(_condition(f"{prefix}.when[{number}]", when, facts, context))
    nearest = tuple(miss for missed, _ in parts for miss in missed)
    held = tuple(hit for _, hits in parts for hit in hits)
    name = f"{meta.get('namespace', '')}/{meta['name']}"
    return RuleReport(name, action, index, not nearest, nearest, held)


def _misses(
    prefix: str, fields: Mapping[str, Any], generators: Mapping[str, Any], facts: RequestFacts, context: RuleContext
) -> tuple[list[Miss], list[Miss]]:
    """(fields that do not hold, fields that do)"""
    missed: list[Miss] = []
    held: list[Miss] = []
    for name, generate in generators.items():
        negated = "not" + name[0].upper() + name[1:]
        for key, wanted in ((name, True), (negated, False)):
            values = list(fields.get(key) or ())
            if not values:
                continue
            fits, about = _judge(f"{prefix}.{key}", values, generate, wanted, name, facts, context)
            (held if fits else missed).append(about)
    return missed, held


def _condition(
    prefix: str, when: Mapping[str, Any], facts: RequestFacts, context: RuleContext
) -> tuple[list[Miss], list[Miss]]:
    key = when.get("key", "")
    try:
        generate = attribute_generator(key)
    except InvalidRule as error:
        return [Miss(f"{prefix}.key", "a known condition", str(error))], []
    missed: list[Miss] = []
    held: list[Miss] = []
    for name, wanted in (("values", True), ("notValues", False)):
        values = list(when.get(name) or ())
        if not values:
            continue
        fits, about = _judge(f"{prefix}.{name}", values, generate, wanted, key, facts, context)
        (held if fits else missed).append(replace(about, field=f"{about.field} ({key})"))
    return missed, held


def _judge(
    place: str, values: list[str], generate: Any, wanted: bool, name: str, facts: RequestFacts, context: RuleContext
) -> tuple[bool, Miss]:
    """(whether the field holds, the field)"""
    shown = ("" if wanted else "none of ") + ", ".join(map(str, values))
    try:
        held = any(matches(node, facts) for node in generate(values, context))
    except HttpOnly:
        # DENY and AUDIT ignore such a field on TCP; for ALLOW it voids the rule.
        return not context.allow, Miss(place, shown, "a TCP connection, where HTTP fields never match")
    except ValueError as error:
        return not context.allow, Miss(place, shown, f"a value that is not valid: {error}")
    return held is wanted, Miss(place, shown, _has(name, facts))


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
        return "allowed: no AuthorizationPolicy is in force for this workload"
    if verdict.allowed:
        return (
            f"allowed by {policy_of(verdict.policy)}"
            if verdict.policy
            else "allowed: no DENY rule matched, and there is no ALLOW policy"
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
    wanted = f"whose {first.field} wants {_few(first.wants)}: it is {first.has}"
    return f"denied: no ALLOW rule matched; nearest is {nearest.policy}, {wanted}"


def _few(values: str) -> str:
    """The first of a list of values."""
    first, comma, rest = values.partition(", ")
    return f"{first} (or {rest.count(', ') + 1} more)" if comma else first
