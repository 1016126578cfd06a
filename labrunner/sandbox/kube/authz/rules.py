"""RBAC policy rules: what one allows, what a list of them covers, how the server writes them.

A rule is rbac.authorization.k8s.io/v1 PolicyRule as plain JSON. Source: pkg/apis/rbac/v1/evaluation_helpers.go,
component-helpers/auth/rbac/validation/policy_comparator.go, pkg/registry/rbac/validation/policy_compact.go.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from labrunner.sandbox.kube.request import Attributes

Rule = Mapping[str, Any]


def allows(rule: Rule, attributes: Attributes) -> bool:
    """Whether this rule alone allows the request."""
    if not _has(rule.get("verbs"), attributes.verb):
        return False
    if attributes.path:
        return any(_path_covers(path, attributes.path) for path in rule.get("nonResourceURLs") or ())
    return (
        _has(rule.get("apiGroups"), attributes.group)
        and _resource_matches(rule.get("resources") or (), attributes.resource, attributes.subresource)
        and (not rule.get("resourceNames") or attributes.name in rule["resourceNames"])
    )


def uncovered(owned: Sequence[Rule], wanted: Sequence[Rule]) -> list[Rule]:
    """What of `wanted`, broken down to single permissions, no owned rule gives; empty: all is covered."""
    return [part for rule in wanted for part in _parts(rule) if not any(_covers(own, part) for own in owned)]


def compact(rules: Iterable[Rule]) -> list[Rule]:
    """Rules that differ only in their verbs, joined; others as they are."""
    joined: dict[tuple[object, ...], dict[str, Any]] = {}
    rest: list[Rule] = []
    for rule in rules:
        groups, resources = rule.get("apiGroups") or [], rule.get("resources") or []
        if len(groups) != 1 or len(resources) != 1 or rule.get("nonResourceURLs"):
            rest.append(rule)
            continue
        names = tuple(rule.get("resourceNames") or ())
        if len(names) > 1:
            rest.append(rule)
            continue
        kept = joined.setdefault((groups[0], resources[0], names), {**rule, "verbs": []})
        kept["verbs"] += [verb for verb in rule.get("verbs") or () if verb not in kept["verbs"]]
    return [*joined.values(), *rest]


def written(rule: Rule) -> str:
    """As the server puts a rule into a message: `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}`."""
    fields = (
        ("APIGroups", "apiGroups"), ("Resources", "resources"), ("NonResourceURLs", "nonResourceURLs"),
        ("ResourceNames", "resourceNames"), ("Verbs", "verbs"),
    )  # fmt: skip
    parts = [f"{shown}:[{' '.join(map(json.dumps, rule[key]))}]" for shown, key in fields if rule.get(key)]
    return "{" + ", ".join(parts) + "}"


def _has(values: Sequence[str] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)


def _resource_matches(resources: Sequence[str], resource: str, subresource: str) -> bool:
    full = f"{resource}/{subresource}" if subresource else resource
    return any(
        entry in ("*", full) or (subresource and entry == f"*/{subresource}")  # `*/scale`: of every resource
        for entry in resources
    )


def _path_covers(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def _parts(rule: Rule) -> Iterator[Rule]:
    verbs = rule.get("verbs") or ()
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in verbs:
                one = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                names = rule.get("resourceNames") or ()
                yield from ({**one, "resourceNames": [name]} for name in names) if names else (one,)
    for path in rule.get("nonResourceURLs") or ():
        for verb in verbs:
            yield {"nonResourceURLs": [path], "verbs": [verb]}


def _covers(owner: Rule, part: Rule) -> bool:
    """`part` names at most one verb, resource and name."""
    names = owner.get("resourceNames") or ()
    return (
        _has(owner.get("verbs"), part["verbs"][0])
        and all(_has(owner.get("apiGroups"), group) for group in part.get("apiGroups", ()))
        and all(_resource_covered(owner.get("resources") or (), resource) for resource in part.get("resources", ()))
        and (not names or (bool(part.get("resourceNames")) and part["resourceNames"][0] in names))
        and all(
            any(_path_covers(mine, path) for mine in owner.get("nonResourceURLs") or ())
            for path in part.get("nonResourceURLs", ())
        )
    )


def _resource_covered(mine: Sequence[str], resource: str) -> bool:
    base, _, subresource = resource.partition("/")
    return _resource_matches(mine, base, subresource)
