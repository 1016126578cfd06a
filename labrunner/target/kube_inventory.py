"""Which objects of a cluster nobody made by hand: left out when `validate` looks for what a lab left behind."""

from __future__ import annotations

from typing import Any, Final

_NOISE_KINDS: Final = frozenset(
    {
        "Event", "Endpoints", "EndpointSlice", "Lease", "ControllerRevision", "PodMetrics", "NodeMetrics",
        "ComponentStatus", "APIService", "FlowSchema", "PriorityLevelConfiguration", "CSINode", "Node", "IPAddress",
        "ServiceCIDR", "StorageVersion",
    }
)  # fmt: skip
"""Kinds that the control plane writes by itself, all the time."""
_NOISE_NAMES: Final = frozenset(
    {
        ("ServiceAccount", "default"),
        ("ConfigMap", "kube-root-ca.crt"),
        ("ConfigMap", "istio-ca-root-cert"),
    }
)
"""Made in every namespace as soon as it exists."""


def is_noise(kind: str, obj: dict[str, Any]) -> bool:
    """Whether the control plane made this: by kind, by name, or because a controller owns it."""
    metadata = obj.get("metadata") or {}
    if kind in _NOISE_KINDS or (kind, metadata.get("name")) in _NOISE_NAMES:
        return True
    if kind == "Secret" and obj.get("type") == "kubernetes.io/service-account-token":
        return True
    return any(owner.get("controller") for owner in metadata.get("ownerReferences") or ())
