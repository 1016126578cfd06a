"""FlowSchemas (listed by precedence) and PriorityLevelConfigurations."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
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


def _flow_schema(obj: Obj, ages: Ages) -> list[Any]:
    return [
        name_of(obj),
        at(obj, "spec", "priorityLevelConfiguration", "name", default=""),
        at(obj, "spec", "matchingPrecedence", default=0),
        at(obj, "spec", "distinguisherMethod", "type", default=NONE),
        ages(created(obj)),
        condition_status(obj, "Dangling") or "?",
    ]


def _precedence(obj: Obj) -> tuple[int, str]:
    return at(obj, "spec", "matchingPrecedence", default=0), name_of(obj)


def _priority_level(obj: Obj, ages: Ages) -> list[Any]:
    limited = at(obj, "spec", "limited")
    queuing = at(limited, "limitResponse", "queuing")
    return [
        name_of(obj),
        at(obj, "spec", "type", default=""),
        NONE if limited is None else limited.get("nominalConcurrencyShares", 0),
        *(NONE if queuing is None else queuing.get(field, 0) for field in ("queues", "handSize", "queueLengthLimit")),
        ages(created(obj)),
    ]


_FLOW, _QUEUING = "@flowcontrol.v1.FlowSchemaSpec", "@flowcontrol.v1.QueuingConfiguration"
PRINTERS = {
    "flowcontrol.apiserver.k8s.io/FlowSchema": Printer(
        (
            NAME,
            Column("PriorityLevel", "@flowcontrol.v1.PriorityLevelConfigurationReference.name"),
            Column("MatchingPrecedence", f"{_FLOW}.matchingPrecedence"),
            Column("DistinguisherMethod", f"{_FLOW}.distinguisherMethod"),
            AGE,
            Column("MissingPL", "references a broken or non-existent PriorityLevelConfiguration"),
        ),
        _flow_schema,
        order=_precedence,
    ),
    "flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration": Printer(
        (
            NAME,
            Column("Type", "@flowcontrol.v1.PriorityLevelConfigurationSpec.type"),
            Column(
                "NominalConcurrencyShares",
                "@flowcontrol.v1.LimitedPriorityLevelConfiguration.nominalConcurrencyShares",
            ),
            Column("Queues", f"{_QUEUING}.queues"),
            Column("HandSize", f"{_QUEUING}.handSize"),
            Column("QueueLengthLimit", f"{_QUEUING}.queueLengthLimit"),
            AGE,
        ),
        _priority_level,
    ),
}
