"""Checks that many kinds share: numbers, ports, selectors, immutability."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import metadata, names
from labrunner.sandbox.kube.schema.validation.go_struct import selector

Obj = dict[str, Any]
PROTOCOLS = ["SCTP", "TCP", "UDP"]
IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"


def named(path: str, value: str, check: names.NameCheck) -> list[FieldError]:
    """Every complaint of a name check, at a path."""
    return [field.invalid(path, value, message) for message in check(value)]


def required_name(path: str, value: str, check: names.NameCheck) -> list[FieldError]:
    return named(path, value, check) if value else [field.required(path)]


def not_negative(obj: Mapping[str, Any], keys: Iterable[str], path: str) -> list[FieldError]:
    return [field.invalid(f"{path}.{k}", obj[k], NOT_NEGATIVE) for k in keys if (obj.get(k) or 0) < 0]


def one_of(path: str, value: str, supported: list[str]) -> list[FieldError]:
    """Empty: required; not in the list: unsupported."""
    if not value:
        return [field.required(path)]
    return [] if value in supported else [field.unsupported(path, value, supported)]


def port_number(path: str, value: int) -> list[FieldError]:
    return [field.invalid(path, value, message) for message in names.port_number(value)]


def port_number_or_name(path: str, value: int | str) -> list[FieldError]:
    if isinstance(value, int):
        return port_number(path, value)
    return named(path, value, names.port_name)


def int_or_percent(path: str, value: int | str | None) -> list[FieldError]:
    """Zero or more, or a percentage."""
    if isinstance(value, str):
        return named(path, value, names.percent)
    return [field.invalid(path, value, NOT_NEGATIVE)] if (value or 0) < 0 else []


def at_most_100_percent(path: str, value: int | str | None) -> list[FieldError]:
    if isinstance(value, str) and not names.percent(value) and int(value[:-1]) > 100:
        return [field.invalid(path, value, "must not be greater than 100%")]
    return []


def amount(value: int | str | None) -> int:
    """The number of an int-or-percent, without the sign of percent."""
    if isinstance(value, str):
        return int(value[:-1]) if not names.percent(value) else 0
    return value or 0


def immutable(path: str, new: Any, old: Any) -> list[FieldError]:
    return [] if same(new, old) else [field.invalid(path, new, IMMUTABLE)]


def immutable_selector(path: str, new: Any, old: Any) -> list[FieldError]:
    """As `immutable`, of a metav1.LabelSelector."""
    return [] if same(new, old) else [field.invalid(path, selector(new), IMMUTABLE)]


def same(new: Any, old: Any) -> bool:
    """Semantic equality: absent, null and empty are one."""
    return new == old or (not new and not old and not isinstance(new, (bool, int)) and not isinstance(old, (bool, int)))


def label_selector(path: str, selector: Mapping[str, Any] | None) -> list[FieldError]:
    """metav1.LabelSelector."""
    if not selector:
        return []
    errors = metadata.labels(selector.get("matchLabels") or {}, f"{path}.matchLabels")
    for index, expression in enumerate(selector.get("matchExpressions") or []):
        where = f"{path}.matchExpressions[{index}]"
        operator, values = expression.get("operator", ""), expression.get("values") or []
        if operator in ("In", "NotIn"):
            if not values:
                text = "must be specified when `operator` is 'In' or 'NotIn'"
                errors.append(field.required(f"{where}.values", text))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                errors.append(field.forbidden(f"{where}.values", text))
        else:
            errors.append(field.invalid(f"{where}.operator", operator, "not a valid selector operator"))
        errors += named(f"{where}.key", expression.get("key", ""), names.qualified_name)
        for position, value in enumerate(values):
            errors += named(f"{where}.values[{position}]", value, names.label_value)
    return errors


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str] | None) -> bool:
    """Whether a label selector matches; an absent one matches nothing, an empty one everything."""
    if selector is None:
        return False
    labels = labels or {}
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(e, labels) for e in selector.get("matchExpressions") or [])


def _expression(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression.get("key", ""), expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values and key in labels
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False


def is_empty_selector(selector: Mapping[str, Any]) -> bool:
    return not selector.get("matchLabels") and not selector.get("matchExpressions")


def duplicates(items: Iterable[Any]) -> Iterable[tuple[int, Any]]:
    """Positions of values seen before."""
    seen: set[str] = set()
    for index, item in enumerate(items):
        mark = json.dumps(item, sort_keys=True)
        if mark in seen:
            yield index, item
        seen.add(mark)
