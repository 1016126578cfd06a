"""One rule of an AuthorizationPolicy as an Envoy RBAC policy: permissions (`to`) and principals (`from`), ANDed.

Source: pilot/pkg/security/authz/model and the AuthorizationPolicy reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.mesh.security import matchers
from labrunner.sandbox.workload.addresses import AddressPlan, real_port

Policy = dict[str, Any]
Node = dict[str, Any]

SPIFFE = "spiffe://"


class HttpOnly(Exception):
    """The field needs HTTP, and this is a TCP filter chain."""


class InvalidRule(Exception):
    """The rule cannot be rendered (an unknown condition key, a malformed address); istiod skips such a rule."""


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What rendering a rule depends on besides the rule."""

    namespace: str
    """Of the policy: the default for `serviceAccounts`."""
    tcp: bool
    allow: bool
    """ALLOW drops a rule that a TCP chain cannot evaluate; DENY and AUDIT only drop the field."""
    trust_domain: str = "cluster.local"
    addresses: AddressPlan | None = None
    """Where pod addresses and low ports really are; None: as written."""


Generate = Callable[[str, RuleContext], list[Node]]
"""One value -> the nodes of which one must hold."""


@dataclass(frozen=True, slots=True)
class _Condition:
    generate: Callable[[list[str], RuleContext], list[Node]]
    values: list[str]
    not_values: list[str]


def render(rule: dict[str, Any], context: RuleContext) -> Policy:
    """Raises HttpOnly (ALLOW on TCP only) or InvalidRule."""
    base_permissions: list[_Condition] = []
    base_principals: list[_Condition] = []
    for when in rule.get("when") or ():
        is_permission, generate = _attribute(when.get("key", ""))
        condition = _Condition(generate, list(when.get("values") or ()), list(when.get("notValues") or ()))
        (base_permissions if is_permission else base_principals).append(condition)
    principals = [
        _section(source.get("source") or {}, _SOURCE) + base_principals for source in rule.get("from") or ()
    ] or [base_principals]
    permissions = [
        _section(target.get("operation") or {}, _OPERATION) + base_permissions for target in rule.get("to") or ()
    ] or [base_permissions]
    return {
        "permissions": [_conjunction(conditions, context, "rules") for conditions in permissions],
        "principals": [_conjunction(conditions, context, "ids") for conditions in principals],
    }


NEVER: Policy = {"permissions": [{"not_rule": {"any": True}}], "principals": [{"not_id": {"any": True}}]}
"""What a policy without rules becomes."""


def _section(
    fields: dict[str, Any], table: dict[str, Callable[[list[str], RuleContext], list[Node]]]
) -> list[_Condition]:
    found = []
    for name, generate in table.items():
        negated = "not" + name[0].upper() + name[1:]
        values, not_values = list(fields.get(name) or ()), list(fields.get(negated) or ())
        if values or not_values:
            found.append(_Condition(generate, values, not_values))
    return found


def _conjunction(conditions: list[_Condition], context: RuleContext, word: str) -> Node:
    """`word`: `rules` makes a permission, `ids` a principal."""
    parts: list[Node] = []
    for condition in conditions:
        for values, negated in ((condition.values, False), (condition.not_values, True)):
            if not values:
                continue
            try:
                nodes = condition.generate(values, context)
            except HttpOnly:
                if context.allow:
                    raise
                continue
            except ValueError as error:
                if context.allow:
                    raise InvalidRule(str(error)) from error
                continue
            alternative = {f"or_{word}": {word: nodes}}
            parts.append({"not_rule" if word == "rules" else "not_id": alternative} if negated else alternative)
    return {f"and_{word}": {word: parts or [{"any": True}]}}


def _http(each: Callable[[str, RuleContext], Node]) -> Callable[[list[str], RuleContext], list[Node]]:
    def generate(values: list[str], context: RuleContext) -> list[Node]:
        if context.tcp:
            raise HttpOnly
        return [each(value, context) for value in values]

    return generate


def _every(each: Callable[[str, RuleContext], Node]) -> Callable[[list[str], RuleContext], list[Node]]:
    return lambda values, context: [each(value, context) for value in values]


# permissions


def _path(value: str, context: RuleContext) -> Node:
    if "{*}" in value or "{**}" in value:
        template = value.replace("{*}", "*").replace("{**}", "**")
        config = {
            "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
            "path_template": template,
        }
        return {"uri_template": {"name": "uri-template", "typed_config": config}}
    return {"url_path": {"path": matchers.string(value)}}


def _port(value: str, context: RuleContext) -> Node:
    port = int(value)
    if not 0 <= port <= 65535:
        raise ValueError(f"port {value} is out of range")
    return {"destination_port": real_port(port) if context.addresses else port}


def _cidrs(key: str) -> Callable[[list[str], RuleContext], list[Node]]:
    def generate(values: list[str], context: RuleContext) -> list[Node]:
        found = [r for v in values for r in (context.addresses.real_cidrs(v) if context.addresses else [v])]
        return [{key: matchers.cidr(value)} for value in found]

    return generate


def _filter_metadata(key: str) -> Callable[[list[str], RuleContext], list[Node]]:
    name, _, rest = key.removeprefix("experimental.").removesuffix("]").partition("[")
    if not rest:
        raise InvalidRule(f"invalid key: {key}")
    return _every(lambda value, _: {"metadata": matchers.metadata(name, rest, value)})


# principals


def _authenticated(matcher: dict[str, Any]) -> Node:
    return {"authenticated": {"principal_name": matcher}}


def _principal(value: str, context: RuleContext) -> Node:
    if value.startswith("cluster.local/") and context.trust_domain != "cluster.local":
        value = context.trust_domain + value.removeprefix("cluster.local")
    return _authenticated(matchers.string_with_prefix(value, SPIFFE))


def _namespace(value: str, context: RuleContext) -> Node:
    return _authenticated(matchers.regex(f".*/ns/{value.replace('*', '.*')}/.*"))


def _service_account(value: str, context: RuleContext) -> Node:
    namespace, slash, name = value.partition("/")
    if not slash:
        namespace, name = context.namespace, value
    return _authenticated(matchers.regex(f"{SPIFFE}.+/ns/{namespace}/(.+/|)sa/{name}(/.+)?"))


def _request_principal(value: str, context: RuleContext) -> Node:
    """`issuer/subject`; the issuer may itself hold slashes."""
    anything = matchers.regex(".+")
    issuer, slash, subject = value.rpartition("/")
    if not slash:
        issuer, subject = value, ""
    if value == "*":
        issuer_matcher, subject_matcher = anything, anything
    elif value.startswith("*") and slash:
        issuer_matcher = anything if issuer == "*" else {"suffix": issuer[1:]}
        subject_matcher = {"exact": subject}
    elif value.startswith("*"):
        issuer_matcher, subject_matcher = anything, {"suffix": value[1:]}
    elif value.endswith("*") and slash:
        issuer_matcher = {"exact": issuer}
        subject_matcher = anything if subject == "*" else {"prefix": subject[:-1]}
    elif value.endswith("*"):
        issuer_matcher, subject_matcher = {"prefix": value[:-1]}, anything
    else:
        issuer_matcher, subject_matcher = {"exact": issuer}, {"exact": subject}
    both = [
        {"metadata": matchers.claim(["iss"], {"string_match": issuer_matcher})},
        {"metadata": matchers.claim(["sub"], {"string_match": subject_matcher})},
    ]
    return {"and_ids": {"ids": both}}


def _claims(path: list[str]) -> Callable[[list[str], RuleContext], list[Node]]:
    def generate(values: list[str], context: RuleContext) -> list[Node]:
        if context.tcp:
            raise HttpOnly
        return [{"metadata": matchers.claim(path, matchers.any_of_strings(values))}]

    return generate


_OPERATION: dict[str, Callable[[list[str], RuleContext], list[Node]]] = {
    "hosts": _http(lambda value, _: {"header": matchers.host(value)}),
    "methods": _http(lambda value, _: {"header": matchers.header(":method", value)}),
    "paths": _http(_path),
    "ports": _every(_port),
}
_SOURCE: dict[str, Callable[[list[str], RuleContext], list[Node]]] = {
    "principals": _every(_principal),
    "requestPrincipals": _http(_request_principal),
    "serviceAccounts": _every(_service_account),
    "namespaces": _every(_namespace),
    "remoteIpBlocks": _cidrs("remote_ip"),
    "ipBlocks": _cidrs("direct_remote_ip"),
}


def _attribute(key: str) -> tuple[bool, Callable[[list[str], RuleContext], list[Node]]]:
    """(is a permission, generator) of a condition key. Raises InvalidRule for one that does not exist."""
    simple: dict[str, tuple[bool, Callable[[list[str], RuleContext], list[Node]]]] = {
        "destination.ip": (True, _cidrs("destination_ip")),
        "destination.port": (True, _every(_port)),
        "connection.sni": (True, _every(lambda value, _: {"requested_server_name": matchers.string(value)})),
        "source.ip": (False, _cidrs("direct_remote_ip")),
        "remote.ip": (False, _cidrs("remote_ip")),
        "source.namespace": (False, _every(_namespace)),
        "source.serviceAccount": (False, _every(_service_account)),
        "source.principal": (False, _every(_principal)),
        "request.auth.principal": (False, _http(_request_principal)),
        "request.auth.audiences": (False, _claims(["aud"])),
        "request.auth.presenter": (False, _claims(["azp"])),
    }
    if key in simple:
        return simple[key]
    if key.startswith("experimental.envoy.filters."):
        return True, _filter_metadata(key)
    if found := re.fullmatch(r"request\.headers\[(.+)\]", key):
        name = found[1]
        return False, _http(lambda value, _: {"header": matchers.header(name, value)})
    if found := re.fullmatch(r"request\.auth\.claims((?:\[[^\]]+\])+)", key):
        return False, _claims(re.findall(r"\[([^\]]+)\]", found[1]))
    raise InvalidRule(f"unknown attribute {key}")


def source_generators() -> dict[str, Callable[[list[str], RuleContext], list[Node]]]:
    """Field of `from.source` -> what renders its values; the negated fields (`notPaths`) use the same."""
    return _SOURCE


def operation_generators() -> dict[str, Callable[[list[str], RuleContext], list[Node]]]:
    """Field of `to.operation` -> what renders its values."""
    return _OPERATION


def attribute_generator(key: str) -> Callable[[list[str], RuleContext], list[Node]]:
    """What renders the values of a condition key. Raises InvalidRule for one that does not exist."""
    return _attribute(key)[1]
