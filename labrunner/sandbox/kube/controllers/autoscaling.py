"""HorizontalPodAutoscaler: bounds are kept; without a metrics server its metrics are unknown, and it says so.

Source: k8s.io/kubernetes/pkg/controller/podautoscaler/horizontal.go.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers import conditions
from labrunner.sandbox.kube.controllers.meta import (
    fresh,
    is_deleting,
    key_of,
    kind_id,
    namespace_of,
    timestamp,
    with_status,
)
from labrunner.sandbox.kube.controllers.runner import Key

COMPONENT = "horizontal-pod-autoscaler"
_TARGETS = ("apps/Deployment", "apps/ReplicaSet", "apps/StatefulSet", "ReplicationController")
_NO_METRICS = (
    "unable to fetch metrics from resource metrics API: the server could not find the requested resource "
    "(get pods.metrics.k8s.io)"
)


class AutoscalerController:
    name = "horizontalpodautoscaling"
    watches: tuple[str, ...] = ("autoscaling/HorizontalPodAutoscaler", *_TARGETS)

    def __init__(self) -> None:
        self._targets: dict[tuple[str, str, str], set[Key]] = {}
        self._aim: dict[Key, tuple[str, str, str]] = {}

    def keys(self, change: Change) -> list[Key]:
        if change.kind == "autoscaling/HorizontalPodAutoscaler":
            key, target = key_of(change.obj), change.obj["spec"].get("scaleTargetRef") or {}
            if before := self._aim.pop(key, None):
                self._targets[before].discard(key)
            if change.type != "DELETED":
                kind = kind_id(target.get("apiVersion", "apps/v1"), target.get("kind", ""))
                aim = (kind, namespace_of(change.obj), target.get("name", ""))
                self._aim[key] = aim
                self._targets.setdefault(aim, set()).add(key)
            return [key]
        return list(self._targets.get((change.kind, *key_of(change.obj)), ()))

    def reconcile(self, api: Api, key: Key) -> float | None:
        hpa = api.get("autoscaling/HorizontalPodAutoscaler", key[1], key[0])
        if hpa is None or is_deleting(hpa):
            return None
        spec, now = hpa["spec"], api.now()
        reference = spec["scaleTargetRef"]
        kind = kind_id(reference.get("apiVersion", "apps/v1"), reference["kind"])
        target = api.get(kind, reference["name"], key[0]) if kind in _TARGETS else None
        status: dict[str, Any] = dict(hpa.get("status") or {})
        status.setdefault("currentMetrics", None)
        status.setdefault("desiredReplicas", 0)
        if target is None:
            plural = reference["kind"].lower() + "s"
            group = kind.rpartition("/")[0]
            what = (
                f'{plural}.{group} "{reference["name"]}" not found'
                if group
                else f'{plural} "{reference["name"]}" not found'
            )
            message = f"the HPA controller was unable to get the target's current scale: {what}"
            status["conditions"] = conditions.put(
                status.get("conditions"), now, "AbleToScale", "False", "FailedGetScale", message
            )
            status["currentReplicas"] = 0
            if self._write(api, hpa, status):
                api.record_event(hpa, "Warning", "FailedGetScale", what, component=COMPONENT)
            return None
        able = ("SucceededGetScale", "the HPA controller was able to get the target's current scale")
        entries = conditions.put(status.get("conditions"), now, "AbleToScale", "True", *able)
        replicas = target["spec"].get("replicas")
        current = 1 if replicas is None else int(replicas)
        least, most = int(spec.get("minReplicas") or 1), int(spec["maxReplicas"])
        if current == 0:
            paused = "scaling is disabled since the replica count of the target is zero"
            entries = conditions.put(entries, now, "ScalingActive", "False", "ScalingDisabled", paused)
        elif current < least or current > most:
            size = least if current < least else most
            word = "below Spec.MinReplicas" if current < least else "above Spec.MaxReplicas"
            self._rescale(api, hpa, target, size, f"Current number of replicas {word}")
            done = ("SucceededRescale", f"the HPA controller was able to update the target scale to {size}")
            entries = conditions.put(entries, now, "AbleToScale", "True", *done)
            status["lastScaleTime"], status["desiredReplicas"] = timestamp(now), size
        else:
            reason, why = _metric_failure(spec.get("metrics") or [])
            failed = f"the HPA was unable to compute the replica count: {why}"
            entries = conditions.put(entries, now, "ScalingActive", "False", reason, failed)
        status["conditions"], status["currentReplicas"] = entries, current
        if self._write(api, hpa, status) and conditions.is_true(entries, "AbleToScale"):
            active = conditions.find(entries, "ScalingActive")
            if active and active["reason"] != "ScalingDisabled" and least <= current <= most:
                reason, why = _metric_failure(spec.get("metrics") or [])
                api.record_event(hpa, "Warning", reason, why, component=COMPONENT)
                message = f"invalid metrics (1 invalid out of 1), first error is: {why}"
                api.record_event(hpa, "Warning", "FailedComputeMetricsReplicas", message, component=COMPONENT)
        return None

    def _rescale(self, api: Api, hpa: Obj, target: Obj, size: int, reason: str) -> None:
        updated = fresh(target)
        updated["spec"]["replicas"] = size
        api.update(updated, manager="kube-controller-manager")
        message = f"New size: {size}; reason: {reason}"
        api.record_event(hpa, "Normal", "SuccessfulRescale", message, component=COMPONENT)

    def _write(self, api: Api, hpa: Obj, status: dict[str, Any]) -> bool:
        if status == hpa.get("status"):
            return False
        api.update_status(with_status(hpa, status), manager="kube-controller-manager")
        return True


def _metric_failure(metrics: list[dict[str, Any]]) -> tuple[str, str]:
    metric: dict[str, Any] = metrics[0] if metrics else {"type": "Resource", "resource": {"name": "cpu"}}
    if metric["type"] == "Resource":
        name = metric["resource"]["name"]
        kind = "utilization" if (metric["resource"].get("target") or {}).get("type") != "AverageValue" else "usage"
        what = f"failed to get {name} {kind}: unable to get metrics for resource {name}: {_NO_METRICS}"
        return "FailedGetResourceMetric", what
    if metric["type"] == "External":
        return "FailedGetExternalMetric", "unable to get external metric: no external metrics API is registered"
    if metric["type"] == "ContainerResource":
        return "FailedGetContainerResourceMetric", f"failed to get container resource metric: {_NO_METRICS}"
    return f"FailedGet{metric['type']}Metric", "unable to get metric: no custom metrics API is registered"
