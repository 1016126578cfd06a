"""The Table of a list of objects: the one place where every kind's printer is registered.

Source: k8s.io/kubernetes/pkg/printers/internalversion/printers.go, and for kinds without a printer
k8s.io/apiserver/pkg/registry/rest/table.go.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from labrunner.sandbox.kube.printers import (
    admission,
    autoscaling,
    batch,
    certificates,
    config,
    coordination,
    device,
    event,
    flowcontrol,
    namespace,
    network,
    node,
    pod,
    policy,
    rbac,
    scheduling,
    service,
    storage,
    workload,
)
from labrunner.sandbox.kube.printers.custom import custom_printer
from labrunner.sandbox.kube.printers.duration import Ages, epoch
from labrunner.sandbox.kube.printers.printer import NAME, Column, Obj, Printer, created, name_of

IncludeObject = Literal["Metadata", "Object", "None"]

_MODULES = (
    admission, autoscaling, batch, certificates, config, coordination, device, event, flowcontrol, namespace, network,
    node, pod, policy, rbac, scheduling, service, storage, workload,
)  # fmt: skip
PRINTERS: dict[str, Printer] = {kind: printer for module in _MODULES for kind, printer in module.PRINTERS.items()}
"""By `Kind.id`: `Pod`, `apps/Deployment`."""


def _default_cells(obj: Obj, ages: Ages) -> list[Any]:
    moment = epoch(created(obj) or "")
    if moment is None:
        return [name_of(obj), "0001-01-01T00:00:00Z"]
    return [name_of(obj), datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")]


DEFAULT = Printer((NAME, Column("Created At", "@meta.v1.ObjectMeta.creationTimestamp", type="date")), _default_cells)
"""Kinds without a printer: Role, LimitRange, CustomResourceDefinition ..."""


def printer_for(kind: str, columns: Sequence[Mapping[str, Any]] | None = None) -> Printer:
    """`columns`: for a custom kind, its version's additionalPrinterColumns (may be empty); None for a built-in one."""
    return PRINTERS.get(kind, DEFAULT) if columns is None else custom_printer(columns)


def table(
    kind: str,
    version: str,
    objects: Iterable[Obj],
    *,
    now: float,
    include_object: IncludeObject = "Metadata",
    metadata: Mapping[str, Any] | None = None,
    columns: Sequence[Mapping[str, Any]] | None = None,
    headers: bool = True,
) -> dict[str, Any]:
    """A meta.k8s.io/v1 Table.

    `kind` is `Kind.id`; `version` is the served version the objects are in (printing does not depend on it, but for
    HorizontalPodAutoscaler, which is read in v1 and v2 alike). `now`: seconds since the epoch. `metadata`: the list's
    resourceVersion, continue and remainingItemCount, or a single object's resourceVersion. `columns`: see
    `printer_for`. `headers` False leaves the column definitions out, as for all but the first event of a watch.
    """
    printer = printer_for(kind, columns)
    ages = Ages(now)
    listed = sorted(objects, key=printer.order) if printer.order else objects
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(metadata or {}),
        "columnDefinitions": definitions(printer) if headers else None,
        "rows": [_row(printer, obj, ages, include_object) for obj in listed],
    }


def _row(printer: Printer, obj: Obj, ages: Ages, include: IncludeObject) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": printer.cells(obj, ages)}
    if printer.conditions and (conditions := printer.conditions(obj)):
        row["conditions"] = conditions
    if include == "Object":
        row["object"] = obj
    elif include == "Metadata":
        meta = obj.get("metadata", {})
        row["object"] = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
    else:
        row["object"] = None
    return row


def definitions(printer: Printer) -> list[dict[str, Any]]:
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": _description(column.doc),
            "priority": column.priority,
        }
        for column in printer.columns
    ]


def _description(doc: str) -> str:
    return _descriptions().get(doc[1:], "") if doc.startswith("@") else doc


@cache
def _descriptions() -> dict[str, str]:
    """Descriptions of the fields that columns show. Made by tools/generate_printer_descriptions.py."""
    path = Path(__file__).parent.parent / "data" / "printer-descriptions.json"
    found: dict[str, str] = json.loads(path.read_text())["descriptions"]
    return found
