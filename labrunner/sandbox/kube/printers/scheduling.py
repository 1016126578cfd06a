"""PriorityClasses and RuntimeClasses."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import AGE, NAME, Column, Obj, Printer, created, name_of


def _priority_class(obj: Obj, ages: Ages) -> list[Any]:
    return [
        name_of(obj),
        obj.get("value", 0),
        bool(obj.get("globalDefault")),
        ages(created(obj)),
        obj.get("preemptionPolicy") or "",
    ]


def _runtime_class(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), obj.get("handler", ""), ages(created(obj))]


_PRIORITY = "@scheduling.v1.PriorityClass"
PRINTERS = {
    "scheduling.k8s.io/PriorityClass": Printer(
        (
            NAME,
            Column("Value", f"{_PRIORITY}.value", type="integer"),
            Column("Global-Default", f"{_PRIORITY}.globalDefault", type="boolean"),
            AGE,
            Column("PreemptionPolicy", f"{_PRIORITY}.preemptionPolicy"),
        ),
        _priority_class,
    ),
    "node.k8s.io/RuntimeClass": Printer((NAME, Column("Handler"), AGE), _runtime_class),
}
