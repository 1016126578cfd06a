"""Validation of custom resources: metadata, the CRD's schema, list invariants, CEL rules.

Source: apiextensions-apiserver/pkg/registry/customresource/strategy.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.node import SchemaNode
from labrunner.sandbox.kube.schema.validation import cel, metadata, openapi

_BLOCKING = {
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
}
_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


def validate(node: SchemaNode, obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[FieldError]:
    """Errors of a decoded and defaulted custom resource; with `old`, of its update."""
    errors = metadata.validate(obj, old)
    errors += openapi.check(node.raw, obj)
    errors += list_invariants(node.raw, obj, "")
    if any(error.type in _BLOCKING for error in errors):
        errors.append(field.invalid("", None, _UNCHECKED))
    else:
        errors += cel.check(node.raw, obj, old)
    return errors


def list_invariants(schema: Mapping[str, Any], value: Any, path: str) -> list[FieldError]:
    """Duplicates in lists of type set or map."""
    errors: list[FieldError] = []
    if isinstance(value, dict):
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
        for key, child in value.items():
            found = properties.get(key, additional)
            if isinstance(found, Mapping) and isinstance(child, (dict, list)):
                errors += list_invariants(found, child, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        kind = schema.get("x-kubernetes-list-type")
        if kind in ("set", "map"):
            keys = schema.get("x-kubernetes-list-map-keys", ()) if kind == "map" else ()
            errors += _duplicates(value, keys, path, schema.get("items", {}))
        items = schema.get("items")
        if isinstance(items, Mapping):
            for index, item in enumerate(value):
                if isinstance(item, (dict, list)):
                    errors += list_invariants(items, item, f"{path}[{index}]")
    return errors


def _duplicates(value: list[Any], keys: list[str] | tuple[str, ...], path: str, items: Any) -> list[FieldError]:
    errors, seen = [], set()
    for index, item in enumerate(value):
        if keys and isinstance(item, dict):
            defaults = items.get("properties", {}) if isinstance(items, Mapping) else {}
            item = {k: item.get(k, defaults.get(k, {}).get("default")) for k in keys}
            item = {k: v for k, v in item.items() if v is not None}
        mark = json.dumps(item, sort_keys=True)
        if mark in seen:
            errors.append(field.duplicate(f"{path}[{index}]", item))
        seen.add(mark)
    return errors
