"""HorizontalPodAutoscalers (v1 and v2) and Scales."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from labrunner.sandbox.kube.printers.duration import UNKNOWN, Ages
from labrunner.sandbox.kube.printers.printer import (
    AGE,
    NAME,
    NONE,
    UNSET,
    Column,
    Obj,
    Printer,
    at,
    created,
    name_of,
    quantity,
)

_SHOWN = 2
_SOURCES = {
    "External": "external",
    "Pods": "pods",
    "Object": "object",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}


def _metric(spec: Obj, status: Obj | None) -> str:
    """`current/target` of one metric, `cpu: 12%/50%` for resources."""
    kind = spec.get("type", "")
    source = _SOURCES.get(kind)
    if source is None:
        return "<unknown type>"
    metric, target = at(spec, source, default={}), at(spec, source, "target", default={})
    seen = at(status, source, "current")
    average = target.get("averageValue")
    if kind in ("Resource", "ContainerResource"):
        name = metric.get("name", "")
        if average is not None:
            return f"{name}: {UNKNOWN if seen is None else quantity(seen.get('averageValue'))}/{average}"
        used, wanted = at(seen, "averageUtilization"), target.get("averageUtilization")
        current = UNKNOWN if used is None else f"{used}%"
        return f"{name}: {current}/{'<auto>' if wanted is None else f'{wanted}%'}"
    if kind == "Pods":
        return f"{UNKNOWN if seen is None else quantity(seen.get('averageValue'))}/{quantity(average)}"
    if average is not None:
        return f"{at(seen, 'averageValue', default=UNKNOWN)}/{average} (avg)"
    return f"{UNKNOWN if seen is None else quantity(seen.get('value'))}/{quantity(target.get('value'))}"


def _v1_metrics(obj: Obj) -> tuple[list[Obj], list[Obj]]:
    """What a v1 object says about metrics, in the form of v2; the rest of them is in annotations."""
    annotations = at(obj, "metadata", "annotations", default={})
    specs, statuses = (
        _listed(annotations.get(f"autoscaling.alpha.kubernetes.io/{name}")) for name in ("metrics", "current-metrics")
    )
    wanted = at(obj, "spec", "targetCPUUtilizationPercentage")
    if wanted is not None:
        specs.insert(0, _cpu("target", wanted))
        used = at(obj, "status", "currentCPUUtilizationPercentage")
        statuses.insert(0, {} if used is None else _cpu("current", used))
    return specs, statuses


def _cpu(side: str, percent: int) -> Obj:
    return {"type": "Resource", "resource": {"name": "cpu", side: {"averageUtilization": percent}}}


def _listed(text: str | None) -> list[Obj]:
    try:
        found = json.loads(text) if text else []
    except ValueError:
        return []
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _targets(specs: Sequence[Obj], statuses: Sequence[Obj]) -> str:
    if not specs:
        return NONE
    texts = [_metric(spec, statuses[i] if i < len(statuses) else None) for i, spec in enumerate(specs)]
    shown = ", ".join(texts[:_SHOWN])
    return f"{shown} + {len(texts) - _SHOWN} more..." if len(texts) > _SHOWN else shown


def _autoscaler(obj: Obj, ages: Ages) -> list[Any]:
    spec, status = at(obj, "spec", default={}), at(obj, "status", default={})
    reference = spec.get("scaleTargetRef") or {}
    specs, statuses = spec.get("metrics") or (), status.get("currentMetrics") or ()
    if not specs:
        specs, statuses = _v1_metrics(obj)
    return [
        name_of(obj),
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        _targets(specs, statuses),
        UNSET if spec.get("minReplicas") is None else str(spec["minReplicas"]),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        ages(created(obj)),
    ]


def _scale(obj: Obj, ages: Ages) -> list[Any]:
    desired, available = at(obj, "spec", "replicas", default=0), at(obj, "status", "replicas", default=0)
    return [name_of(obj), desired, available, ages(created(obj))]


_SPEC = "@autoscaling.v2.HorizontalPodAutoscalerSpec"
PRINTERS = {
    "autoscaling/HorizontalPodAutoscaler": Printer(
        (
            NAME,
            Column("Reference", f"{_SPEC}.scaleTargetRef"),
            Column("Targets", f"{_SPEC}.metrics"),
            Column("MinPods", f"{_SPEC}.minReplicas"),
            Column("MaxPods", f"{_SPEC}.maxReplicas"),
            Column("Replicas", "@autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas"),
            AGE,
        ),
        _autoscaler,
    ),
    "autoscaling/Scale": Printer(
        (
            Column("Name", "@meta.v1.ObjectMeta.name"),
            Column("Desired", "@autoscaling.v1.ScaleSpec.replicas", type="integer"),
            Column("Available", "@autoscaling.v1.ScaleStatus.replicas", type="integer"),
            AGE,
        ),
        _scale,
    ),
}
