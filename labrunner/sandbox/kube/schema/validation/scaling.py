"""Autoscalers, disruption budgets, priority classes. Source: k8s.io/kubernetes pkg/apis/*/validation."""

from __future__ import annotations

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import names
from labrunner.sandbox.kube.schema.validation.common_fields import (
    Obj,
    at_most_100_percent,
    int_or_percent,
    label_selector,
    required_name,
)
from labrunner.sandbox.kube.schema.validation.go_struct import shown
from labrunner.sandbox.kube.schema.validation.resources import value_of

_METRICS = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_TARGETS = ["AverageValue", "Utilization", "Value"]
_HIGHEST_USER_PRIORITY = 1_000_000_000


def autoscaler(obj: Obj, _old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors: list[FieldError] = []
    low, high = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if low is not None and low < 1:
        errors.append(field.invalid("spec.minReplicas", low, "must be greater than or equal to 1"))
    if high < 1:
        errors.append(field.invalid("spec.maxReplicas", high, "must be greater than 0"))
    if low is not None and high < low:
        errors.append(field.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    for key in ("kind", "name"):
        errors += required_name(f"spec.scaleTargetRef.{key}", target.get(key, ""), names.path_segment)
    percent = spec.get("targetCPUUtilizationPercentage")
    if percent is not None and percent < 1:
        where = "spec.targetCPUUtilizationPercentage"
        errors.append(field.invalid(where, percent, "must be greater than 0"))
    for index, metric in enumerate(spec.get("metrics") or []):
        errors += _metric(metric, f"spec.metrics[{index}]")
    return errors


def _metric(metric: Obj, path: str) -> list[FieldError]:
    kind = metric.get("type", "")
    if not kind:
        return [field.required(f"{path}.type", "must specify a metric source type")]
    if kind not in _METRICS:
        return [field.unsupported(f"{path}.type", kind, list(_METRICS))]
    key = _METRICS[kind]
    errors: list[FieldError] = []
    for other in _METRICS.values():
        if other != key and other in metric:
            text = "must populate the given metric source only"
            errors.append(field.forbidden(f"{path}.{other}", text))
    source = metric.get(key)
    if source is None:
        return [*errors, field.required(f"{path}.{key}", "must populate information for the given metric source")]
    where = f"{path}.{key}"
    if kind in ("Resource", "ContainerResource") and not source.get("name"):
        errors.append(field.required(f"{where}.name", "must specify a resource name"))
    if kind == "ContainerResource" and not source.get("container"):
        errors.append(field.required(f"{where}.container", "must specify a container"))
    if kind in ("External", "Object", "Pods") and not (source.get("metric") or {}).get("name"):
        errors.append(field.required(f"{where}.metric.name", "must specify a metric name"))
    return errors + _target(source.get("target") or {}, f"{where}.target")


def _target(target: Obj, path: str) -> list[FieldError]:
    kind = target.get("type", "")
    if not kind:
        return [field.required(f"{path}.type", "must specify a metric target type")]
    if kind not in _TARGETS:
        return [field.invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")]
    errors: list[FieldError] = []
    for key in ("value", "averageValue"):
        if key in target and value_of(target[key]) <= 0:
            errors.append(field.invalid(f"{path}.{key}", target[key], "must be positive"))
    if "averageUtilization" in target and target["averageUtilization"] < 1:
        where = f"{path}.averageUtilization"
        errors.append(field.invalid(where, target["averageUtilization"], "must be greater than 0"))
    if kind == "Utilization" and "averageUtilization" not in target and "averageValue" not in target:
        text = "must set either a target raw value or a target utilization"
        errors.append(field.required(f"{path}.averageUtilization", text))
    return errors


def disruption_budget(obj: Obj, _old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    low, high = spec.get("minAvailable"), spec.get("maxUnavailable")
    errors: list[FieldError] = []
    if low is not None and high is not None:
        errors.append(
            field.invalid(
                "spec", shown("DisruptionBudgetSpec", spec), "minAvailable and maxUnavailable cannot be both set"
            )
        )
    for key, value in (("minAvailable", low), ("maxUnavailable", high)):
        if value is not None:
            errors += int_or_percent(f"spec.{key}", value) + at_most_100_percent(f"spec.{key}", value)
    errors += label_selector("spec.selector", spec.get("selector"))
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in ("AlwaysAllow", "IfHealthyBudget"):
        supported = ["AlwaysAllow", "IfHealthyBudget"]
        errors.append(field.unsupported("spec.unhealthyPodEvictionPolicy", policy, supported))
    return errors


def priority_class(obj: Obj, old: Obj | None) -> list[FieldError]:
    name, value = obj.get("metadata", {}).get("name", ""), obj.get("value", 0)
    errors: list[FieldError] = []
    if name.startswith("system-"):
        if name not in ("system-cluster-critical", "system-node-critical"):
            text = (
                "priority class names with 'system-' prefix are reserved for system use only. error: "
                f"{name} is not a known system priority class"
            )
            errors.append(field.forbidden("metadata.name", text))
    elif value > _HIGHEST_USER_PRIORITY:
        text = f"maximum allowed value of a user defined priority is {_HIGHEST_USER_PRIORITY}"
        errors.append(field.forbidden("value", text))
    if old is not None and value != old.get("value", 0):
        errors.append(field.forbidden("value", "may not be changed in an update."))
    if old is not None and obj.get("preemptionPolicy") != old.get("preemptionPolicy"):
        errors.append(field.invalid("preemptionPolicy", obj.get("preemptionPolicy"), "field is immutable"))
    return errors
