"""AuthorizationPolicies that apply to a workload, as Envoy RBAC filters in istiod's order.

AUDIT first, then CUSTOM, then DENY, then ALLOW. A rule's name (`ns[..]-policy[..]-rule[..]`) is what Envoy reports as
the policy that matched. Source: pilot/pkg/security/authz/builder and pilot/pkg/model/authorization.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from labrunner.sandbox.mesh.model import Config, Workload, World
from labrunner.sandbox.mesh.security.rule import NEVER, HttpOnly, InvalidRule, RuleContext, render
from labrunner.sandbox.workload.addresses import AddressPlan

Filter = dict[str, Any]
Transport = Literal["http", "tcp"]

HTTP_TYPE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
_TCP_TYPE = "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC"
_DRY_RUN = "istio.io/dry-run"
_ENVOY_ACTION = {"AUDIT": "LOG", "CUSTOM": "DENY", "DENY": "DENY", "ALLOW": "ALLOW"}
_SHADOW_PREFIX = {"ALLOW": "istio_dry_run_allow_", "DENY": "istio_dry_run_deny_"}


def policies_for(world: World, workload: Workload) -> list[Config]:
    """The policies that select this workload: the root namespace's, then its own namespace's; oldest first."""
    namespaces = dict.fromkeys((world.mesh.root_namespace, workload.namespace))
    return [
        policy
        for namespace in namespaces
        for policy in world.of("AuthorizationPolicy", namespace)
        if selects(policy, workload)
    ]


def selects(policy: Config, workload: Workload) -> bool:
    """Whether its selector picks the workload. Policies with targetRefs are for waypoints and Gateway API gateways."""
    spec = policy.get("spec") or {}
    if spec.get("targetRefs") or spec.get("targetRef"):
        return False
    wanted: Mapping[str, str] = (spec.get("selector") or {}).get("matchLabels") or {}
    return all(workload.labels.get(key) == value for key, value in wanted.items())


def rbac_filters(
    policies: list[Config],
    transport: Transport,
    *,
    trust_domain: str = "cluster.local",
    addresses: AddressPlan | None = None,
) -> list[Filter]:
    """Filters for one filter chain; empty when no policy applies. No extension provider is ever configured here, so a
    CUSTOM policy denies what it selects, as istiod has it when the provider is missing."""
    filters = []
    for action in ("AUDIT", "CUSTOM", "DENY", "ALLOW"):
        chosen = [p for p in policies if (p.get("spec") or {}).get("action", "ALLOW") == action]
        enforced = [p for p in chosen if not is_dry_run(p)]
        shadowed = [p for p in chosen if is_dry_run(p)]
        if not chosen:
            continue
        config: dict[str, Any] = {"@type": HTTP_TYPE if transport == "http" else _TCP_TYPE}
        envoy_action = _ENVOY_ACTION[action]
        for key, members in (("rules", enforced), ("shadow_rules", shadowed)):
            if members:
                rendered = _render(members, action, transport, trust_domain, addresses)
                config[key] = {"action": envoy_action, "policies": rendered}
        if shadowed and envoy_action in _SHADOW_PREFIX:
            config["shadow_rules_stat_prefix"] = _SHADOW_PREFIX[envoy_action]
        if transport == "tcp":
            config["stat_prefix"] = "tcp."
        filters.append(
            {"name": f"envoy.filters.{'http' if transport == 'http' else 'network'}.rbac", "typed_config": config}
        )
    return filters


def rule_name(policy: Config, index: int) -> str:
    """As it appears in Envoy's response code details."""
    meta = policy["metadata"]
    return f"ns[{meta.get('namespace', '')}]-policy[{meta['name']}]-rule[{index}]"


def _render(
    policies: list[Config], action: str, transport: Transport, trust_domain: str, addresses: AddressPlan | None
) -> dict[str, Any]:
    rendered: dict[str, Any] = {}
    for policy in policies:
        context = RuleContext(
            namespace=policy["metadata"].get("namespace", ""),
            tcp=transport == "tcp",
            allow=action == "ALLOW",
            trust_domain=trust_domain,
            addresses=addresses,
        )
        rules = (policy.get("spec") or {}).get("rules") or []
        for index, rule in enumerate(rules):
            try:
                rendered[rule_name(policy, index)] = render(rule or {}, context)
            except (HttpOnly, InvalidRule):
                # What cannot be evaluated allows nothing; `analyze` tells the user.
                continue
        if not rules:
            rendered[rule_name(policy, 0)] = NEVER
    return rendered


def is_dry_run(policy: Config) -> bool:
    """Whether it is only tried: nothing is refused because of it."""
    value = (policy["metadata"].get("annotations") or {}).get(_DRY_RUN, "")
    return value.lower() in ("1", "t", "true")
