"""One `http` entry of a VirtualService as Envoy routes, in the order in which its matches stand.

Source: pilot/pkg/networking/core/route/route.go and the VirtualService reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from labrunner.sandbox.mesh.traffic.durations import envoy_duration
from labrunner.sandbox.mesh.traffic.hosts import full_name

Route = dict[str, Any]

OWN_METADATA = "labrunner"
"""Metadata that istiod does not write; dumps leave it out."""
DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled"
_TYPE = "type.googleapis.com/envoy.extensions.filters.http"


class Clusters(Protocol):
    """Names the cluster of a destination, as this proxy knows it."""

    def __call__(self, host: str, port: int | None, subset: str) -> str: ...


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
    name: str = ""
    """Of the VirtualService, for route names."""
    hash_policy: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By destination host: what consistent hashing looks at."""


def routes(entry: dict[str, Any], scope: Scope, number: int = 0) -> list[Route]:
    """Empty when none of its matches can apply to this proxy. `number`: the entry's place in the VirtualService."""
    matches = entry.get("match") or [None]
    found = []
    for index, match in enumerate(matches):
        if match is None or _applies(match, scope):
            place = f"http[{number}]" + ("" if match is None else f".match[{index}]")
            found.append({**_route(entry, match or {}, scope), "metadata": _origin(scope, place)})
            if match is None or _catches_all(match):
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
    if match.get("gateways") and scope.gateway not in _gateways(match["gateways"], scope.namespace):
        return False
    if match.get("port") and int(match["port"]) != scope.port:
        return False
    if scope.gateway != "mesh":
        return True
    if match.get("sourceNamespace") and match["sourceNamespace"] != scope.proxy_namespace:
        return False
    wanted = match.get("sourceLabels") or {}
    return all(scope.proxy_labels.get(key) == value for key, value in wanted.items())


def _gateways(names: list[str], namespace: str) -> set[str]:
    return {name if name == "mesh" or "/" in name else f"{namespace}/{name}" for name in names}


def _catches_all(match: dict[str, Any]) -> bool:
    """Nothing after such a match can be reached."""
    uri = match.get("uri") or {}
    everything = not uri or uri.get("prefix") == "/" or uri.get("regex") == ".*"
    narrowing = ("headers", "withoutHeaders", "queryParams", "method", "scheme", "authority")
    return everything and not any(match.get(key) for key in narrowing)


def _origin(scope: Scope, place: str) -> dict[str, Any]:
    """Which object a route is from, as istiod writes it, and where in it."""
    config = f"/apis/networking.istio.io/v1/namespaces/{scope.namespace}/virtual-service/{scope.name}"
    return {"filter_metadata": {"istio": {"config": config}, OWN_METADATA: {"place": place}}}


def _route(entry: dict[str, Any], match: dict[str, Any], scope: Scope) -> Route:
    name = ".".join(filter(None, (entry.get("name", ""), match.get("name", "")))) or scope.name
    route: Route = {"name": name, "match": _match(match)}
    if redirect := entry.get("redirect"):
        route["redirect"] = _redirect(redirect, match, scope.port)
    elif response := entry.get("directResponse"):
        route["direct_response"] = _direct_response(response)
    else:
        route["route"] = _action(entry, match, scope)
        _weigh(route["route"], entry, scope)
    _apply_headers(route, entry.get("headers") or {})
    if filters := _per_filter(entry, scope):
        route["typed_per_filter_config"] = filters
    return route


def _match(match: dict[str, Any]) -> dict[str, Any]:
    uri = match.get("uri") or {}
    found: dict[str, Any]
    if "exact" in uri:
        found = {"path": uri["exact"]}
    elif "prefix" in uri:
        found = {"prefix": uri["prefix"]}
    elif "regex" in uri:
        found = {"safe_regex": {"regex": uri["regex"]}}
    else:
        found = {"prefix": "/"}
    if match.get("ignoreUriCase"):
        found["case_sensitive"] = False
    headers = [_header(name, value or {}) for name, value in (match.get("headers") or {}).items()]
    for name, value in (match.get("withoutHeaders") or {}).items():
        headers.append(_header(name, value or {}) | {"invert_match": True, "treat_missing_header_as_empty": True})
    for pseudo, key in ((":method", "method"), (":authority", "authority"), (":scheme", "scheme")):
        if match.get(key):
            headers.append(_header(pseudo, match[key]))
    if headers:
        found["headers"] = [_without_presence_default(header) for header in headers]
    parameters = [
        {"name": name, **({"string_match": _string(value)} if value else {"present_match": True})}
        for name, value in (match.get("queryParams") or {}).items()
    ]
    if parameters:
        found["query_parameters"] = parameters
    return found


def _header(name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "string_match": _string(value)} if value else {"name": name, "present_match": True}


def _without_presence_default(header: dict[str, Any]) -> dict[str, Any]:
    if header.get("present_match"):
        header.pop("treat_missing_header_as_empty", None)
    return header


def _string(value: dict[str, Any]) -> dict[str, Any]:
    if "exact" in value:
        return {"exact": value["exact"]}
    if "prefix" in value:
        return {"prefix": value["prefix"]}
    return {"safe_regex": {"regex": value.get("regex", ".*")}}


def _redirect(redirect: dict[str, Any], match: dict[str, Any], port: int) -> dict[str, Any]:
    codes = {
        301: "MOVED_PERMANENTLY", 302: "FOUND", 303: "SEE_OTHER", 307: "TEMPORARY_REDIRECT", 308: "PERMANENT_REDIRECT",
    }  # fmt: skip
    found: dict[str, Any] = {"response_code": codes.get(int(redirect.get("redirectCode") or 301), "MOVED_PERMANENTLY")}
    if redirect.get("authority"):
        found["host_redirect"] = redirect["authority"]
    if path := redirect.get("uri"):
        prefix = (match.get("uri") or {}).get("prefix")
        if path.startswith("%PREFIX()%") and prefix:
            found["prefix_rewrite"] = path.removeprefix("%PREFIX()%")
        else:
            found["path_redirect"] = path
    if redirect.get("scheme"):
        found["scheme_redirect"] = redirect["scheme"]
    if redirect.get("port"):
        found["port_redirect"] = int(redirect["port"])
    elif redirect.get("derivePort") == "FROM_REQUEST_PORT":
        found["port_redirect"] = port
    return found


def _direct_response(response: dict[str, Any]) -> dict[str, Any]:
    body = response.get("body") or {}
    found: dict[str, Any] = {"status": int(response["status"])}
    if "string" in body:
        found["body"] = {"inline_string": body["string"]}
    elif "bytes" in body:
        found["body"] = {"inline_bytes": body["bytes"]}
    return found


def _action(entry: dict[str, Any], match: dict[str, Any], scope: Scope) -> dict[str, Any]:
    action: dict[str, Any] = {"timeout": envoy_duration(entry.get("timeout") or "0s")}
    if policy := retry_policy(entry.get("retries")):
        action["retry_policy"] = policy
    rewrite = entry.get("rewrite") or {}
    if rewrite.get("uri"):
        uri = match.get("uri") or {}
        if "regex" in uri:
            action["regex_rewrite"] = {"pattern": {"regex": uri["regex"]}, "substitution": rewrite["uri"]}
        else:
            action["prefix_rewrite"] = rewrite["uri"]
    elif expression := rewrite.get("uriRegexRewrite"):
        pattern = {"regex": expression.get("match", "")}
        action["regex_rewrite"] = {"pattern": pattern, "substitution": expression.get("rewrite", "")}
    if rewrite.get("authority"):
        action["host_rewrite_literal"] = rewrite["authority"]
        action["append_x_forwarded_host"] = True
    mirrors = list(entry.get("mirrors") or ())
    if entry.get("mirror"):
        mirrors.append({"destination": entry["mirror"], "percentage": entry.get("mirrorPercentage") or {"value": 100}})
    if mirrors:
        action["request_mirror_policies"] = [
            {
                "cluster": _cluster(mirror["destination"], scope),
                "runtime_fraction": {"default_value": fraction((mirror.get("percentage") or {}).get("value", 100))},
            }
            for mirror in mirrors
        ]
    return action


def _cluster(destination: dict[str, Any], scope: Scope) -> str:
    port = (destination.get("port") or {}).get("number")
    host = full_name(destination.get("host", ""), scope.namespace)
    return scope.cluster(host, int(port) if port else None, destination.get("subset", ""))


def _weigh(action: dict[str, Any], entry: dict[str, Any], scope: Scope) -> None:
    destinations = list(entry.get("route") or ())
    if len(destinations) > 1:
        destinations = [d for d in destinations if int(d.get("weight", 0)) > 0] or destinations[:1]
    for destination in destinations:
        host = full_name((destination.get("destination") or {}).get("host", ""), scope.namespace)
        if policy := scope.hash_policy.get(host):
            action["hash_policy"] = policy
    if len(destinations) == 1 and not destinations[0].get("headers"):
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
            for name, value in (operations.get(verb) or {}).items():
                if side == "request" and name.lower() in ("host", ":authority"):
                    target.get("route", target).setdefault("host_rewrite_literal", value)
                    continue
                changes.append({"header": {"key": name, "value": value}, "append_action": action})
        if changes:
            target[f"{side}_headers_to_add"] = changes
        if operations.get("remove"):
            target[f"{side}_headers_to_remove"] = list(operations["remove"])


def _per_filter(entry: dict[str, Any], scope: Scope) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if cors := entry.get("corsPolicy"):
        found["envoy.filters.http.cors"] = _cors(cors)
    if fault := entry.get("fault"):
        found["envoy.filters.http.fault"] = _fault(fault)
    return found


def _cors(cors: dict[str, Any]) -> dict[str, Any]:
    origins = [_string(origin) for origin in cors.get("allowOrigins") or ()]
    origins += [{"exact": origin} if origin != "*" else {"safe_regex": {"regex": ".*"}}
                for origin in cors.get("allowOrigin") or ()]  # fmt: skip
    found: dict[str, Any] = {
        "@type": f"{_TYPE}.cors.v3.CorsPolicy",
        "allow_origin_string_match": origins,
        "filter_enabled": {"default_value": {"numerator": 100}},
    }
    for key, target in (
        ("allowMethods", "allow_methods"), ("allowHeaders", "allow_headers"), ("exposeHeaders", "expose_headers"),
    ):  # fmt: skip
        if cors.get(key):
            found[target] = ",".join(cors[key])
    if cors.get("maxAge"):
        found["max_age"] = envoy_duration(cors["maxAge"]).removesuffix("s").partition(".")[0]
    if "allowCredentials" in cors:
        found["allow_credentials"] = bool(cors["allowCredentials"])
    forward = cors.get("unmatchedPreflights") != "IGNORE"
    found["forward_not_matching_preflights"] = forward
    return found


def _fault(fault: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"@type": f"{_TYPE}.fault.v3.HTTPFault"}
    if delay := fault.get("delay"):
        share = (delay.get("percentage") or {}).get("value", delay.get("percent", 100))
        found["delay"] = {"fixed_delay": envoy_duration(delay["fixedDelay"]), "percentage": fraction(share)}
    if abort := fault.get("abort"):
        share = (abort.get("percentage") or {}).get("value", 100)
        found["abort"] = {"percentage": fraction(share)}
        if abort.get("httpStatus"):
            found["abort"]["http_status"] = int(abort["httpStatus"])
        elif abort.get("grpcStatus"):
            found["abort"]["grpc_status"] = _GRPC.get(abort["grpcStatus"], 2)
    return found


def fraction(percent: float | int | str) -> dict[str, Any]:
    """An Envoy FractionalPercent, to a ten-thousandth of a percent."""
    return {"numerator": round(float(percent) * 10_000), "denominator": "MILLION"}


_GRPC = {
    name: number
    for number, name in enumerate(
        re.split(
            r"\s+",
            "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED"
            " RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS"
            " UNAUTHENTICATED",
        )
    )
}
