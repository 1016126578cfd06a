"""What istiod's webhook refuses, in its words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.request import AdmissionRequest, Options, User
from labrunner.sandbox.kube.status import ApiError
from labrunner.sandbox.mesh.validation.gateway import gateway
from labrunner.sandbox.mesh.validation.security import authorization_policy, request_authentication
from labrunner.sandbox.mesh.validation.virtual_service import virtual_service
from labrunner.sandbox.mesh.validation.webhook import validate

Check = Callable[[dict[str, Any]], Iterator[str]]


def errors(check: Check, spec: str) -> list[str]:
    return list(check({"metadata": {"name": "p", "namespace": "ns"}, "spec": yaml.safe_load(spec)}))


@pytest.mark.parametrize(
    "spec",
    [
        "{}",
        "{rules: [{}]}",
        "{action: DENY, rules: [{from: [{source: {notPrincipals: ['*']}}]}]}",
        "{rules: [{to: [{operation: {paths: ['/a/{*}/b', '/c/{**}', '/d/*']}}]}]}",
        "{rules: [{when: [{key: 'request.headers[x]', values: ['*']}, {key: destination.port, values: ['80']}]}]}",
        "{rules: [{from: [{source: {ipBlocks: [10.0.0.0/8, 10.1.2.3]}}]}]}",
        "{action: CUSTOM, provider: {name: x}, rules: [{to: [{operation: {ports: ['80']}}]}]}",
    ],
)
def test_policies_that_are_sound(spec: str) -> None:
    assert errors(authorization_policy, spec) == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("{action: DENY}", "DENY action without `rules` is meaningless"),
        ("{action: CUSTOM, rules: [{}]}", "`provider.name` must not be empty"),
        ("{provider: {name: x}, rules: [{}]}", "`provider` must not be with non CUSTOM action, found ALLOW"),
        ("{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {notNamespaces: [a]}}]}]}",
         "From.NotNamespaces is currently not supported with CUSTOM action"),
        ("{rules: [{}, {from: []}]}", "`from` must not be empty, found at rule 1"),
        ("{rules: [{from: [{}]}]}", "`from.source` must not be nil, found at rule 0"),
        ("{rules: [{from: [{source: {}}]}]}", "`from.source` must not be empty, found at rule 0"),
        ("{rules: [{to: [{operation: {}}]}]}", "`to.operation` must not be empty, found at rule 0"),
        ("{rules: [{to: [{operation: {methods: ['']}}]}]}", "empty value not allowed, found in Methods"),
        ("{rules: [{to: [{operation: {ports: ['70000']}}]}]}", "invalid port 70000"),
        ("{rules: [{to: [{operation: {paths: ['/a/{*}b']}}]}]}", "Contains '{' or '}' beyond a supported path"),
        ("{rules: [{to: [{operation: {paths: ['/a/{*}/*']}}]}]}", "Contains '*' beyond a supported path template"),
        ("{rules: [{to: [{operation: {paths: ['/{**}/a/{*}']}}]}]}", "{**} is not the last operator"),
        ("{rules: [{from: [{source: {ipBlocks: [10.0.0]}}]}]}", "bad IP address (10.0.0)"),
        ("{rules: [{from: [{source: {principals: [a], serviceAccounts: [b]}}]}]}",
         "cannot set serviceAccounts with namespaces or principals, found at rule 0"),
        ("{rules: [{when: [{key: request.headers, values: [a]}]}]}", "bad key (request.headers)"),
        ("{rules: [{when: [{key: request.unknown, values: [a]}]}]}",
         "invalid `value` for `key` request.unknown: unknown attribute: request.unknown"),
        ("{rules: [{when: [{key: source.ip}]}]}", "at least one of `values` or `notValues` must be set for key source"),
    ],
)  # fmt: skip
def test_policies_that_are_refused(spec: str, words: str) -> None:
    found = errors(authorization_policy, spec)
    assert found[0].startswith("invalid policy p.ns: ")
    assert any(words in error for error in found), found


@pytest.mark.parametrize(
    ("check", "spec", "words"),
    [
        (request_authentication, "{jwtRules: [{jwks: '{}'}]}", "issuer or jwksUri must be non-empty string"),
        (request_authentication, "{jwtRules: [{issuer: i, jwks: 'no'}]}", "jwks parse error"),
        (request_authentication, "{jwtRules: [{issuer: i, outputClaimToHeaders: [{claim: a, header: 'x y'}]}]}",
         "header name x y is not a valid header name"),
        (gateway, "{}", "gateway must have at least one server"),
        (gateway, "{servers: [{port: {number: 443, name: a, protocol: HTTPS}, hosts: ['*']}]}",
         "server must have TLS settings for HTTPS/TLS protocols"),
        (gateway, "{servers: [{port: {number: 443, name: a, protocol: HTTPS}, tls: {mode: SIMPLE}, hosts: ['*']}]}",
         "SIMPLE TLS requires a server certificate"),
        (gateway, "{servers: [{port: {number: 80, name: a, protocol: HTTP}, tls: {mode: SIMPLE, credentialName: c},"
         " hosts: ['*']}]}", "server cannot have TLS settings for plain text HTTP ports"),
        (gateway, "{servers: [{port: {number: 80, protocol: HTTP}, hosts: ['*']}]}", "port name must be set"),
        (gateway, "{servers: [{port: {number: 80, name: a, protocol: HTP}, hosts: ['*']}]}", 'invalid protocol "HTP"'),
        (gateway, "{servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*']},"
         " {port: {number: 81, name: a, protocol: HTTP}, hosts: ['*']}]}", "duplicate name a"),
        (virtual_service, "{hosts: [a]}", "http, tcp or tls must be provided in virtual service"),
        (virtual_service, "{hosts: ['*'], http: [{redirect: {uri: /}}]}", "wildcard host * is not allowed"),
        (virtual_service, "{hosts: ['*.a.io', b.a.io], http: [{redirect: {uri: /}}]}", "duplicate hosts"),
        (virtual_service, "{hosts: [a], http: [{timeout: 1s}]}", "HTTP route, redirect or direct_response is required"),
        (virtual_service, "{hosts: [a], http: [{redirect: {uri: /}, rewrite: {uri: /}}]}",
         "HTTP route rule cannot contain both rewrite and redirect"),
        (virtual_service, "{hosts: [a], http: [{route: [{destination: {host: a}}, {destination: {host: b}}]}]}",
         "total destination weight = 0"),
        (virtual_service, "{hosts: [a], http: [{match: [{headers: {'@request.auth.claims.x': {exact: y}}}],"
         " directResponse: {status: 200}}]}", "JWT claim based routing (key: @request.auth.claims.x) is only"),
        (virtual_service, "{hosts: [a], tls: [{match: [{sniHosts: [b]}], route: [{destination: {host: a}}]}]}",
         'SNI host "b" is not a compatible subset'),
        (virtual_service, "{gateways: [g], http: [{redirect: {uri: /}}]}", "must have no gateways specified"),
    ],
)  # fmt: skip
def test_other_objects_that_are_refused(check: Check, spec: str, words: str) -> None:
    assert any(words in error for error in errors(check, spec)), errors(check, spec)


def _admit(spec: str, old: dict[str, Any] | None = None) -> None:
    kind = Kind("security.istio.io", "AuthorizationPolicy", "authorizationpolicies", ("v1",))
    request = AdmissionRequest("UPDATE" if old else "CREATE", kind, "ns", "p", "", Options(User("jane", ())))
    validate(None, request, {"metadata": {"name": "p", "namespace": "ns"}, "spec": yaml.safe_load(spec)}, old)  # type: ignore[arg-type]


def test_the_api_server_tells_which_webhook_said_what() -> None:
    with pytest.raises(ApiError) as refused:
        _admit("{action: DENY}")
    assert (refused.value.code, refused.value.message.partition(" DENY ")[0]) == (
        400,
        'admission webhook "validation.istio.io" denied the request: configuration is invalid: invalid policy p.ns:',
    )
    with pytest.raises(ApiError) as refused:
        _admit("{rules: [{from: [], to: []}]}")
    assert "2 errors occurred:\n\t* invalid policy p.ns: `from` must" in refused.value.message


def test_what_is_there_already_may_stay_as_it_is() -> None:
    _admit("{action: DENY}", {"spec": {"action": "DENY"}})
