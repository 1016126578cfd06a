"""AuthorizationPolicy and RequestAuthentication.

Source: ValidateAuthorizationPolicy and validateJwtRule in pkg/config/validation/validation.go, pkg/config/security.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from typing import Any

from labrunner.sandbox.kube.api import Obj

_SOURCE = ("principals", "requestPrincipals", "namespaces", "serviceAccounts", "ipBlocks", "remoteIpBlocks")
_OPERATION = ("ports", "methods", "paths", "hosts")
_PLAIN_KEYS = (
    "source.namespace", "source.principal", "source.serviceAccount", "request.auth.principal",
    "request.auth.audiences", "request.auth.presenter", "connection.sni",
)  # fmt: skip
_MAP_KEYS = ("request.headers", "request.auth.claims", "experimental.")
_HEADER = re.compile(r"[-_A-Za-z0-9]+")
_SEGMENT = re.compile(r"([A-Za-z0-9-._~:@!$&'()*+,;=/]|%[0-9A-Fa-f]{2})*")


def authorization_policy(obj: Obj) -> Iterator[str]:
    meta, spec = obj["metadata"], obj.get("spec") or {}
    for error in _policy(spec, meta):
        yield f"invalid policy {meta['name']}.{meta.get('namespace', '')}: {error}"


def _policy(spec: dict[str, Any], meta: dict[str, Any]) -> Iterator[str]:
    action, rules = spec.get("action", "ALLOW"), spec.get("rules")
    meaningless = (
        f"{action} action without `rules` is meaningless as it will never be triggered, add an empty rule `{{}}` if you"
        " want it be triggered for every request"
    )
    if action in ("CUSTOM", "DENY") and rules is None:
        yield meaningless
    elif action == "CUSTOM" and not (spec.get("provider") or {}).get("name"):
        yield "`provider.name` must not be empty"
    if action == "CUSTOM":
        yield from _custom(rules or ())
    elif spec.get("provider") is not None:
        yield f"`provider` must not be with non CUSTOM action, found {action}"
    for number, rule in enumerate(rules or ()):
        yield from _rule(rule or {}, number)


def _custom(rules: Any) -> Iterator[str]:
    told = "is currently not supported with CUSTOM action"
    for rule in rules:
        for entry in (rule or {}).get("from") or ():
            for key in ("namespaces", "principals", "requestPrincipals", "serviceAccounts"):
                for name in (key, _negated(key)):
                    if ((entry or {}).get("source") or {}).get(name):
                        yield f"From.{_title(name)} {told}"
        for when in (rule or {}).get("when") or ():
            key = (when or {}).get("key", "")
            if key in ("source.namespace", "source.serviceAccount", "source.principal") or key.startswith(
                "request.auth."
            ):
                yield f"{key} {told}"


def _rule(rule: dict[str, Any], number: int) -> Iterator[str]:
    for word, inner, fields in (("from", "source", _SOURCE), ("to", "operation", _OPERATION)):
        entries = rule.get(word)
        if entries is not None and not entries:
            yield f"`{word}` must not be empty, found at rule {number}"
        for entry in entries or ():
            value = (entry or {}).get(inner)
            if value is None:
                yield f"`{word}.{inner}` must not be nil, found at rule {number}"
                continue
            if not any(value.get(name) for key in fields for name in (key, _negated(key))):
                yield f"`{word}.{inner}` must not be empty, found at rule {number}"
            yield from _source(value, number) if word == "from" else _operation(value)
            for key in fields:
                for name in (key, _negated(key)):
                    if "" in (value.get(name) or ()):
                        yield f"empty value not allowed, found in {_title(name)}"
    for when in rule.get("when") or ():
        yield from _condition(when or {})


def _source(value: dict[str, Any], number: int) -> Iterator[str]:
    named = [value.get(name) for key in ("principals", "namespaces") for name in (key, _negated(key))]
    if any(named) and (value.get("serviceAccounts") or value.get("notServiceAccounts")):
        yield f"cannot set serviceAccounts with namespaces or principals, found at rule {number}"
    for key in ("ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks"):
        yield from _addresses(value.get(key) or ())


def _operation(value: dict[str, Any]) -> Iterator[str]:
    for key in ("ports", "notPorts"):
        yield from _ports(value.get(key) or ())
    for key in ("paths", "notPaths"):
        for path in value.get(key) or ():
            yield from _template(path, _title(key))


def _template(path: str, key: str) -> Iterator[str]:
    templated = "{*}" in path or "{**}" in path
    start = f"invalid or unsupported path {path}, found in {key}. "
    if templated and "*" in path.replace("{*}", "").replace("{**}", ""):
        yield f"{start}Contains '*' beyond a supported path template"
        return
    if path.count("{**}") > 1 or ("{**}" in path and "{*}" in path.partition("{**}")[2]):
        yield f"{start}{{**}} is not the last operator"
        return
    for segment in path.split("/"):
        if segment in ("{*}", "{**}"):
            continue
        if "{" in segment or "}" in segment:
            yield f"{start}Contains '{{' or '}}' beyond a supported path template"
            return
        if templated and not _SEGMENT.fullmatch(segment):
            yield f"{start}Contains segment {segment} with invalid string literal"
            return


def _condition(when: dict[str, Any]) -> Iterator[str]:
    key = when.get("key", "")
    if not key:
        yield "`key` must not be empty"
        return
    values, others = when.get("values") or [], when.get("notValues") or []
    if not values and not others:
        yield f"at least one of `values` or `notValues` must be set for key {key}"
        return
    for word, listed in (("value", values), ("notValue", others)):
        for error in _attribute(key, listed):
            yield f"invalid `{word}` for `key` {key}: {error}"


def _attribute(key: str, values: list[str]) -> Iterator[str]:
    if "" in values:
        yield f"empty value not allowed, found in {key}"
    elif key.startswith(_MAP_KEYS):
        if not re.fullmatch(r"[^\[]*\[.+\]", key):
            yield f"bad key ({key}): should have format a[b]"
    elif key in ("source.ip", "remote.ip", "destination.ip"):
        yield from _addresses(values)
    elif key == "destination.port":
        yield from _ports(values)
    elif key not in _PLAIN_KEYS:
        yield f"unknown attribute: {key}"


def _addresses(values: Any) -> Iterator[str]:
    for value in values:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            yield (
                f"bad CIDR range ({value}): invalid CIDR address: {value}"
                if "/" in value
                else (f"bad IP address ({value})")
            )


def _ports(values: Any) -> Iterator[str]:
    for value in values:
        if not value.isdigit() or int(value) > 65535:
            yield f"invalid port {value}"


def request_authentication(obj: Obj) -> Iterator[str]:
    for rule in (obj.get("spec") or {}).get("jwtRules") or ():
        if "" in (rule.get("audiences") or ()):
            yield "audience must be non-empty string"
        if not rule.get("issuer") and not rule.get("jwksUri"):
            yield "issuer or jwksUri must be non-empty string"
        uri = rule.get("jwksUri", "")
        if uri and not uri.startswith(("http://", "https://")):
            yield f'URI scheme "{uri.partition("://")[0] if "://" in uri else ""}" is not supported'
        if rule.get("jwks"):
            yield from _keys(rule["jwks"])
        if any(not (header or {}).get("name") for header in rule.get("fromHeaders") or ()):
            yield "location header name must be non-empty string"
        if "" in (rule.get("fromParams") or ()):
            yield "location query must be non-empty string"
        if "" in (rule.get("fromCookies") or ()):
            yield "cookie name must be non-empty string"
        for entry in rule.get("outputClaimToHeaders") or ():
            if not entry.get("claim") or not entry.get("header"):
                yield "outputClaimToHeaders header and claim value must be non-empty string"
            elif not _HEADER.fullmatch(entry["header"]):
                yield f"header name {entry['header']} is not a valid header name"


def _keys(text: str) -> Iterator[str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        yield f"jwks parse error: failed to unmarshal JWK set: {error}"
        return
    if not isinstance(found, dict) or not ("keys" in found or "kty" in found):
        yield "jwks parse error: failed to unmarshal JWK set"


def _negated(name: str) -> str:
    return "not" + _title(name)


def _title(name: str) -> str:
    return name[0].upper() + name[1:]
