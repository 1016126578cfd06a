"""Resource names and amounts: containers' requests and limits, quotas, limit ranges.

Source: k8s.io/kubernetes pkg/apis/core/validation/validation.go and pkg/apis/core/helper.
"""

from __future__ import annotations

from decimal import Decimal

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema import quantity
from labrunner.sandbox.kube.schema.validation import names
from labrunner.sandbox.kube.schema.validation.common_fields import NOT_NEGATIVE, Obj

_CONTAINER = {"cpu", "memory", "ephemeral-storage"}
_COUNTED = {
    "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
}  # fmt: skip
_QUOTA = {"cpu", "memory", "storage", "ephemeral-storage", *_COUNTED} | {
    f"{kind}.{name}" for kind in ("requests", "limits") for name in ("cpu", "memory", "ephemeral-storage")
}
_STANDARD = _QUOTA | {"requests.storage"}
_SCOPES = {
    "BestEffort": {"pods"},
    "NotBestEffort": _QUOTA - _COUNTED | {"pods"},
    "Terminating": _QUOTA,
    "NotTerminating": _QUOTA,
    "PriorityClass": _QUOTA,
    "CrossNamespacePodAffinity": _QUOTA,
}


def value_of(amount: object) -> Decimal:
    """The number of a canonical quantity; what is none counts as zero."""
    try:
        return quantity.parse(str(amount)).value
    except quantity.QuantityError:
        return Decimal(0)


def container_resources(requirements: Obj, path: str) -> list[FieldError]:
    """requests and limits of a container."""
    limits, requests = requirements.get("limits") or {}, requirements.get("requests") or {}
    errors: list[FieldError] = []
    for name, amount in limits.items():
        where = f"{path}.limits[{name}]"
        errors += _container_name(name, where) + _not_negative(amount, where)
    for name, amount in requests.items():
        where = f"{path}.requests[{name}]"
        errors += _container_name(name, where) + _not_negative(amount, where)
        limit = limits.get(name)
        overcommit = name in _CONTAINER
        if limit is None:
            if not overcommit and not name.startswith("hugepages-") and "/" in name:
                text = "Limit must be set for non overcommitable resources"
                errors.append(field.required(f"{path}.limits", text))
            continue
        if not overcommit and value_of(amount) != value_of(limit):
            errors.append(field.invalid(f"{path}.requests", amount, f"must be equal to {name} limit of {limit}"))
        elif value_of(amount) > value_of(limit):
            text = f"must be less than or equal to {name} limit of {limit}"
            errors.append(field.invalid(f"{path}.requests", amount, text))
    return errors


def _container_name(name: str, path: str) -> list[FieldError]:
    errors = _name(name, path)
    if "/" not in name and name not in _CONTAINER and not name.startswith("hugepages-"):
        errors.append(field.invalid(path, name, "must be a standard resource for containers"))
    return errors


def _name(name: str, path: str) -> list[FieldError]:
    errors = [field.invalid(path, name, message) for message in names.qualified_name(name)]
    if errors:
        return errors
    if "/" not in name and name not in _STANDARD and not name.startswith(("hugepages-", "requests.hugepages-")):
        return [field.invalid(path, name, "must be a standard resource type or fully qualified")]
    return []


def _not_negative(amount: object, path: str) -> list[FieldError]:
    return [field.invalid(path, amount, NOT_NEGATIVE)] if value_of(amount) < 0 else []


def resource_quota(obj: Obj, old: Obj | None) -> list[FieldError]:
    """spec.hard and the scopes that fit it."""
    spec = obj.get("spec", {})
    errors: list[FieldError] = []
    for name, amount in (spec.get("hard") or {}).items():
        where = f"spec.hard[{name}]"
        errors += _quota_name(name, where) + _not_negative(amount, where)
        if name in _COUNTED and value_of(amount) % 1:
            errors.append(field.invalid(where, amount, "must be an integer"))
    scopes = spec.get("scopes") or []
    for scope in scopes:
        if scope not in _SCOPES:
            errors.append(field.invalid("spec.scopes", scopes, "unsupported scope"))
            continue
        for name in spec.get("hard") or {}:
            if name in _STANDARD and name not in _SCOPES[scope]:
                errors.append(field.invalid("spec.scopes", scopes, "unsupported scope applied to resource"))
    for pair in (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")):
        if set(pair) <= set(scopes):
            errors.append(field.invalid("spec.scopes", scopes, "conflicting scopes"))
    if old is not None and set(scopes) != set(old.get("spec", {}).get("scopes") or []):
        errors.append(field.invalid("spec.scopes", scopes, "field is immutable"))
    return errors


def _quota_name(name: str, path: str) -> list[FieldError]:
    errors = [field.invalid(path, name, message) for message in names.qualified_name(name)]
    if "/" not in name and name not in _STANDARD and not name.startswith(("requests.", "count/")):
        text = "must be a standard resource for quota"
        errors += [field.invalid(path, name, "must be a standard resource type or fully qualified")] if errors else []
        errors.append(field.invalid(path, name, text))
    return errors


def limit_range(obj: Obj, _old: Obj | None) -> list[FieldError]:
    """min <= defaultRequest <= default <= max, per type and resource."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, item in enumerate(obj.get("spec", {}).get("limits") or []):
        path = f"spec.limits[{index}]"
        kind = item.get("type", "")
        if kind in seen:
            errors.append(field.duplicate(f"{path}.type", kind))
        seen.add(kind)
        if kind == "Pod":
            for key, label in (("default", "default"), ("defaultRequest", "defaultRequest")):
                if item.get(key):
                    text = "may not be specified when `type` is 'Pod'"
                    errors.append(field.forbidden(f"{path}.{label}", text))
        if kind == "PersistentVolumeClaim" and "storage" not in {*(item.get("min") or {}), *(item.get("max") or {})}:
            text = "either minimum or maximum storage value is required, but neither was provided"
            errors.append(field.required(f"{path}.limits", text))
        errors += _ordered(item, path)
    return errors


def _ordered(item: Obj, path: str) -> list[FieldError]:
    low, high = item.get("min") or {}, item.get("max") or {}
    default, request = item.get("default") or {}, item.get("defaultRequest") or {}
    errors: list[FieldError] = []

    def compare(key: str, small: Obj, small_name: str, big: Obj, big_name: str, name: str) -> None:
        if name in small and name in big and value_of(small[name]) > value_of(big[name]):
            text = f"{small_name} value {small[name]} is greater than {big_name} value {big[name]}"
            errors.append(field.invalid(f"{path}.{key}[{name}]", small[name], text))

    for name in dict.fromkeys([*high, *low, *default, *request]):
        compare("min", low, "min", high, "max", name)
        compare("defaultRequest", low, "min", request, "default request", name)
        compare("defaultRequest", request, "default request", high, "max", name)
        compare("defaultRequest", request, "default request", default, "default", name)
        compare("default", low, "min", default, "default", name)
        compare("default", default, "default", high, "max", name)
        ratio = (item.get("maxLimitRequestRatio") or {}).get(name)
        if ratio is not None and value_of(ratio) < 1:
            text = f"ratio {ratio} is less than 1"
            errors.append(field.invalid(f"{path}.maxLimitRequestRatio[{name}]", ratio, text))
    return errors
