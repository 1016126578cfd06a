"""The `match` of a VirtualService's HTTP route as an Envoy RouteMatch.

Source: pilot/pkg/networking/core/route/route.go (TranslateRouteMatch) and the HTTPMatchRequest reference.
"""

from __future__ import annotations

import re
from typing import Any

from labrunner.sandbox.mesh.security.matchers import claim

_CLAIMS = "@request.auth.claims"


def route_match(match: dict[str, Any]) -> dict[str, Any]:
    """What a request must look like for this entry."""
    found = _path(match.get("uri") or {})
    if match.get("ignoreUriCase"):
        found["case_sensitive"] = False
    headers: list[dict[str, Any]] = []
    claims: list[dict[str, Any]] = []
    for name, value in (match.get("headers") or {}).items():
        if path := claim_path(name):
            claims.append(_claim(path, value or {}))
        else:
            headers.append(_header(name, value or {}))
    for name, value in (match.get("withoutHeaders") or {}).items():
        if path := claim_path(name):
            claims.append(_claim(path, value or {}) | {"invert": True})
        else:
            headers.append(_header(name, value or {}, without=True))
    for pseudo, key in ((":method", "method"), (":authority", "authority"), (":scheme", "scheme")):
        if match.get(key):
            headers.append(_header(pseudo, match[key]))
    parameters = [
        {"name": name, **({"present_match": True} if _any(value) else {"string_match": string(value)})}
        for name, value in (match.get("queryParams") or {}).items()
    ]
    for key, listed in (("headers", headers), ("query_parameters", parameters), ("dynamic_metadata", claims)):
        if listed:
            found[key] = listed
    return found


def catches_all(match: dict[str, Any]) -> bool:
    """Whether an Envoy RouteMatch lets everything in: nothing after it can be reached."""
    everything = match.get("prefix") == "/" or (match.get("safe_regex") or {}).get("regex") == ".*"
    return everything and not any(match.get(key) for key in ("headers", "query_parameters", "dynamic_metadata"))


def string(value: dict[str, Any]) -> dict[str, Any]:
    """Istio's StringMatch as an Envoy StringMatcher."""
    if "exact" in value:
        return {"exact": value["exact"]}
    if "prefix" in value:
        return {"prefix": value["prefix"]}
    return {"safe_regex": {"regex": value.get("regex", ".*")}}


def claim_path(name: str) -> list[str]:
    """The claim that a header name such as `@request.auth.claims[group][id]` (or `.group.id`) means; else empty."""
    if not name.lower().startswith(_CLAIMS):
        return []
    rest = name[len(_CLAIMS) :]
    if re.fullmatch(r"(\[[^\[\]]+\])+", rest):
        return re.findall(r"\[([^\[\]]+)\]", rest)
    return rest[1:].split(".") if re.fullmatch(r"(\.[^.]+)+", rest) else []


def _path(uri: dict[str, Any]) -> dict[str, Any]:
    if "exact" in uri:
        return {"path": uri["exact"]}
    if "prefix" in uri:
        return {"prefix": uri["prefix"]}
    if "regex" in uri:
        return {"safe_regex": {"regex": uri["regex"]}}
    return {"prefix": "/"}


def _any(value: dict[str, Any] | None) -> bool:
    """An empty match, and the regex `*`, which is none, only want that it is there."""
    return not value or value.get("regex") == "*"


def _header(name: str, value: dict[str, Any], *, without: bool = False) -> dict[str, Any]:
    if _any(value):
        return {"name": name, "present_match": True, **({"invert_match": True} if without else {})}
    inverted = {"invert_match": True, "treat_missing_header_as_empty": True} if without else {}
    return {"name": name, "string_match": string(value), **inverted}


def _claim(path: list[str], value: dict[str, Any]) -> dict[str, Any]:
    """A claim that is this string, or a list that has it."""
    wanted = string(value) if value else {"safe_regex": {"regex": ".+"}}
    each = [{"string_match": wanted}, {"list_match": {"one_of": {"string_match": wanted}}}]
    return claim(path, {"or_match": {"value_matchers": each}})
