"""VirtualServices that hand a part of their HTTP routes to others: each `delegate` replaced by the routes it means.

Source: pilot/pkg/model/virtualservice.go (mergeVirtualServicesIfNeeded) and the Delegate reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labrunner.sandbox.mesh.model import Config
from labrunner.sandbox.mesh.traffic.hosts import config_visible

Match = dict[str, Any]

_ONE = ("uri", "scheme", "method", "authority")
_MANY = ("headers", "withoutHeaders", "queryParams")
_INHERITED = (
    "rewrite", "directResponse", "timeout", "retries", "fault", "mirror", "mirrorPercent", "mirrorPercentage",
    "mirrors", "corsPolicy", "headers",
)  # fmt: skip


def merged(configs: Sequence[Config]) -> tuple[Config, ...]:
    """Roots with their delegates' routes; what has no hosts is only there for others."""
    delegates = {_key(c): c for c in configs if not (c.get("spec") or {}).get("hosts")}
    roots = [c for c in configs if (c.get("spec") or {}).get("hosts")]
    return tuple(_root(config, delegates) for config in roots)


def _key(config: Config) -> tuple[str, str]:
    return config["metadata"].get("namespace", ""), config["metadata"]["name"]


def _root(config: Config, delegates: Mapping[tuple[str, str], Config]) -> Config:
    entries = config["spec"].get("http") or ()
    if not any(entry.get("delegate") for entry in entries):
        return config
    namespace = config["metadata"].get("namespace", "")
    found: list[dict[str, Any]] = []
    for entry in entries:
        wanted = entry.get("delegate")
        if not wanted:
            found.append(entry)
            continue
        other = delegates.get((wanted.get("namespace") or namespace, wanted.get("name", "")))
        if other is None or not config_visible(other, namespace):
            continue
        own = other["metadata"].get("namespace", "")
        for leaf in (other.get("spec") or {}).get("http") or ():
            route = _route(entry, leaf)
            if route is not None:
                found.append(_in_namespace(route, own) if own != namespace else route)
    return {**config, "spec": {**config["spec"], "http": found}}


def _route(root: dict[str, Any], leaf: dict[str, Any]) -> dict[str, Any] | None:
    """None when nothing can match both."""
    matches = _matches(root.get("match") or [], leaf.get("match") or [])
    if matches is None:
        return None
    route = {**leaf, "match": matches}
    if name := "-".join(filter(None, (root.get("name"), leaf.get("name")))):
        route["name"] = name
    return route | {key: root[key] for key in _INHERITED if root.get(key) is not None and leaf.get(key) is None}


def _matches(roots: list[Match], leaves: list[Match]) -> list[Match] | None:
    if not roots or not leaves:
        return roots or leaves
    found = [_match(root, leaf) for leaf in leaves for root in roots if not _conflict(root, leaf)]
    return found or None


def _match(root: Match, leaf: Match) -> Match:
    found = {**root, **leaf}
    for key in _MANY:
        if root.get(key) or leaf.get(key):
            found[key] = {**(root.get(key) or {}), **(leaf.get(key) or {})}
    if root.get("sourceLabels") or leaf.get("sourceLabels"):
        found["sourceLabels"] = {**(root.get("sourceLabels") or {}), **(leaf.get("sourceLabels") or {})}
    if name := "-".join(filter(None, (root.get("name"), leaf.get("name")))):
        found["name"] = name
    return found


def _conflict(root: Match, leaf: Match) -> bool:
    """Whether the leaf wants anything that the root does not let through."""
    if bool(root.get("ignoreUriCase")) != bool(leaf.get("ignoreUriCase")):
        return True
    if any(_texts_conflict(root.get(key), leaf.get(key)) for key in _ONE):
        return True
    for key in _MANY:
        wanted = root.get(key) or {}
        if any(name in wanted and _texts_conflict(wanted[name], v) for name, v in (leaf.get(key) or {}).items()):
            return True
    for key in ("port", "sourceNamespace"):
        if root.get(key) and leaf.get(key) and root[key] != leaf[key]:
            return True
    labels = root.get("sourceLabels") or {}
    if any(labels.get(name, value) != value for name, value in (leaf.get("sourceLabels") or {}).items()):
        return True
    gateways = root.get("gateways")
    return bool(gateways and not set(leaf.get("gateways") or ()) <= set(gateways))


def _texts_conflict(root: dict[str, Any] | None, leaf: dict[str, Any] | None) -> bool:
    if not root or not leaf:
        return False
    if "regex" in root or "regex" in leaf:
        return True
    if "exact" in root:
        return bool(leaf.get("exact") != root["exact"])
    return not str(leaf.get("prefix", leaf.get("exact", ""))).startswith(root.get("prefix", ""))


def _in_namespace(route: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Short host names of a delegate mean its own namespace."""

    def place(destination: dict[str, Any] | None) -> dict[str, Any]:
        host = (destination or {}).get("host", "")
        short = host and "." not in host
        return {**(destination or {}), **({"host": f"{host}.{namespace}.svc.cluster.local"} if short else {})}

    found = dict(route)
    for key in ("route", "mirrors"):
        if found.get(key):
            found[key] = [{**one, "destination": place(one.get("destination"))} for one in found[key]]
    if found.get("mirror"):
        found["mirror"] = place(found["mirror"])
    return found
