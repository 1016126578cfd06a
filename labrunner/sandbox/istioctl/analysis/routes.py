"""VirtualServices: what they refer to, and rules that never apply."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from labrunner.sandbox.istioctl.analysis.cluster import Cluster, Object, full_host
from labrunner.sandbox.istioctl.analysis.message import Message, go_list, message, quoted


def analyze(cluster: Cluster) -> Iterator[Message]:
    for route in cluster.all("VirtualService"):
        yield from _gateways(cluster, route)
        for destination in destinations(route["spec"]):
            yield from _destination(cluster, route, destination)
        yield from _rules(route)
        yield from _expressions(route)
    yield from _mesh_conflicts(cluster)


def destinations(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for kind in ("http", "tls", "tcp"):
        for rule in spec.get(kind) or ():
            for each in rule.get("route") or ():
                if each.get("destination"):
                    yield each["destination"]
            if rule.get("mirror"):
                yield rule["mirror"]
            for each in rule.get("mirrors") or ():
                yield each["destination"]


def gateway_name(name: str, namespace: str) -> tuple[str, str]:
    """(namespace, name) of a VirtualService's gateway."""
    where, slash, rest = name.rpartition("/")
    return (where, rest) if slash else (namespace, name)


def _gateways(cluster: Cluster, route: Object) -> Iterator[Message]:
    namespace = route["metadata"]["namespace"]
    for name in route["spec"].get("gateways") or ():
        if name == "mesh":
            continue
        gateway = cluster.get("Gateway", *gateway_name(name, namespace))
        if gateway is None:
            yield message("IST0101", route, "gateway", quoted(name))
        elif not any(_served(gateway, namespace, host) for host in route["spec"].get("hosts") or ()):
            hosts = go_list(route["spec"].get("hosts") or ())
            yield message("IST0132", route, hosts, route["metadata"]["name"], name)


def _served(gateway: Object, namespace: str, host: str) -> bool:
    for server in gateway["spec"].get("servers") or ():
        for entry in server.get("hosts") or ():
            where, slash, pattern = entry.rpartition("/")
            own = gateway["metadata"]["namespace"]
            visible = not slash or where in ("*", namespace) or (where == "." and own == namespace)
            if visible and _overlap(pattern, host):
                return True
    return False


def _overlap(one: str, other: str) -> bool:
    if "*" in (one, other) or one == other:
        return True
    if one.startswith("*"):
        return other.removeprefix("*").endswith(one[1:])
    return other.startswith("*") and one.endswith(other[1:])


def _destination(cluster: Cluster, route: Object, destination: Mapping[str, Any]) -> Iterator[Message]:
    namespace, host = route["metadata"]["namespace"], destination.get("host", "")
    service = cluster.service(host, namespace)
    if service is None:
        yield message("IST0101", route, "host", quoted(host))
        return
    ports = [p["port"] for p in service["spec"].get("ports") or ()] if service["kind"] == "Service" else []
    if len(ports) > 1 and not destination.get("port"):
        yield message("IST0112", route, quoted(host), go_list(ports))
    subset = destination.get("subset")
    if subset and not _has_subset(cluster, full_host(host, namespace), subset):
        yield message("IST0101", route, "host+subset in destinationrule", quoted(f"{host}+{subset}"))


def _has_subset(cluster: Cluster, host: str, subset: str) -> bool:
    return any(
        subset in [s["name"] for s in rule["spec"].get("subsets") or ()]
        for rule in cluster.all("DestinationRule")
        if full_host(rule["spec"].get("host", ""), rule["metadata"]["namespace"]) == host
    )


def _rules(route: Object) -> Iterator[Message]:
    for kind in ("http", "tls", "tcp"):
        rules = route["spec"].get(kind) or ()
        # HTTP matches compare as they are; the other kinds the same way.
        seen: dict[str, int] = {}
        catch_all: int | None = None
        for number, rule in enumerate(rules):
            shown = rule.get("name") or f"#{number}"
            matches = rule.get("match") or [{}]
            duplicates = []
            for index, match in enumerate(matches):
                text = json.dumps({k: v for k, v in match.items() if k != "name"}, sort_keys=True)
                if text in seen and seen[text] != number:
                    duplicates.append((index, seen[text]))
                seen.setdefault(text, number)
            if catch_all is not None:
                yield message("IST0130", route, shown, f"only the last rule can have no matches, #{catch_all} has none")
            elif len(duplicates) == len(matches):
                yield message("IST0130", route, shown, "all matches used by prior rules")
            else:
                for index, earlier in duplicates:
                    yield message("IST0131", route, shown, f"#{index}", f"#{earlier}")
            if catch_all is None and any(not match for match in matches):
                catch_all = number


def _expressions(route: Object) -> Iterator[Message]:
    for where, text in _regexes(route["spec"].get("http") or (), "http"):
        try:
            re.compile(text)
        except re.error as error:
            yield message("IST0122", route, quoted(where), quoted(text), f"error parsing regexp: {error.msg}")


def _regexes(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            if key in ("regex", "allowOrigins") and isinstance(each, str):
                yield path, each
            else:
                yield from _regexes(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _regexes(each, path)


def _mesh_conflicts(cluster: Cluster) -> Iterator[Message]:
    by_host: dict[tuple[str, str], list[Object]] = {}
    for route in cluster.all("VirtualService"):
        spec, namespace = route["spec"], route["metadata"]["namespace"]
        if "mesh" not in (spec.get("gateways") or ["mesh"]):
            continue
        for scope in spec.get("exportTo") or ["*"]:
            for host in spec.get("hosts") or ():
                where = namespace if scope == "." else scope
                by_host.setdefault((where, full_host(host, namespace)), []).append(route)
    for (_, host), routes in sorted(by_host.items()):
        if len(routes) > 1:
            names = sorted(f"{r['metadata']['namespace']}/{r['metadata']['name']}" for r in routes)
            for route in routes:
                yield message("IST0109", route, ",".join(names), host)
