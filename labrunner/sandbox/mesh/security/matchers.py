"""Istio's match syntax (`exact`, `prefix*`, `*suffix`, `*`) as Envoy matchers.

Source: pilot/pkg/security/authz/matcher.
"""

from __future__ import annotations

import re
from typing import Any

Matcher = dict[str, Any]

JWT_FILTER = "envoy.filters.http.jwt_authn"
JWT_PAYLOAD = "payload"


def regex(pattern: str) -> Matcher:
    return {"safe_regex": {"regex": pattern}}


def string(value: str) -> Matcher:
    """A StringMatcher; `*` is any non-empty string."""
    if value == "*":
        return regex(".+")
    if value.startswith("*"):
        return {"suffix": value[1:]}
    if value.endswith("*"):
        return {"prefix": value[:-1]}
    return {"exact": value}


def string_with_prefix(value: str, prefix: str) -> Matcher:
    """As `string`, for values that leave a constant prefix out."""
    if value == "*":
        return regex(".+")
    if value.startswith("*"):
        return regex(f"{prefix}.*{re.escape(value[1:])}")
    return string(prefix + value)


def header(name: str, value: str) -> Matcher:
    if value == "*":
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": string(value)}


def host(value: str) -> Matcher:
    """Hosts match without case."""
    if value == "*":
        return {"name": ":authority", "present_match": True}
    return {"name": ":authority", "string_match": string(value) | {"ignore_case": True}}


def claim(path: list[str], value: Matcher) -> Matcher:
    """A MetadataMatcher on a verified token's claim; `value` is a ValueMatcher."""
    keys = [{"key": key} for key in (JWT_PAYLOAD, *path)]
    return {"filter": JWT_FILTER, "path": keys, "value": value}


def any_of_strings(values: list[str]) -> Matcher:
    """A ValueMatcher: a string that matches one of these, or a list that has such a string."""
    each = [
        m
        for v in values
        for m in ({"string_match": string(v)}, {"list_match": {"one_of": {"string_match": string(v)}}})
    ]
    return {"or_match": {"value_matchers": each}}


def metadata(filter_name: str, key: str, value: str) -> Matcher:
    """A MetadataMatcher on a key of a filter; `[x]` means a list that has x."""
    if value.startswith("[") and value.endswith("]"):
        matcher: Matcher = {"list_match": {"one_of": {"string_match": string(value.strip("[]"))}}}
    else:
        matcher = {"string_match": string(value)}
    return {"filter": filter_name, "path": [{"key": key}], "value": matcher}


def cidr(value: str) -> Matcher:
    """A CidrRange. Raises ValueError when it is none."""
    import ipaddress

    network = ipaddress.ip_network(value, strict=False)
    address = value.partition("/")[0]
    return {"address_prefix": address, "prefix_len": network.prefixlen}
