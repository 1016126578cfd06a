"""ConfigMaps, Secrets, ServiceAccounts, ResourceQuotas and ComponentStatuses."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import AGE, NAME, Column, Obj, Printer, at, created, name_of, quantity


def _config_map(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), ages(created(obj))]


def _secret(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), obj.get("type", ""), len(obj.get("data") or ()), ages(created(obj))]


def _service_account(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), ages(created(obj))]


def _resource_quota(obj: Obj, ages: Ages) -> list[Any]:
    hard, used = at(obj, "status", "hard", default={}), at(obj, "status", "used", default={})
    requests: list[str] = []
    limits: list[str] = []
    for name in sorted(hard):
        column = limits if name.startswith("limits.") else requests
        column.append(f"{name}: {quantity(used.get(name))}/{quantity(hard[name])}")
    return [name_of(obj), ", ".join(requests), ", ".join(limits), ages(created(obj))]


def _component_status(obj: Obj, ages: Ages) -> list[Any]:
    for condition in obj.get("conditions") or ():
        if condition.get("type") == "Healthy":
            healthy = "Healthy" if condition.get("status") == "True" else "Unhealthy"
            return [name_of(obj), healthy, condition.get("message", ""), condition.get("error", "")]
    return [name_of(obj), "Unknown", "", ""]


PRINTERS = {
    "ConfigMap": Printer((NAME, Column("Data", "@core.v1.ConfigMap.data"), AGE), _config_map),
    "Secret": Printer(
        (NAME, Column("Type", "@core.v1.Secret.type"), Column("Data", "@core.v1.Secret.data"), AGE), _secret
    ),
    "ServiceAccount": Printer((NAME, AGE), _service_account),
    "ResourceQuota": Printer(
        (
            NAME,
            Column("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
            Column(
                "Limit",
                "Limits control the maximum amount of cpu/memory that a container may use independent of contention "
                "on the node.",
            ),
            AGE,
        ),
        _resource_quota,
    ),
    "ComponentStatus": Printer(
        (
            NAME,
            Column("Status", "Status of the component conditions"),
            Column("Message", "Message of the component conditions"),
            Column("Error", "Error of the component conditions"),
        ),
        _component_status,
    ),
}
