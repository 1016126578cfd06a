"""Nodes."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import UNKNOWN, Ages
from labrunner.sandbox.kube.printers.printer import (
    AGE,
    NAME,
    NONE,
    Column,
    Obj,
    Printer,
    at,
    condition_status,
    created,
    name_of,
)

_ROLE_PREFIX, _ROLE = "node-role.kubernetes.io/", "kubernetes.io/role"


def _status(node: Obj) -> str:
    ready = condition_status(node, "Ready")
    status = "Unknown" if not ready else "Ready" if ready == "True" else "NotReady"
    return f"{status},SchedulingDisabled" if at(node, "spec", "unschedulable") else status


def _roles(node: Obj) -> str:
    labels = at(node, "metadata", "labels", default={})
    roles = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)} | {labels.get(_ROLE, "")}
    return ",".join(sorted(roles - {""})) or NONE


def _address(node: Obj, kind: str) -> str:
    addresses = at(node, "status", "addresses", default=())
    return next((a.get("address", "") for a in addresses if a.get("type") == kind), NONE)


def _kernel(info: Obj) -> str:
    version, architecture = info.get("kernelVersion") or UNKNOWN, info.get("architecture")
    return f"{version} ({architecture})" if architecture else str(version)


def _cells(node: Obj, ages: Ages) -> list[Any]:
    info = at(node, "status", "nodeInfo", default={})
    return [
        name_of(node),
        _status(node),
        _roles(node),
        ages(created(node)),
        info.get("kubeletVersion", ""),
        _address(node, "InternalIP"),
        _address(node, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        _kernel(info),
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


PRINTERS = {
    "Node": Printer(
        (
            NAME,
            Column("Status", "The status of the node"),
            Column("Roles", "The roles of the node"),
            AGE,
            Column("Version", "@core.v1.NodeSystemInfo.kubeletVersion"),
            Column("Internal-IP", "@core.v1.NodeStatus.addresses", priority=1),
            Column("External-IP", "@core.v1.NodeStatus.addresses", priority=1),
            Column("OS-Image", "@core.v1.NodeSystemInfo.osImage", priority=1),
            Column("Kernel-Version", "@core.v1.NodeSystemInfo.kernelVersion", priority=1),
            Column("Container-Runtime", "@core.v1.NodeSystemInfo.containerRuntimeVersion", priority=1),
        ),
        _cells,
    ),
}
