"""What the rendered jwt_authn filter makes of a request: refused and why, or the claims that later filters see.

Source: source/extensions/filters/http/jwt_authn of Envoy (authenticator.cc, verifier.cc, extractor.cc).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs

from labrunner.sandbox.mesh.explain.request import RequestFacts

_SKEW = 60
"""Seconds by which Envoy lets clocks differ."""
_MISSED = "Jwt is missing"
_UNKNOWN_ISSUER = "Jwt issuer is not configured"
_AUDIENCE = "Audiences in Jwt are not allowed"
_DEFAULT_HEADERS = ({"name": "authorization", "value_prefix": "Bearer "},)
_DEFAULT_PARAMS = ("access_token",)
_TOKEN = re.compile(r"[A-Za-z0-9\-_.]+")


@dataclass(frozen=True, slots=True)
class TokenOutcome:
    """`refused`: Envoy's words for why it answers 401 or 403; empty when the request goes on, as `facts` then is."""

    refused: str
    facts: RequestFacts

    @property
    def status(self) -> int:
        """What the client gets; 0 when the request goes on."""
        return 0 if not self.refused else 403 if self.refused == _AUDIENCE else 401


@dataclass(frozen=True, slots=True)
class _Result:
    status: str
    """Empty: verified."""
    facts: RequestFacts | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    providers: frozenset[str] = field(default_factory=frozenset)
    """Those that look for tokens where this one was."""
    header: str = ""


def authenticate(jwt_filter: Mapping[str, Any] | None, facts: RequestFacts, now: float | None = None) -> TokenOutcome:
    """`jwt_filter`: as `request_authentication.jwt_filter` renders it; None where no rule applies."""
    if jwt_filter is None:
        return TokenOutcome("", facts)
    config = jwt_filter["typed_config"]
    if config.get("bypass_cors_preflight") and _preflight(facts):
        return TokenOutcome("", facts)
    result = _require(config["rules"][0]["requires"], config["providers"], facts, time.time() if now is None else now)
    return TokenOutcome(result.status, result.facts or facts)


def _preflight(facts: RequestFacts) -> bool:
    return (
        facts.method == "OPTIONS"
        and bool(facts.header("origin"))
        and bool(facts.header("access-control-request-method"))
    )


def _require(requirement: Mapping[str, Any], providers: Mapping[str, Any], facts: RequestFacts, now: float) -> _Result:
    if "provider_name" in requirement:
        return _verify([requirement["provider_name"]], providers, facts, now, allow_missing=False)
    if "requires_all" in requirement:
        for each in requirement["requires_all"]["requirements"]:
            result = _require(each, providers, facts, now)
            if result.status:
                return result
            facts = result.facts or facts
        return _Result("", facts)
    members = requirement["requires_any"]["requirements"]
    # A by-pass looks only where the providers beside it look.
    beside = [each["provider_name"] for each in members if "provider_name" in each]
    status = _MISSED
    for each in members:
        if "allow_missing" in each:
            result = _verify(beside, providers, facts, now, allow_missing=True)
        else:
            result = _require(each, providers, facts, now)
        if not result.status:
            return result
        # What is wrong with a token says more than that it is another provider's.
        if result.status not in (_MISSED, _UNKNOWN_ISSUER) or status == _MISSED:
            status = result.status
    return _Result(status)


def _verify(
    names: list[str], providers: Mapping[str, Any], facts: RequestFacts, now: float, *, allow_missing: bool
) -> _Result:
    tokens = _extract({name: providers[name] for name in names}, facts)
    if not tokens:
        return _Result("", facts) if allow_missing else _Result(_MISSED)
    status = ""
    for token in tokens:
        # Without a provider of its own, a by-pass takes any provider that has the token's issuer.
        candidates = providers if allow_missing else {names[0]: providers[names[0]]}
        status, claims, provider = _check(token, candidates, now)
        if status and not allow_missing:
            return _Result(status)
        if not status:
            facts = _passed_on(facts, claims, provider, token)
    return _Result(status, facts)


def _extract(providers: Mapping[str, Any], facts: RequestFacts) -> list[_Token]:
    headers: dict[tuple[str, str], set[str]] = {}
    params: dict[str, set[str]] = {}
    cookies: dict[str, set[str]] = {}
    for name, provider in providers.items():
        places = [provider.get(key) for key in ("from_headers", "from_params", "from_cookies")]
        own_headers, own_params, own_cookies = places if any(places) else (_DEFAULT_HEADERS, _DEFAULT_PARAMS, ())
        for each in own_headers or ():
            headers.setdefault((each["name"].lower(), each.get("value_prefix", "")), set()).add(name)
        for each in own_params or ():
            params.setdefault(each, set()).add(name)
        for each in own_cookies or ():
            cookies.setdefault(each, set()).add(name)
    found = []
    for (header, prefix), owners in sorted(headers.items()):
        value = facts.header(header)
        if value is None or prefix not in value:
            continue
        text = value[value.index(prefix) + len(prefix) :]
        match = _TOKEN.search(text) if prefix else None
        found.append(_Token(match[0] if match else text, frozenset(owners), header))
    query = parse_qs(facts.path.partition("?")[2], keep_blank_values=True)
    for name, owners in sorted(params.items()):
        if query.get(name):
            found.append(_Token(query[name][0], frozenset(owners)))
    jar = dict(part.strip().partition("=")[::2] for part in (facts.header("cookie") or "").split(";") if "=" in part)
    for name, owners in sorted(cookies.items()):
        if name in jar:
            found.append(_Token(jar[name], frozenset(owners)))
    return found


def _check(token: _Token, providers: Mapping[str, Any], now: float) -> tuple[str, dict[str, Any], Mapping[str, Any]]:
    try:
        head, claims, signed, signature = parse(token.text)
    except ValueError:
        return "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections", {}, {}
    issuer = claims.get("iss", "")
    named = next(((n, p) for n, p in providers.items() if p["issuer"] in ("", issuer)), None)
    if named is None or named[0] not in token.providers:
        return _UNKNOWN_ISSUER, {}, {}
    provider = named[1]
    if now < _number(claims.get("nbf")) - _SKEW:
        return "Jwt not yet valid", {}, {}
    if "exp" in claims and now > _number(claims["exp"]) + _SKEW:
        return "Jwt is expired", {}, {}
    allowed = {_audience(each) for each in provider.get("audiences") or ()}
    held = claims.get("aud", [])
    if allowed and not allowed & {_audience(each) for each in ([held] if isinstance(held, str) else held)}:
        return _AUDIENCE, {}, {}
    if not _signed_by(provider["local_jwks"]["inline_string"], head, signed, signature):
        return "Jwt verification fails", {}, {}
    return "", claims, provider


def parse(text: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """(header, claims, what is signed, signature) of a compact JWT. Raises ValueError."""
    parts = text.split(".")
    if len(parts) != 3:
        raise ValueError("a JWT has three parts")
    try:
        head, claims = (json.loads(_decode(part)) for part in parts[:2])
        signature = _decode(parts[2])
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(head, dict) or not isinstance(claims, dict) or "alg" not in head:
        raise ValueError("header and claims are JSON objects")
    return head, claims, f"{parts[0]}.{parts[1]}".encode(), signature


def _decode(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _audience(value: Any) -> str:
    return re.sub(r"^https?://", "", str(value)).removesuffix("/")


def _signed_by(jwks: str, head: Mapping[str, Any], signed: bytes, signature: bytes) -> bool:
    try:
        keys = json.loads(jwks).get("keys", [])
    except (ValueError, AttributeError):
        return False
    candidates = [k for k in keys if not (head.get("kid") and k.get("kid")) or k["kid"] == head["kid"]]
    return any(_verifies(key, str(head["alg"]), signed, signature) for key in candidates)


def _verifies(key: Mapping[str, Any], algorithm: str, signed: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

    def number(name: str) -> int:
        return int.from_bytes(_decode(key[name]), "big")

    digests: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
    digest = digests.get(algorithm[2:])
    if digest is None or key.get("alg", algorithm) != algorithm:
        return False
    try:
        if algorithm.startswith("RS") and key.get("kty") == "RSA":
            public = rsa.RSAPublicNumbers(number("e"), number("n")).public_key()
            public.verify(signature, signed, padding.PKCS1v15(), digest)
        elif algorithm.startswith("ES") and key.get("kty") == "EC":
            curves: dict[str, ec.EllipticCurve] = {
                "P-256": ec.SECP256R1(),
                "P-384": ec.SECP384R1(),
                "P-521": ec.SECP521R1(),
            }
            curve = curves[key["crv"]]
            half = len(signature) // 2
            pair = (int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
            point = ec.EllipticCurvePublicNumbers(number("x"), number("y"), curve).public_key()
            point.verify(utils.encode_dss_signature(*pair), signed, ec.ECDSA(digest))
        else:
            return False
    except (InvalidSignature, ValueError, KeyError):
        return False
    return True


def _passed_on(facts: RequestFacts, claims: dict[str, Any], provider: Mapping[str, Any], token: _Token) -> RequestFacts:
    """The request as it goes on: claims known, the token taken out unless forwarded, headers made of claims."""
    spaced = provider.get("normalize_payload_in_metadata", {}).get("space_delimited_claims", ())
    known = {k: v.split() if k in spaced and isinstance(v, str) else v for k, v in claims.items()}
    headers = dict(facts.headers)
    if token.header and not provider.get("forward"):
        headers.pop(token.header, None)
    for each in provider.get("claim_to_headers") or ():
        value: Any = claims
        for part in each["claim_name"].split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, bool):
            headers[each["header_name"].lower()] = "true" if value else "false"
        elif isinstance(value, str | int | float):
            headers[each["header_name"].lower()] = str(value)
    if provider.get("forward_payload_header"):
        headers[provider["forward_payload_header"].lower()] = token.text.split(".")[1]
    return replace(facts, claims=known, headers=headers)
