"""Dynamic resource allocation: DeviceClasses, ResourceClaims, their templates, and ResourceSlices."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import AGE, NAME, Column, Obj, Printer, at, created, deleting, name_of


def _named(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), ages(created(obj))]


def _state(obj: Obj) -> str:
    states = ["deleted"] if deleting(obj) else []
    if at(obj, "status", "allocation") is None:
        states += [] if states else ["pending"]
    else:
        states += ["allocated", "reserved"] if at(obj, "status", "reservedFor") else ["allocated"]
    return ",".join(states)


def _claim(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), _state(obj), ages(created(obj))]


def _slice(obj: Obj, ages: Ages) -> list[Any]:
    spec = at(obj, "spec", default={})
    pool = at(spec, "pool", "name", default="")
    return [name_of(obj), spec.get("nodeName") or "", spec.get("driver", ""), pool, ages(created(obj))]


_NAMED = Printer((NAME, AGE), _named)
_SLICE = "@resource.v1.ResourceSliceSpec"
PRINTERS = {
    "resource.k8s.io/DeviceClass": _NAMED,
    "resource.k8s.io/ResourceClaimTemplate": _NAMED,
    "resource.k8s.io/ResourceClaim": Printer(
        (NAME, Column("State", "A summary of the current state (allocated, pending, reserved, etc.)."), AGE), _claim
    ),
    "resource.k8s.io/ResourceSlice": Printer(
        (
            NAME,
            Column("Node", f"{_SLICE}.nodeName"),
            Column("Driver", f"{_SLICE}.driver"),
            Column("Pool", "@resource.v1.ResourcePool.name"),
            AGE,
        ),
        _slice,
    ),
}
