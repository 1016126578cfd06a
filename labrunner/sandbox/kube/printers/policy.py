"""PodDisruptionBudgets."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import AGE, NAME, Column, Obj, Printer, at, created, name_of


def _cells(obj: Obj, ages: Ages) -> list[Any]:
    return [
        name_of(obj),
        str(at(obj, "spec", "minAvailable", default="N/A")),
        str(at(obj, "spec", "maxUnavailable", default="N/A")),
        at(obj, "status", "disruptionsAllowed", default=0),
        ages(created(obj)),
    ]


PRINTERS = {
    "policy/PodDisruptionBudget": Printer(
        (
            NAME,
            Column("Min Available", "The minimum number of pods that must be available."),
            Column("Max Unavailable", "The maximum number of pods that may be unavailable."),
            Column(
                "Allowed Disruptions",
                "Calculated number of pods that may be disrupted at this time.",
                type="integer",
            ),
            AGE,
        ),
        _cells,
    ),
}
