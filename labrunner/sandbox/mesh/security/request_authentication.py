"""RequestAuthentications that apply to a workload, as one Envoy jwt_authn filter.

A request without a token passes, one with a token that fails is refused; what must be there an AuthorizationPolicy
says. Keys come inline (`jwks`); `jwksUri` would need a request to somewhere else and is reported as unsupported.
Source: pilot/pkg/security/authn/policy_applier.go (convertToEnvoyJwtConfig).
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.mesh.model import Config, Workload, World
from labrunner.sandbox.mesh.security.authorization import selects
from labrunner.sandbox.mesh.security.matchers import JWT_FILTER, JWT_PAYLOAD

_NO_KEYS = '{"keys":[]}'
"""Refuses every token of that issuer, as istiod does when keys cannot be fetched."""


def requests_for(world: World, workload: Workload) -> list[Config]:
    namespaces = dict.fromkeys((world.mesh.root_namespace, workload.namespace))
    return [p for ns in namespaces for p in world.of("RequestAuthentication", ns) if selects(p, workload)]


def jwt_filter(policies: list[Config], *, clear_routes: bool = False) -> dict[str, Any] | None:
    """None when no rule applies. `clear_routes`: routes are chosen again after a token has been read."""
    rules = [rule for policy in policies for rule in (policy.get("spec") or {}).get("jwtRules") or ()]
    # A longer issuer is no more specific; istiod sorts so that equal inputs give equal configuration.
    rules.sort(key=lambda rule: str(rule.get("issuer", "")))
    if not rules:
        return None
    providers = {f"origins-{index}": _provider(rule, clear_routes) for index, rule in enumerate(rules)}
    alone: list[dict[str, Any]] = [{"provider_name": name} for name in providers]
    tolerant = [{"requires_any": {"requirements": [one, {"allow_missing": {}}]}} for one in alone]
    if len(tolerant) == 1:
        requires = tolerant[0]
    else:
        # One good token is enough whatever else there is; without a token of theirs, all providers are content.
        requires = {"requires_any": {"requirements": [*alone, {"requires_all": {"requirements": tolerant}}]}}
    return {
        "name": JWT_FILTER,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": providers,
            "rules": [{"match": {"prefix": "/"}, "requires": requires}],
            "bypass_cors_preflight": True,
        },
    }


def _provider(rule: dict[str, Any], clear_routes: bool) -> dict[str, Any]:
    provider: dict[str, Any] = {
        "issuer": rule.get("issuer", ""),
        "local_jwks": {"inline_string": rule.get("jwks") or _NO_KEYS},
        "forward": bool(rule.get("forwardOriginalToken")),
        "payload_in_metadata": JWT_PAYLOAD,
        "normalize_payload_in_metadata": {
            "space_delimited_claims": ["scope", "permission", *(rule.get("spaceDelimitedClaims") or ())]
        },
    }
    if clear_routes:
        provider["clear_route_cache"] = True
    if rule.get("audiences"):
        provider["audiences"] = list(rule["audiences"])
    if rule.get("outputPayloadToHeader"):
        provider["forward_payload_header"] = rule["outputPayloadToHeader"]
    if rule.get("fromHeaders"):
        provider["from_headers"] = [
            {"name": h["name"], **({"value_prefix": h["prefix"]} if h.get("prefix") else {})}
            for h in rule["fromHeaders"]
        ]
    if rule.get("fromParams"):
        provider["from_params"] = list(rule["fromParams"])
    if rule.get("fromCookies"):
        provider["from_cookies"] = list(rule["fromCookies"])
    if rule.get("outputClaimToHeaders"):
        provider["claim_to_headers"] = [
            {"header_name": c["header"], "claim_name": c["claim"]} for c in rule["outputClaimToHeaders"]
        ]
    return provider
