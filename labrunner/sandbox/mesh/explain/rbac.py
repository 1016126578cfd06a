"""Evaluates rendered RBAC filters as Envoy does. Source: source/extensions/filters/common/rbac of Envoy."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from labrunner.sandbox.mesh.explain.request import RequestFacts
from labrunner.sandbox.mesh.security.matchers import JWT_FILTER, JWT_PAYLOAD

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`action` is that of the filter that decided, empty when none had a say; `policy` the one that matched, or
    `none` where an ALLOW filter denied because nothing did: as in Envoy's response code details."""

    allowed: bool
    action: str = ""
    policy: str = ""


def evaluate(filters: Sequence[Node], facts: RequestFacts) -> Verdict:
    """The first filter that denies decides; otherwise the request passes."""
    last = Verdict(True)
    for each in filters:
        rules = each["typed_config"].get("rules")
        if rules is None or rules.get("action") == "LOG":
            continue
        action = rules.get("action", "ALLOW")
        # Envoy keeps policies sorted by name and reports the first that matches.
        matched = next(
            (name for name in sorted(rules["policies"]) if policy_matches(rules["policies"][name], facts)), None
        )
        if action == "DENY" and matched is not None:
            return Verdict(False, action, matched)
        if action == "ALLOW":
            if matched is None:
                return Verdict(False, action, "none")
            last = Verdict(True, action, matched)
    return last


def policy_matches(policy: Node, facts: RequestFacts) -> bool:
    return any(matches(p, facts) for p in policy["permissions"]) and any(
        matches(p, facts) for p in policy["principals"]
    )


def matches(node: Node, facts: RequestFacts) -> bool:
    """One permission or principal."""
    ((kind, value),) = ((key, node[key]) for key in node if key in _KINDS)
    return bool(_KINDS[kind](value, facts))


def _all(value: Any, facts: RequestFacts) -> bool:
    return all(matches(node, facts) for node in value.get("rules") or value.get("ids") or ())


def _some(value: Any, facts: RequestFacts) -> bool:
    return any(matches(node, facts) for node in value.get("rules") or value.get("ids") or ())


def _header(value: Any, facts: RequestFacts) -> bool:
    if facts.tcp:
        return False
    have = facts.header(value["name"])
    if value.get("present_match"):
        return have is not None
    return have is not None and string_matches(value["string_match"], have)


def _url_path(value: Any, facts: RequestFacts) -> bool:
    path = re.split(r"[?#]", facts.path, maxsplit=1)[0]
    return not facts.tcp and string_matches(value["path"], path)


def _uri_template(value: Any, facts: RequestFacts) -> bool:
    path = re.split(r"[?#]", facts.path, maxsplit=1)[0]
    return not facts.tcp and _template(value["typed_config"]["path_template"]).fullmatch(path) is not None


@lru_cache(maxsize=512)
def _template(text: str) -> re.Pattern[str]:
    parts = [
        "[a-zA-Z0-9-._~%!$&'()+,;:@=]*" if part == "*" else ".*" if part == "**" else re.escape(part)
        for part in re.split(r"(\*\*|\*)", text)
    ]
    # A single star stands for one whole segment and never for an empty one.
    return re.compile("".join(part.replace("]*", "]+") if part.startswith("[a-z") else part for part in parts))


def _metadata(value: Any, facts: RequestFacts) -> bool:
    if value["filter"] != JWT_FILTER or facts.claims is None:
        return False
    found: Any = {JWT_PAYLOAD: facts.claims}
    for segment in value["path"]:
        if not isinstance(found, Mapping) or segment["key"] not in found:
            return False
        found = found[segment["key"]]
    return _value_matches(value["value"], found)


def _value_matches(matcher: Node, value: Any) -> bool:
    if "or_match" in matcher:
        return any(_value_matches(each, value) for each in matcher["or_match"]["value_matchers"])
    if "list_match" in matcher:
        return isinstance(value, list) and any(_value_matches(matcher["list_match"]["one_of"], item) for item in value)
    return isinstance(value, str) and string_matches(matcher["string_match"], value)


def string_matches(matcher: Node, value: str) -> bool:
    """A StringMatcher; case as it says."""
    if matcher.get("ignore_case"):
        matcher = {key: text.lower() if isinstance(text, str) else text for key, text in matcher.items()}
        value = value.lower()
    if "exact" in matcher:
        return bool(value == matcher["exact"])
    if "prefix" in matcher:
        return value.startswith(matcher["prefix"])
    if "suffix" in matcher:
        return value.endswith(matcher["suffix"])
    return re.fullmatch(matcher["safe_regex"]["regex"], value, re.DOTALL) is not None


def _in_range(matcher: Node, address: str) -> bool:
    network = ipaddress.ip_network(f"{matcher['address_prefix']}/{matcher['prefix_len']}", strict=False)
    own = ipaddress.ip_address(address)
    return own.version == network.version and own in network


def _authenticated(value: Any, facts: RequestFacts) -> bool:
    if not facts.principal:
        return False
    name = value.get("principal_name")
    return name is None or string_matches(name, facts.principal)


_KINDS = {
    "any": lambda value, facts: bool(value),
    "and_rules": _all,
    "and_ids": _all,
    "or_rules": _some,
    "or_ids": _some,
    "not_rule": lambda value, facts: not matches(value, facts),
    "not_id": lambda value, facts: not matches(value, facts),
    "header": _header,
    "url_path": _url_path,
    "uri_template": _uri_template,
    "metadata": _metadata,
    "destination_port": lambda value, facts: value == facts.destination_port,
    "destination_ip": lambda value, facts: _in_range(value, facts.destination_ip),
    "direct_remote_ip": lambda value, facts: _in_range(value, facts.direct_remote_ip),
    "remote_ip": lambda value, facts: _in_range(value, facts.remote_ip or facts.direct_remote_ip),
    "requested_server_name": lambda value, facts: string_matches(value, facts.sni),
    "authenticated": _authenticated,
}
