"""One `http` entry of a VirtualService as Envoy routes, in the order in which its matches stand.

Source: pilot/pkg/networking/core/route/route.go and the VirtualService reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from labrunner.sandbox.mesh.traffic.durations import envoy_duration
from labrunner.sandbox.mesh.traffic.hosts import full_name
from labrunner.sandbox.mesh.traffic.route_filters import fraction, route_filters
from labrunner.sandbox.mesh.traffic.route_match import catches_all, route_match

Route = dict[str, Any]

OWN_METADATA = "labrunner"
"""Metadata that istiod does not write; dumps leave it out."""
DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled"


class Clusters(Protocol):
    """Names the cluster of a destination, as this proxy knows it."""

    def __call__(self, host: str, port: int | None, subset: str) -> str: ...


Hashing = Callable[[str, int | None, str], list[dict[str, Any]]]
"""(host, port, subset) of a destination -> what consistent hashing looks at; empty without it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The proxy and listener that routes are for."""

    namespace: str
    """Of the VirtualService: short names are meant there."""
    gateway: str
    """`mesh`, or `namespace/name` of the Gateway."""
    port: int
    proxy_namespace: str
    proxy_labels: Mapping[str, str]
    cluster: Clusters
    tls: bool = False
    """The listener terminates TLS."""
    name: str = ""
    """Of the VirtualService, for route names."""
    hashing: Hashing = lambda host, port, subset: []


def routes(entry: dict[str, Any], scope: Scope, number: int = 0) -> list[Route]:
    """Empty when none of its matches can apply to this proxy. `number`: the entry's place in the VirtualService."""
    matches: list[dict[str, Any] | None] = entry.get("match") or [None]
    found: list[Route] = []
    for index, match in enumerate(matches):
        if match is None or _applies(match, scope):
            place = f"http[{number}]" + ("" if match is None else f".match[{index}]")
            found.append({**_route(entry, match or {}, scope), "metadata": _origin(scope, place)})
            if catches_all(found[-1]["match"]):
                break
    return found


def default_route(cluster: str, name: str = "default") -> Route:
    """What a service gets that no VirtualService speaks of."""
    action = {"cluster": cluster, "timeout": "0s", "retry_policy": retry_policy(None)}
    return {"name": name, "match": {"prefix": "/"}, "route": action}


def retry_policy(retries: dict[str, Any] | None) -> dict[str, Any] | None:
    """Istio's default is two retries; `attempts: 0` switches them off."""
    if retries is None:
        return {
            "retry_on": DEFAULT_RETRY_ON,
            "num_retries": 2,
            "retry_host_predicate": [_PREVIOUS_HOSTS],
            "host_selection_retry_max_attempts": "5",
        }
    attempts = int(retries.get("attempts", 0))
    if attempts <= 0:
        return None
    policy: dict[str, Any] = {
        "retry_on": DEFAULT_RETRY_ON,
        "num_retries": attempts,
        "retry_host_predicate": [_PREVIOUS_HOSTS],
        "host_selection_retry_max_attempts": "5",
    }
    if retries.get("retryIgnorePreviousHosts") is False:
        policy.pop("retry_host_predicate")
    if text := retries.get("retryOn"):
        words = [word.strip() for word in text.split(",") if word.strip()]
        codes = [int(word) for word in words if word.isdigit()]
        named = [word for word in words if not word.isdigit()]
        if codes and "retriable-status-codes" not in named:
            named.append("retriable-status-codes")
        policy["retry_on"] = ",".join(named)
        if codes:
            policy["retriable_status_codes"] = codes
    if retries.get("perTryTimeout"):
        policy["per_try_timeout"] = envoy_duration(retries["perTryTimeout"])
    if retries.get("backoff"):
        policy["retry_back_off"] = {"base_interval": envoy_duration(retries["backoff"])}
    return policy


_PREVIOUS_HOSTS = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    },
}


def _applies(match: dict[str, Any], scope: Scope) -> bool:
    if match.get("port") and int(match["port"]) != scope.port:
        return False
    if match.get("gateways"):
        # Gateways named in a match take the place of what it says of the source.
        return scope.gateway in _gateways(match["gateways"], scope.namespace)
    wanted = match.get("sourceLabels") or {}
    if any(scope.proxy_labels.get(key) != value for key, value in wanted.items()):
        return False
    return match.get("sourceNamespace") in (None, "", scope.proxy_namespace)


def _gateways(names: list[str], namespace: str) -> set[str]:
    return {name if name == "mesh" or "/" in name else f"{namespace}/{name}" for name in names}


def _origin(scope: Scope, place: str) -> dict[str, Any]:
    """Which object a route is from, as istiod writes it, and where in it."""
    config = f"/apis/networking.istio.io/v1/namespaces/{scope.namespace}/virtual-service/{scope.name}"
    return {"filter_metadata": {"istio": {"config": config}, OWN_METADATA: {"place": place}}}


def _route(entry: dict[str, Any], match: dict[str, Any], scope: Scope) -> Route:
    name = ".".join(filter(None, (entry.get("name", ""), match.get("name", "")))) or scope.name
    route: Route = {"name": name, "match": route_match(match)}
    if redirect := entry.get("redirect"):
        route["redirect"] = _redirect(redirect, scope.port, tls=scope.tls)
    elif response := entry.get("directResponse"):
        route["direct_response"] = _direct_response(response)
    else:
        route["route"] = _action(entry, scope)
        _weigh(route["route"], entry, scope)
    _apply_headers(route, entry.get("headers") or {})
    destinations: list[dict[str, Any]] = entry.get("route") or []
    if "route" in route and len(destinations) == 1:
        _apply_headers(route, destinations[0].get("headers") or {})
    if filters := route_filters(entry):
        route["typed_per_filter_config"] = filters
    return route


def _redirect(redirect: dict[str, Any], port: int, *, tls: bool) -> dict[str, Any]:
    codes = {
        301: "MOVED_PERMANENTLY", 302: "FOUND", 303: "SEE_OTHER", 307: "TEMPORARY_REDIRECT", 308: "PERMANENT_REDIRECT",
    }  # fmt: skip
    found: dict[str, Any] = {"response_code": codes.get(int(redirect.get("redirectCode") or 301), "MOVED_PERMANENTLY")}
    if redirect.get("authority"):
        found["host_redirect"] = redirect["authority"]
    if path := redirect.get("uri"):
        found["path_redirect"] = path
    if redirect.get("scheme"):
        found["scheme_redirect"] = redirect["scheme"]
    chosen = int(redirect.get("port") or (port if redirect.get("derivePort") == "FROM_REQUEST_PORT" else 0))
    usual = {"http": 80, "https": 443}.get(redirect.get("scheme") or ("https" if tls else "http"))
    if chosen and chosen != usual:
        found["port_redirect"] = chosen
    return found


def _direct_response(response: dict[str, Any]) -> dict[str, Any]:
    body = response.get("body") or {}
    found: dict[str, Any] = {"status": int(response["status"])}
    if "string" in body:
        found["body"] = {"inline_string": body["string"]}
    elif "bytes" in body:
        found["body"] = {"inline_bytes": body["bytes"]}
    return found


def _action(entry: dict[str, Any], scope: Scope) -> dict[str, Any]:
    action: dict[str, Any] = {"timeout": envoy_duration(entry.get("timeout") or "0s")}
    if policy := retry_policy(entry.get("retries")):
        action["retry_policy"] = policy
    rewrite = entry.get("rewrite") or {}
    if expression := rewrite.get("uriRegexRewrite"):
        pattern = {"regex": expression.get("match", "")}
        action["regex_rewrite"] = {"pattern": pattern, "substitution": expression.get("rewrite", "")}
    elif rewrite.get("uri"):
        # After a regex match the whole path is what is replaced.
        action["prefix_rewrite"] = rewrite["uri"]
    if rewrite.get("authority"):
        action["host_rewrite_literal"] = rewrite["authority"]
    if mirrors := [
        {
            "cluster": _cluster(mirror.get("destination") or {}, scope),
            "runtime_fraction": {"default_value": fraction(share)},
            "trace_sampled": False,
        }
        for mirror, share in _mirrors(entry)
        if share > 0
    ]:
        action["request_mirror_policies"] = mirrors
    return action


def _mirrors(entry: dict[str, Any]) -> list[tuple[dict[str, Any], float]]:
    """Destinations of copies and the percentage of requests that are copied."""
    found = []
    if entry.get("mirror"):
        share = entry.get("mirrorPercentage") or {"value": entry.get("mirrorPercent", 100)}
        found.append(({"destination": entry["mirror"]}, float(share.get("value", 0))))
    for mirror in entry.get("mirrors") or ():
        share = mirror.get("percentage")
        found.append((mirror, 100.0 if share is None else float(share.get("value", 0))))
    return found


def _hashing(route: dict[str, Any], scope: Scope) -> list[dict[str, Any]]:
    destination = route.get("destination") or {}
    port = (destination.get("port") or {}).get("number")
    host = full_name(destination.get("host", ""), scope.namespace)
    return scope.hashing(host, int(port) if port else None, destination.get("subset", ""))


def _cluster(destination: dict[str, Any], scope: Scope) -> str:
    port = (destination.get("port") or {}).get("number")
    host = full_name(destination.get("host", ""), scope.namespace)
    return scope.cluster(host, int(port) if port else None, destination.get("subset", ""))


def _weigh(action: dict[str, Any], entry: dict[str, Any], scope: Scope) -> None:
    destinations = list(entry.get("route") or ())
    if len(destinations) > 1:
        destinations = [d for d in destinations if int(d.get("weight", 0)) > 0] or destinations[:1]
    hashed = [one for destination in destinations for one in _hashing(destination, scope)]
    if hashed:
        action["hash_policy"] = hashed
    if hashed and len(destinations) == 1:
        # Consistent hashing has its own idea of the next host.
        (action.get("retry_policy") or {}).pop("retry_host_predicate", None)
    if len(entry.get("route") or ()) == 1:
        action["cluster"] = _cluster(destinations[0].get("destination") or {}, scope)
        return
    weighted = []
    for destination in destinations:
        one: dict[str, Any] = {
            "name": _cluster(destination.get("destination") or {}, scope),
            "weight": int(destination.get("weight", 0)) or 100,
        }
        _apply_headers(one, destination.get("headers") or {})
        weighted.append(one)
    action["weighted_clusters"] = {"clusters": weighted}


def _apply_headers(target: dict[str, Any], headers: dict[str, Any]) -> None:
    """On a route or weighted cluster; `host` cannot be set as a header in Envoy and rewrites the authority instead."""
    for side in ("request", "response"):
        operations = headers.get(side) or {}
        changes = []
        for verb, action in (("set", "OVERWRITE_IF_EXISTS_OR_ADD"), ("add", "APPEND_IF_EXISTS_OR_ADD")):
            for name, value in sorted((operations.get(verb) or {}).items()):
                if name.lower() in ("host", ":authority") and side == "request":
                    _rewrite_host(target, value)
                elif not _is_internal(name):
                    changes.append({"header": {"key": name, "value": value}, "append_action": action})
        if changes:
            target.setdefault(f"{side}_headers_to_add", []).extend(changes)
        if removed := [name for name in operations.get("remove") or () if not _is_internal(name)]:
            target.setdefault(f"{side}_headers_to_remove", []).extend(removed)


def _rewrite_host(target: dict[str, Any], value: str) -> None:
    """The first to say it wins; redirects and direct responses have no authority to rewrite."""
    if "redirect" not in target and "direct_response" not in target:
        target.get("route", target).setdefault("host_rewrite_literal", value)


def _is_internal(name: str) -> bool:
    return name.startswith(":") or name.lower() == "host"
