"""field.Error: what validation says about one field, in the API server's words.

Source: k8s.io/apimachinery/pkg/util/validation/field/errors.go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.kube.status import Cause

_LABEL = {
    "FieldValueNotFound": "Not found",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "InternalError": "Internal error",
    "FieldValueTypeInvalid": "Invalid value",
}
_WITHOUT_VALUE = {"FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong", "InternalError"}
OMIT = object()
"""A bad value that is not printed."""


class Struct(dict[str, Any]):
    """A Go struct: its fields are printed in their own order, not in the alphabet's as the keys of a map."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One problem with one field. `field` is a path such as `spec.ports[0].name`; empty means the whole object."""

    type: str
    field: str
    value: Any = OMIT
    detail: str = ""

    def body(self) -> str:
        """The sentence without the field: `Invalid value: "x": must be ...`."""
        label = _LABEL[self.type]
        text = label if self.type in _WITHOUT_VALUE or self.value is OMIT else f"{label}: {_shown(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def cause(self) -> Cause:
        return Cause(self.type, self.body(), self.field or "<nil>")


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return json.dumps(ordered(value), ensure_ascii=False, separators=(",", ":"))


def ordered(value: Any) -> Any:
    """As Go's encoding/json orders it: maps by key, structs as they are declared."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in (value if isinstance(value, Struct) else sorted(value))}
    if isinstance(value, (list, tuple)):
        return [ordered(item) for item in value]
    return value


def required(field: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", field, detail=detail)


def invalid(field: str, value: Any, detail: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, value, detail)


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", field, value)


def forbidden(field: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", field, detail=detail)


def not_found(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueNotFound", field, value)


def unsupported(field: str, value: Any, supported: list[str]) -> FieldError:
    """An enum violation; `supported` in the schema's own order."""
    return FieldError(
        "FieldValueNotSupported",
        field,
        value,
        "supported values: " + ", ".join(json.dumps(s) for s in supported),
    )


def too_long(field: str, limit: int) -> FieldError:
    return FieldError(
        "FieldValueTooLong", field, detail=f"may not be more than {limit} byte{'' if limit == 1 else 's'}"
    )


def too_many(field: str, actual: int, limit: int) -> FieldError:
    return FieldError("FieldValueTooMany", field, actual, f"must have at most {limit} item{'' if limit == 1 else 's'}")
