"""Explanations name the rule, the field, what it wants and what there is; paths and tokens are as Envoy sees them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from labrunner.sandbox.mesh.explain.authorization import explain
from labrunner.sandbox.mesh.explain.observed import http_facts
from labrunner.sandbox.mesh.explain.path import normalised
from labrunner.sandbox.mesh.explain.request import RequestFacts
from labrunner.sandbox.mesh.explain.token import authenticate
from labrunner.sandbox.mesh.security.request_authentication import jwt_filter

SLEEP = "spiffe://cluster.local/ns/foo/sa/sleep"
NOW = 1_700_000_000


def policy(rules: list[Any] | None, action: str = "ALLOW", name: str = "p") -> dict[str, Any]:
    spec: dict[str, Any] = {"action": action} | ({} if rules is None else {"rules": rules})
    return {"kind": "AuthorizationPolicy", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def test_the_nearest_rules_field_says_what_it_wants_and_what_the_request_has() -> None:
    rules = [
        {
            "from": [{"source": {"principals": ["cluster.local/ns/foo/sa/frontend"]}}],
            "to": [{"operation": {"methods": ["GET"]}}],
        }
    ]
    found = explain([policy(rules)], RequestFacts(principal=SLEEP, method="GET"))
    assert not found.verdict.allowed
    (report,) = found.rules
    (miss,) = report.misses
    assert miss.field == "rules[0].from[0].source.principals"
    assert miss.wants == "cluster.local/ns/foo/sa/frontend"
    assert miss.has == "cluster.local/ns/foo/sa/sleep"
    assert "shop/p" in found.summary
    assert miss.field in found.summary


def test_from_and_to_as_two_rules_let_the_wrong_caller_in_and_the_second_rule_is_named() -> None:
    rules = [
        {"from": [{"source": {"namespaces": ["frontend"]}}]},
        {"to": [{"operation": {"methods": ["GET"]}}]},
    ]
    found = explain([policy(rules)], RequestFacts(principal=SLEEP, method="GET"))
    assert found.verdict.allowed
    assert found.summary == "allowed by shop/p rules[1]"


def test_a_deny_policy_is_named_before_any_allow() -> None:
    policies = [
        policy([{}], name="open"),
        policy([{"to": [{"operation": {"paths": ["/admin*"]}}]}], "DENY", "no-admin"),
    ]
    found = explain(policies, RequestFacts(path="/admin/users"))
    assert found.summary == "denied by shop/no-admin rules[0] (DENY)"


def test_a_policy_without_rules_is_said_to_allow_nothing() -> None:
    assert "shop/p allows nothing" in explain([policy(None)], RequestFacts()).summary


def test_http_fields_never_match_a_tcp_connection_in_allow_and_are_ignored_in_deny() -> None:
    rules = [{"to": [{"operation": {"methods": ["GET"]}}]}]
    facts = RequestFacts(tcp=True)
    allow = explain([policy(rules)], facts)
    assert not allow.verdict.allowed
    assert "HTTP fields never match" in allow.rules[0].misses[0].has
    assert not explain([policy(rules, "DENY")], facts).verdict.allowed


def test_a_plaintext_caller_is_told_that_it_has_no_identity() -> None:
    found = explain([policy([{"from": [{"source": {"namespaces": ["foo"]}}]}])], RequestFacts())
    assert "not mutual TLS" in found.rules[0].misses[0].has


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("/info/../admin", "/admin"),
        ("/./info", "/info"),
        ("/%61dmin", "/admin"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a\\b", "/a/b"),
        ("/..", "/"),
        ("//admin", "//admin"),
        ("/info/.", "/info/"),
        ("/x?y=/../z", "/x?y=/../z"),
    ],
)
def test_paths_are_normalised_as_envoy_does(sent: str, seen: str) -> None:
    assert normalised(sent) == seen


def test_the_last_forwarded_address_is_the_remote_one() -> None:
    def remote(header: str) -> str:
        headers = {"X-Forwarded-For": header}
        where = ("127.1.0.2", 8080)
        facts = http_facts(
            method="GET", path="/", authority="web", headers=headers, direct_remote_ip="127.1.0.1", destination=where
        )
        return facts.remote_ip

    assert remote("203.0.113.9, 10.1.1.1") == "10.1.1.1"
    assert remote("nonsense") == "127.1.0.1"


# tokens


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(key: rsa.RSAPrivateKey, **claims: Any) -> str:
    text = f"{b64(json.dumps({'alg': 'RS256'}).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{text}.{b64(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def jwt(key: rsa.RSAPrivateKey, **rule: Any) -> dict[str, Any] | None:
    numbers = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "n": b64(numbers.n.to_bytes(256, "big")), "e": b64(b"\x01\x00\x01")}
    rule = {"issuer": "me", "jwks": json.dumps({"keys": [jwk]}), **rule}
    return jwt_filter([{"spec": {"jwtRules": [rule]}}])


def bearer(text: str) -> RequestFacts:
    return RequestFacts(headers={"authorization": f"Bearer {text}"})


def test_a_good_tokens_claims_are_known_and_the_token_goes_no_further(key: rsa.RSAPrivateKey) -> None:
    found = authenticate(jwt(key), bearer(token(key, iss="me", sub="alice", scope="read write")), NOW)
    assert found.status == 0
    assert found.facts.claims is not None
    assert found.facts.claims["scope"] == ["read", "write"]
    assert found.facts.header("authorization") is None


def test_without_a_token_the_request_passes_without_claims(key: rsa.RSAPrivateKey) -> None:
    found = authenticate(jwt(key), RequestFacts(), NOW)
    assert found.status == 0
    assert found.facts.claims is None


def test_bad_tokens_are_refused_with_envoys_status(key: rsa.RSAPrivateKey) -> None:
    stranger = rsa.generate_private_key(65537, 2048)
    cases = [
        (token(stranger, iss="me"), 401),
        (token(key, iss="you"), 401),
        (token(key, iss="me", exp=NOW - 3600), 401),
        (token(key, iss="me", nbf=NOW + 3600), 401),
        ("garbage", 401),
    ]
    for text, status in cases:
        assert authenticate(jwt(key), bearer(text), NOW).status == status
    wrong_audience = authenticate(jwt(key, audiences=["api"]), bearer(token(key, iss="me", aud="web")), NOW)
    assert wrong_audience.status == 403
