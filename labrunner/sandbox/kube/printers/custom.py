"""Custom kinds: the additionalPrinterColumns of their CustomResourceDefinition.

Source: k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from labrunner.sandbox.kube.patch.json_value import go_text
from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.jsonpath import JsonPath
from labrunner.sandbox.kube.printers.printer import NAME, Column, Obj, Printer, name_of

_AGE = {
    "name": "Age",
    "type": "date",
    "description": "@meta.v1.ObjectMeta.creationTimestamp",
    "jsonPath": ".metadata.creationTimestamp",
}


def custom_printer(columns: Sequence[Mapping[str, Any]]) -> Printer:
    """A printer for these columns (NAME and AGE when there are none). Raises JsonPathError for a bad path."""
    return _compiled(json.dumps(list(columns) or [_AGE], sort_keys=True))


@lru_cache(maxsize=512)
def _compiled(columns: str) -> Printer:
    defined: list[dict[str, Any]] = json.loads(columns)
    paths = [(str(column.get("type", "string")), JsonPath(column.get("jsonPath", ""))) for column in defined]

    def cells(obj: Obj, ages: Ages) -> list[Any]:
        row: list[Any] = [name_of(obj)]
        for kind, path in paths:
            found = path.find(obj)
            row.append(_cell(kind, found[0], ages) if found else None)
        return row

    return Printer((NAME, *map(_column, defined)), cells)


def _column(column: Mapping[str, Any]) -> Column:
    path = column.get("jsonPath", "")
    doc = column.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
    return Column(
        str(column.get("name", "")),
        doc,
        str(column.get("type", "string")),
        str(column.get("format") or ""),
        int(column.get("priority") or 0),
    )


def _cell(kind: str, value: Any, ages: Ages) -> Any:
    """The value as the column's type; None (an empty cell) when it is none of that type."""
    if kind == "string":
        return _text(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "integer":
            return int(value) if is_number else None
        case "number":
            return float(value) if is_number else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            # Go's time reads "null" as the zero time.
            return ages("" if value == "null" else value) if isinstance(value, str) else None
    return None


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return go_text(value)
