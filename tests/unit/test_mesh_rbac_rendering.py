"""AuthorizationPolicies as Envoy RBAC: the meaning istiod's own authorization builder gives each field.

Expected are the conditions in words (`path = /a`), so that only the meaning counts: compared with the golden
configurations of pilot/pkg/security/authz/builder/testdata of istio/istio, with inputs of our own.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from labrunner.sandbox.mesh.security.authorization import rbac_filters
from labrunner.sandbox.mesh.security.rule import InvalidRule, RuleContext, render

NS = "depot"


def _text(matcher: dict[str, Any]) -> str:
    for key, sign in (("exact", "="), ("prefix", "^="), ("suffix", "$=")):
        if key in matcher:
            return f"{sign} {matcher[key]}"
    return f"~ {matcher['safe_regex']['regex']}"


def _value(matcher: dict[str, Any]) -> str:
    if "or_match" in matcher:
        return " or ".join(_value(one) for one in matcher["or_match"]["value_matchers"])
    if "list_match" in matcher:
        return f"has {_value(matcher['list_match']['one_of'])}"
    return _text(matcher["string_match"])


def said(node: dict[str, Any]) -> str:
    """A permission or principal in words."""
    [(key, value)] = node.items()
    if key in ("and_rules", "and_ids", "or_rules", "or_ids"):
        parts = [said(one) for one in value[key[-5:] if key.endswith("rules") else "ids"]]
        word = " and " if key.startswith("and") else " or "
        return parts[0] if len(parts) == 1 else f"({word.join(parts)})"
    if key in ("not_rule", "not_id"):
        return f"not {said(value)}"
    if key == "header":
        name = value["name"]
        return f"{name} there" if value.get("present_match") else f"{name} {_text(value['string_match'])}"
    if key == "metadata":
        return f"{'.'.join(part['key'] for part in value['path'])} {_value(value['value'])}"
    if key == "uri_template":
        return f"path like {value['typed_config']['path_template']}"
    if key in ("direct_remote_ip", "remote_ip", "destination_ip"):
        return f"{key} in {value['address_prefix']}/{value['prefix_len']}"
    if key == "authenticated":
        return f"peer {_text(value['principal_name'])}"
    if key == "url_path":
        return f"path {_text(value['path'])}"
    if key == "requested_server_name":
        return f"sni {_text(value)}"
    return f"port = {value}" if key == "destination_port" else "any"


def meaning(rule: str, *, tcp: bool = False, allow: bool = True) -> tuple[str, str]:
    """(permissions, principals) of a rule, alternatives joined by `|`."""
    found = render(yaml.safe_load(rule), RuleContext(NS, tcp=tcp, allow=allow))
    return " | ".join(map(said, found["permissions"])), " | ".join(map(said, found["principals"]))


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("{paths: [/a, /b/*, '*/c', '*']}", "(path = /a or path ^= /b/ or path $= /c or path ~ .+)"),
        ("{paths: ['/t/{*}/x', '/{**}']}", "(path like /t/*/x or path like /**)"),
        ("{notPaths: [/a]}", "not path = /a"),
        ("{methods: [GET, 'P*', '*']}", "(:method = GET or :method ^= P or :method there)"),
        ("{hosts: [a.io, '*.b.io', 'c.*', '*']}",
         "(:authority = a.io or :authority $= .b.io or :authority ^= c. or :authority there)"),
        ("{notHosts: [a.io]}", "not :authority = a.io"),
        ("{ports: ['80', '90'], notPorts: ['91']}", "((port = 80 or port = 90) and not port = 91)"),
        ("{hosts: [a.io], methods: [GET], paths: [/a], ports: ['80']}",
         "(:authority = a.io and :method = GET and path = /a and port = 80)"),
    ],
)  # fmt: skip
def test_an_operation(operation: str, words: str) -> None:
    assert meaning(f"{{to: [{{operation: {operation}}}]}}") == (words, "any")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{principals: [td/ns/a/sa/b, 'td/*', '*/sa/b', '*']}",
         r"(peer = spiffe://td/ns/a/sa/b or peer ^= spiffe://td/ or peer ~ spiffe://.*/sa/b or peer ~ .+)"),
        ("{notPrincipals: [td/ns/a/sa/b]}", "not peer = spiffe://td/ns/a/sa/b"),
        ("{namespaces: [a, 'b-*', '*-c']}",
         "(peer ~ .*/ns/a/.* or peer ~ .*/ns/b-.*/.* or peer ~ .*/ns/.*-c/.*)"),
        ("{serviceAccounts: [web, other/web]}",
         "(peer ~ spiffe://.+/ns/depot/(.+/|)sa/web(/.+)? or peer ~ spiffe://.+/ns/other/(.+/|)sa/web(/.+)?)"),
        ("{ipBlocks: [10.1.0.0/16, 10.2.3.4]}",
         "(direct_remote_ip in 10.1.0.0/16 or direct_remote_ip in 10.2.3.4/32)"),
        ("{notIpBlocks: [10.1.0.0/16]}", "not direct_remote_ip in 10.1.0.0/16"),
        ("{remoteIpBlocks: [10.1.0.0/16], notRemoteIpBlocks: ['10.1.2.3']}",
         "(remote_ip in 10.1.0.0/16 and not remote_ip in 10.1.2.3/32)"),
        ("{requestPrincipals: ['*']}", "(payload.iss ~ .+ and payload.sub ~ .+)"),
        ("{requestPrincipals: ['https://i/x/ann']}", "(payload.iss = https://i/x and payload.sub = ann)"),
        ("{requestPrincipals: ['i/*']}", "(payload.iss = i and payload.sub ~ .+)"),
        ("{requestPrincipals: ['i/an*']}", "(payload.iss = i and payload.sub ^= an)"),
        ("{requestPrincipals: ['*/ann']}", "(payload.iss ~ .+ and payload.sub = ann)"),
        ("{requestPrincipals: ['*i/ann']}", "(payload.iss $= i and payload.sub = ann)"),
        ("{requestPrincipals: ['*nn']}", "(payload.iss ~ .+ and payload.sub $= nn)"),
        ("{requestPrincipals: ['is*']}", "(payload.iss ^= is and payload.sub ~ .+)"),
        ("{requestPrincipals: [lone]}", "(payload.iss = lone and payload.sub = )"),
    ],
)  # fmt: skip
def test_a_source(source: str, words: str) -> None:
    assert meaning(f"{{from: [{{source: {source}}}]}}") == ("any", words)


@pytest.mark.parametrize(
    ("when", "permission", "principal"),
    [
        ("{key: source.ip, values: [10.0.0.1]}", "any", "direct_remote_ip in 10.0.0.1/32"),
        ("{key: remote.ip, notValues: [10.0.0.0/8]}", "any", "not remote_ip in 10.0.0.0/8"),
        ("{key: destination.ip, values: [10.0.0.1]}", "destination_ip in 10.0.0.1/32", "any"),
        ("{key: destination.port, values: ['80'], notValues: ['90']}", "(port = 80 and not port = 90)", "any"),
        ("{key: connection.sni, values: ['*.a.io']}", "sni $= .a.io", "any"),
        ("{key: source.namespace, values: [a]}", "any", "peer ~ .*/ns/a/.*"),
        ("{key: source.principal, values: [td/x]}", "any", "peer = spiffe://td/x"),
        ("{key: 'request.headers[x-A]', values: [v, 'w*', '*']}", "any", "(x-A = v or x-A ^= w or x-A there)"),
        ("{key: request.auth.principal, values: [i/s]}", "any", "(payload.iss = i and payload.sub = s)"),
        ("{key: request.auth.audiences, values: [a]}", "any", "payload.aud = a or has = a"),
        ("{key: request.auth.presenter, values: [a]}", "any", "payload.azp = a or has = a"),
        ("{key: 'request.auth.claims[x][y]', notValues: [a]}", "any", "not payload.x.y = a or has = a"),
        ("{key: 'experimental.envoy.filters.a.b[c]', values: ['[v]', w]}", "(c has = v or c = w)", "any"),
    ],
)  # fmt: skip
def test_a_condition(when: str, permission: str, principal: str) -> None:
    assert meaning(f"{{when: [{when}]}}") == (permission, principal)


def test_items_are_alternatives_and_conditions_join_each_of_them() -> None:
    permissions, principals = meaning("""
from: [{source: {namespaces: [a], principals: [td/p]}}, {source: {namespaces: [b]}}]
to: [{operation: {methods: [GET]}}, {operation: {ports: ["80"]}}]
when: [{key: source.ip, values: [10.0.0.1]}, {key: destination.port, values: ["90"]}]
""")
    ip = "direct_remote_ip in 10.0.0.1/32"
    assert principals == f"(peer = spiffe://td/p and peer ~ .*/ns/a/.* and {ip}) | (peer ~ .*/ns/b/.* and {ip})"
    assert permissions == "(:method = GET and port = 90) | (port = 80 and port = 90)"


def _policy(spec: str, name: str = "p", **annotations: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": NS, "annotations": annotations}
    return {"metadata": meta, "spec": yaml.safe_load(spec)}


def _rules(policies: list[dict[str, Any]], transport: Any = "http") -> dict[str, dict[str, str]]:
    """Envoy's action -> rule name -> permissions in words."""
    found: dict[str, dict[str, str]] = {}
    for one in rbac_filters(policies, transport):
        config = one["typed_config"]
        for key in ("rules", "shadow_rules"):
            if key in config:
                rules = {n: " | ".join(map(said, p["permissions"])) for n, p in config[key]["policies"].items()}
                found[f"{'shadow ' if key == 'shadow_rules' else ''}{config[key]['action']}"] = rules
    return found


def test_an_http_field_voids_an_allow_rule_on_tcp_and_widens_a_deny_rule() -> None:
    rules = """
rules:
- to: [{operation: {methods: [GET], ports: ["80"]}}]
- to: [{operation: {ports: ["90"]}}]
- to: [{operation: {paths: [/a]}}]
"""
    name = f"ns[{NS}]-policy[p]-rule"
    assert _rules([_policy(f"{rules}action: ALLOW")], "tcp") == {"ALLOW": {f"{name}[1]": "port = 90"}}
    assert _rules([_policy(f"{rules}action: DENY")], "tcp") == {
        "DENY": {f"{name}[0]": "port = 80", f"{name}[1]": "port = 90", f"{name}[2]": "any"}
    }


def test_no_rules_match_nothing_and_an_empty_rule_everything() -> None:
    name = f"ns[{NS}]-policy[p]-rule[0]"
    assert _rules([_policy("{}")]) == {"ALLOW": {name: "not any"}}
    assert _rules([_policy("{action: DENY, rules: [{}]}")]) == {"DENY": {name: "any"}}


def test_actions_come_in_istiods_order_and_dry_runs_only_watch() -> None:
    policies = [
        _policy("{action: ALLOW, rules: [{to: [{operation: {paths: [/a]}}]}]}", "allow"),
        _policy("{action: AUDIT, rules: [{}]}", "audit"),
        _policy("{action: DENY, rules: [{to: [{operation: {paths: [/d]}}]}]}", "deny"),
        _policy("{action: DENY, rules: [{}]}", "watch", **{"istio.io/dry-run": "true"}),
        _policy("{action: CUSTOM, provider: {name: x}, rules: [{}]}", "custom"),
    ]
    filters = rbac_filters(policies, "http")
    assert [(one["typed_config"].get("rules") or {}).get("action") for one in filters] == [
        "LOG", "DENY", "DENY", "ALLOW",
    ]  # fmt: skip
    deny = filters[2]["typed_config"]
    assert list(deny["rules"]["policies"]) == [f"ns[{NS}]-policy[deny]-rule[0]"]
    assert list(deny["shadow_rules"]["policies"]) == [f"ns[{NS}]-policy[watch]-rule[0]"]
    assert deny["shadow_rules_stat_prefix"] == "istio_dry_run_deny_"


def test_a_condition_that_does_not_exist_is_no_rule() -> None:
    with pytest.raises(InvalidRule):
        meaning("{when: [{key: request.unknown, values: [x]}]}")
