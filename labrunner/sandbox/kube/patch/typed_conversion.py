"""Whether a patched map still fits the kind's Go types, in the words of the conversion that the server does.

Source: k8s.io/apimachinery/pkg/runtime/converter.go (`FromUnstructured`). Unknown fields are not its business.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

from labrunner.sandbox.kube.patch.json_value import go_kind, go_text
from labrunner.sandbox.kube.schema.gotypes import go_type
from labrunner.sandbox.kube.schema.node import SchemaNode
from labrunner.sandbox.kube.status import ApiError, Cause

_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_GO_INTEGERS = {"int32": "int32", "int64": "int64", "": "int64"}


def conversion_error(value: Any, node: SchemaNode | None, parent: str = "", field: str = "") -> str:
    """Why `value` cannot become the schema's type, or "" when it can.

    `parent` (a definition's name) and `field` say where it stands.
    """
    if value is None or node is None or node.int_or_string or "x-quantity" in node.raw:
        return ""
    match node.type:
        case "object":
            return _map_error(value, node)
        case "array":
            if not isinstance(value, list):
                return f"cannot restore slice from {go_kind(value)}"
            items = node.items
            return next(filter(None, (conversion_error(item, items) for item in value)), "")
        case "string":
            return _string_error(value, node, parent, field)
        case "integer":
            if isinstance(value, int) and not isinstance(value, bool):
                return ""
            name = _GO_INTEGERS.get(node.raw.get("format", ""), "int64")
            if isinstance(value, float):
                return "" if value.is_integer() else f"cannot convert float64 to {name}"
            return f"unrecognized type: {name}"
        case "number":
            return (
                "" if isinstance(value, (int, float)) and not isinstance(value, bool) else "unrecognized type: float64"
            )
        case "boolean":
            return "" if isinstance(value, bool) else "unrecognized type: bool"
    return ""


def _map_error(value: Any, node: SchemaNode) -> str:
    fields = node.raw.get("properties")
    if not isinstance(value, dict):
        return (
            f"cannot restore struct from: {go_kind(value)}" if fields else f"cannot restore map from {go_kind(value)}"
        )
    parent = str(node.raw.get("x-definition", ""))
    found = (conversion_error(item, node.field(key), parent, key) for key, item in value.items())
    return next(filter(None, found), "")


def _string_error(value: Any, node: SchemaNode, parent: str, field: str) -> str:
    form = node.raw.get("format", "")
    if not isinstance(value, str):
        if form == "date-time":
            return f"json: cannot unmarshal {_json_kind(value)} into Go value of type string"
        if form == "byte":
            return f"cannot restore slice from {go_kind(value)}"
        name = go_type(node.raw, node.definitions, parent, field)
        return f"cannot convert int64 to {name}" if go_kind(value) == "int64" else "unrecognized type: string"
    if form == "byte":
        try:
            b64decode(value, validate=True)
        except binascii.Error:
            strange = (place for place, char in enumerate(value) if char not in _BASE64)
            bad = next(strange, len(value) // 4 * 4)
            return f"illegal base64 data at input byte {bad}"
    return ""


def _json_kind(value: Any) -> str:
    return {"int64": "number", "float64": "number", "slice": "array", "map": "object"}.get(go_kind(value), "bool")


def patch_does_not_fit(patch: Any, why: str) -> ApiError:
    """The 422 for a strategic merge patch whose result is not of the kind: types, or unknown fields under Strict."""
    text = f'Invalid value: "{go_text(patch)}": {why}'
    causes = [Cause("FieldValueInvalid", text, "patch")]
    return ApiError(422, "Invalid", f' "" is invalid: patch: {text}', causes=causes)
