"""Takes the filters that security policies become out of listeners, to be delivered on their own.

A listener that changes drains its connections, and each of them still serves one request under the old policy; an
extension configuration changes under them. So every HTTP chain that policies can reach has a fixed row of places:
tokens, AUDIT, CUSTOM, DENY, ALLOW; one without a policy lets everything through.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.mesh.render import Resources
from labrunner.sandbox.mesh.security.authorization import HTTP_TYPE as RBAC_TYPE
from labrunner.sandbox.mesh.security.matchers import JWT_FILTER

Extensions = dict[str, dict[str, Any]]

RBAC_FILTER = "envoy.filters.http.rbac"
_HCM = "envoy.filters.network.http_connection_manager"
_JWT_TYPE = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
SLOTS = ("tokens", "audit", "custom", "deny", "allow")
_FIRST_AFTER = "envoy.filters.http.cors"


def extract(listeners: Resources) -> tuple[Resources, Extensions]:
    """Listeners that refer to extension configurations, and those."""
    found: Extensions = {}
    changed = {}
    for name, listener in listeners.items():
        proxy, _, own = name.partition("/")
        changed[name] = listener if own == "outbound" else _listener(proxy, listener, found)
    return changed, found


def _listener(proxy: str, listener: dict[str, Any], found: Extensions) -> dict[str, Any]:
    chains = [
        {**chain, "filters": [_network_filter(proxy, one, found) for one in chain["filters"]]}
        for chain in listener["filter_chains"]
    ]
    return {**listener, "filter_chains": chains}


def _network_filter(proxy: str, one: dict[str, Any], found: Extensions) -> dict[str, Any]:
    if one["name"] != _HCM:
        return one
    config = one["typed_config"]
    return {**one, "typed_config": {**config, "http_filters": _row(proxy, config["http_filters"], found)}}


def _row(proxy: str, filters: list[dict[str, Any]], found: Extensions) -> list[dict[str, Any]]:
    slots: dict[str, dict[str, Any]] = {}
    place: dict[int, str] = {}
    for index, one in enumerate(filters):
        slot = _slot(one, slots)
        if slot:
            slots[slot] = one["typed_config"]
            place[index] = slot
    row: list[dict[str, Any]] = []
    missing = [slot for slot in SLOTS if slot not in slots]
    inserted = False
    for index, one in enumerate(filters):
        slot = place.get(index, "")
        if not inserted and (slot or one["name"] == _FIRST_AFTER):
            # Those without a policy do nothing, wherever they stand.
            row += [_refer(proxy, empty, _nothing(empty), found) for empty in missing]
            inserted = True
        row.append(_refer(proxy, slot, slots[slot], found) if slot else one)
    return row


def _slot(one: dict[str, Any], taken: dict[str, dict[str, Any]]) -> str:
    if one["name"] == JWT_FILTER:
        return "tokens" if "tokens" not in taken else ""
    if one["name"] != RBAC_FILTER or "typed_config" not in one:
        return ""
    config = one["typed_config"]
    action = (config.get("rules") or config.get("shadow_rules") or {}).get("action", "ALLOW")
    wanted = {"LOG": ("audit",), "DENY": ("deny", "custom"), "ALLOW": ("allow",)}.get(action, ())
    return next((slot for slot in wanted if slot not in taken), "")


def _nothing(slot: str) -> dict[str, Any]:
    return {"@type": _JWT_TYPE if slot == "tokens" else RBAC_TYPE}


def _refer(proxy: str, slot: str, config: dict[str, Any], found: Extensions) -> dict[str, Any]:
    name = f"{proxy}/{slot}"
    number = 1
    while name in found and found[name] != config:
        number += 1
        name = f"{proxy}/{slot}#{number}"
    found[name] = config
    return {
        "name": name,
        "config_discovery": {
            "config_source": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "3s"},
            "type_urls": [config["@type"]],
        },
    }
