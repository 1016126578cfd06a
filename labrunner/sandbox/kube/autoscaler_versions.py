"""HorizontalPodAutoscaler between autoscaling/v2, as it is stored, and v1.

What v1 has no field for travels in annotations. Source: pkg/apis/autoscaling/v1/conversion.go.
"""

from __future__ import annotations

from typing import Any

import orjson

from labrunner.sandbox.kube.api import Obj

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"


def to_v1(obj: Obj) -> Obj:
    """A stored v2 object as v1; shares structure with it."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    annotations: dict[str, str] = {}
    others = []
    for metric in spec.pop("metrics", None) or ():
        utilization = _cpu_utilization(metric, "target")
        if utilization is not None and "targetCPUUtilizationPercentage" not in spec:
            spec["targetCPUUtilizationPercentage"] = utilization
        else:
            others.append(metric)
    if others:
        annotations[METRICS] = _text(others)
    if behavior := spec.pop("behavior", None):
        annotations[BEHAVIOR] = _text(behavior)
    current = []
    for metric in status.pop("currentMetrics", None) or ():
        utilization = _cpu_utilization(metric, "current")
        if utilization is not None and "currentCPUUtilizationPercentage" not in status:
            status["currentCPUUtilizationPercentage"] = utilization
        current.append(metric)
    if current:
        annotations[CURRENT_METRICS] = _text(current)
    if conditions := status.pop("conditions", None):
        annotations[CONDITIONS] = _text(conditions)
    status.setdefault("currentReplicas", 0)
    status.setdefault("desiredReplicas", 0)
    meta = obj["metadata"]
    if annotations:
        meta = {**meta, "annotations": {**(meta.get("annotations") or {}), **annotations}}
    return {**obj, "metadata": meta, "spec": spec, "status": status}


def from_v1(obj: Obj) -> Obj:
    """A v1 object as it is stored."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    meta = dict(obj.get("metadata") or {})
    annotations = dict(meta.get("annotations") or {})
    metrics: list[Any] = _parsed(annotations.pop(METRICS, None)) or []
    utilization = spec.pop("targetCPUUtilizationPercentage", None)
    if utilization is not None:
        target = {"type": "Utilization", "averageUtilization": utilization}
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}, *metrics]
    if metrics:
        spec["metrics"] = metrics
    if behavior := _parsed(annotations.pop(BEHAVIOR, None)):
        spec["behavior"] = behavior
    status.pop("currentCPUUtilizationPercentage", None)
    if current := _parsed(annotations.pop(CURRENT_METRICS, None)):
        status["currentMetrics"] = current
    if conditions := _parsed(annotations.pop(CONDITIONS, None)):
        status["conditions"] = conditions
    if annotations:
        meta["annotations"] = annotations
    else:
        meta.pop("annotations", None)
    return {**obj, "metadata": meta, "spec": spec, "status": status}


def _cpu_utilization(metric: dict[str, Any], part: str) -> int | None:
    resource = metric.get("resource") or {}
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    found = (resource.get(part) or {}).get("averageUtilization")
    return found if isinstance(found, int) else None


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _parsed(text: str | None) -> Any:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None
