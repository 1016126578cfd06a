"""What an object costs against a ResourceQuota, and which quotas it falls under.

Source: pkg/quota/v1/evaluator/core (pods, services, persistent_volume_claims) and the generic object counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.schema.quantity import Quantity, parse

Usage = dict[str, Quantity]

ONE = parse("1")
_COUNTED = {
    "Pod": "pods",
    "Service": "services",
    "Secret": "secrets",
    "ConfigMap": "configmaps",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "ReplicationController": "replicationcontrollers",
    "ResourceQuota": "resourcequotas",
}
_COMPUTE = ("cpu", "memory", "ephemeral-storage")


def usage(kind: Kind, obj: Obj) -> Usage:
    """By quota resource name. A pod that has ended costs nothing."""
    if kind.id == "Pod" and (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return {f"count/{kind.resource}": ONE}
    used: Usage = {f"count/{kind.resource}": ONE}
    if kind.id in _COUNTED:
        used[_COUNTED[kind.id]] = ONE
    spec = obj.get("spec") or {}
    match kind.id:
        case "Pod":
            used |= _pod(spec)
        case "Service":
            used |= _service(spec)
        case "PersistentVolumeClaim":
            storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
            if storage is not None:
                used["requests.storage"] = parse(storage)
            if name := spec.get("storageClassName"):
                prefix = f"{name}.storageclass.storage.k8s.io"
                used[f"{prefix}/persistentvolumeclaims"] = ONE
                if storage is not None:
                    used[f"{prefix}/requests.storage"] = parse(storage)
    return used


def add(one: Mapping[str, Quantity], other: Mapping[str, Quantity], sign: int = 1) -> Usage:
    """The sum (or, with sign -1, the difference) by name."""
    total = dict(one)
    for name, quantity in other.items():
        have = total.get(name)
        value = (have.value if have else 0) + sign * quantity.value
        total[name] = Quantity(value, have.format if have and have.value else quantity.format)
    return total


def in_scope(quota: Obj, kind: Kind, obj: Obj) -> bool:
    """Whether the quota's scopes select this object; scopes only ever select pods (and claims, by priority no)."""
    spec = quota.get("spec") or {}
    selector = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    scopes = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()] + list(selector)
    if not scopes:
        return True
    return kind.id == "Pod" and all(_matches(scope, obj) for scope in scopes)


def unspecified(spec: dict[str, Any], limited: Iterable[str]) -> dict[str, list[str]]:
    """Quota resource -> the containers that must name it and do not."""
    missing: dict[str, list[str]] = {}
    for name in limited:
        field, resource = _place(name)
        if not field:
            continue
        for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
            if resource not in ((container.get("resources") or {}).get(field) or {}):
                missing.setdefault(name, []).append(container["name"])
    return missing


def _place(name: str) -> tuple[str, str]:
    """`limits.cpu` -> (limits, cpu); `memory` -> (requests, memory); others -> ("", "")."""
    if name in _COMPUTE:
        return "requests", name
    prefix, _, resource = name.partition(".")
    return (prefix, resource) if prefix in ("requests", "limits") and resource in _COMPUTE else ("", "")


def _pod(spec: dict[str, Any]) -> Usage:
    used: Usage = {}
    for field in ("requests", "limits"):
        total: Usage = {}
        for container in spec.get("containers") or ():
            total = add(total, _quantities(container, field))
        for container in spec.get("initContainers") or ():
            for name, quantity in _quantities(container, field).items():
                total[name] = max(total.get(name, quantity), quantity, key=lambda q: q.value)
        for name, quantity in total.items():
            used[f"{field}.{name}"] = quantity
            if field == "requests" and name in _COMPUTE:
                used[name] = quantity
    return used


def _quantities(container: dict[str, Any], field: str) -> Usage:
    return {name: parse(str(text)) for name, text in ((container.get("resources") or {}).get(field) or {}).items()}


def _service(spec: dict[str, Any]) -> Usage:
    ports = parse(str(len(spec.get("ports") or ())))
    match spec.get("type"):
        case "NodePort":
            return {"services.nodeports": ports}
        case "LoadBalancer":
            return {"services.loadbalancers": ONE, "services.nodeports": ports}
    return {}


def _matches(scope: dict[str, Any], pod: Obj) -> bool:
    spec = pod.get("spec") or {}
    match scope["scopeName"]:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return _best_effort(spec)
        case "NotBestEffort":
            return not _best_effort(spec)
        case "PriorityClass":
            name = spec.get("priorityClassName", "")
            match scope.get("operator"):
                case "In":
                    return name in (scope.get("values") or ())
                case "NotIn":
                    return name not in (scope.get("values") or ())
                case "Exists":
                    return bool(name)
                case "DoesNotExist":
                    return not name
    return False


def _best_effort(spec: dict[str, Any]) -> bool:
    return not any(
        (container.get("resources") or {}).get(field)
        for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        for field in ("requests", "limits")
    )
