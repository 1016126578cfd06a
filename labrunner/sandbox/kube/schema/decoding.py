"""From JSON to an object as the server would hold it: unknown fields found, types checked, values canonical.

Built-in kinds behave as their Go types do (k8s.io/apimachinery json serializer, sigs.k8s.io/json): a wrong type stops
decoding with Go's own sentence, null and omitempty zero values vanish, quantities and times are rewritten. Custom kinds
are pruned by their structural schema; only their metadata is typed.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from labrunner.sandbox.kube.schema import quantity
from labrunner.sandbox.kube.schema.gotypes import go_type, is_dropped, value_word
from labrunner.sandbox.kube.schema.node import SchemaNode

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_TIME = re.compile(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$")
_INT_RANGE = {"int32": 2**31, "int64": 2**63}


class DecodeError(Exception):
    """The object does not fit its Go type. `str()` is what follows `cannot be handled as a <Kind>: `."""


def decode(node: SchemaNode, obj: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The object with unknown fields dropped, and their paths in document order. Raises DecodeError."""
    unknown: list[str] = []
    if "x-definition" in node.raw:
        clean = _Typed(node.definitions, unknown).struct(node.raw, obj, "", ())
    else:
        clean = _prune(node.raw, obj, "", unknown, node.definitions)
    return clean, unknown


def unknown_field_message(kind: str, version: str, problems: list[str]) -> str:
    """The refusal of fieldValidation=Strict; `problems` are `unknown field "x"` and `duplicate field "x"` items."""
    return f'{kind} in version "{version}" cannot be handled as a {kind}: strict decoding error: {", ".join(problems)}'


def decode_error_message(kind: str, version: str, error: DecodeError) -> str:
    return f'{kind} in version "{version}" cannot be handled as a {kind}: {error}'


def unknown_fields(paths: list[str]) -> list[str]:
    """As both the strict error and the warnings of fieldValidation=Warn word them."""
    return [f'unknown field "{path}"' for path in paths]


def duplicate_fields(body: bytes | str) -> list[str]:
    """`duplicate field "spec.replicas"` for each key given twice in one JSON object. Raises ValueError on bad JSON."""
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            seen: set[str] = set()
            for key, _ in items:
                if key in seen:
                    marks.setdefault(id(result), (result, []))[1].append(key)
                seen.add(key)
        return result

    marks: dict[int, tuple[dict[str, Any], list[str]]] = {}
    root = json.loads(body, object_pairs_hook=pairs)
    if marks:
        _locate(root, "", marks, found)
    return found


def _locate(value: Any, path: str, marks: dict[int, tuple[dict[str, Any], list[str]]], found: list[str]) -> None:
    if isinstance(value, dict):
        for key in marks.get(id(value), (value, []))[1]:
            text = f'duplicate field "{_join(path, key)}"'
            if text not in found:
                found.append(text)
        for key, child in value.items():
            _locate(child, _join(path, key), marks, found)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            _locate(child, f"{path}[{index}]", marks, found)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


class _Typed:
    """Decodes into built-in types. `go` is the path Go reports in errors: field names without indexes and map keys."""

    def __init__(self, definitions: Mapping[str, Mapping[str, Any]], unknown: list[str]) -> None:
        self.definitions, self.unknown = definitions, unknown

    def struct(self, raw: Mapping[str, Any], value: Any, path: str, go: tuple[str, ...]) -> dict[str, Any]:
        properties = raw.get("properties", {})
        required = raw.get("required", ())
        name = str(raw.get("x-definition", ""))
        out: dict[str, Any] = {}
        for key, child in value.items():
            schema = properties.get(key)
            if schema is None:
                self.unknown.append(_join(path, key))
                continue
            if child is None:
                continue
            decoded = self.value(schema, child, _join(path, key), (*go, key), name)
            if (
                not decoded
                and key not in required
                and (decoded != {} or "additionalProperties" in schema)
                and is_dropped(name, key, decoded)
            ):
                continue
            out[key] = decoded
        return out

    def value(self, schema: Mapping[str, Any], value: Any, path: str, go: tuple[str, ...], struct: str) -> Any:
        while "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            schema = self.definitions[name]
        kind = schema.get("type")
        if kind == "string":
            return self._string(schema, value, go, struct)
        if kind == "object":
            if not isinstance(value, dict):
                self._mismatch(schema, value, go, struct)
            if "properties" in schema:
                return self.struct(schema, value, path, go)
            if "additionalProperties" in schema:
                items = schema["additionalProperties"]
                return {k: self._element(items, v, _join(path, k), go, struct) for k, v in value.items()}
            return value
        if kind == "array":
            if not isinstance(value, list):
                self._mismatch(schema, value, go, struct)
            items = schema["items"]
            return [self._element(items, v, f"{path}[{i}]", go, struct) for i, v in enumerate(value)]
        if kind == "integer":
            return self._integer(schema, value, go, struct)
        if kind == "boolean" and not isinstance(value, bool):
            self._mismatch(schema, value, go, struct)
        if kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float))):
            self._mismatch(schema, value, go, struct)
        return value

    def _element(self, schema: Mapping[str, Any], value: Any, path: str, go: tuple[str, ...], struct: str) -> Any:
        if value is not None:
            return self.value(schema, value, path, go, struct)
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].rpartition("/")[2]]
        zero: dict[str, Any] = {"object": {}, "array": [], "string": "", "integer": 0, "boolean": False}
        return zero.get(schema.get("type", ""))

    def _string(self, schema: Mapping[str, Any], value: Any, go: tuple[str, ...], struct: str) -> Any:
        form = schema.get("format")
        if schema.get("x-quantity"):
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                raise DecodeError(quantity.FORMAT_ERROR)
            try:
                return quantity.canonical(value.strip() if isinstance(value, str) else json.dumps(value))
            except quantity.QuantityError as error:
                raise DecodeError(str(error)) from error
        if form == "int-or-string":
            if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
                return value
            raise DecodeError(f"json: cannot unmarshal {value_word(value, number=True)} into Go value of type int32")
        if not isinstance(value, str):
            self._mismatch(schema, value, go, struct)
        if form == "byte":
            return _base64(value)
        if form == "date-time":
            return _time(value, micro=str(schema.get("x-definition", "")).endswith("MicroTime"))
        return value

    def _integer(self, schema: Mapping[str, Any], value: Any, go: tuple[str, ...], struct: str) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._mismatch(schema, value, go, struct)
        limit = _INT_RANGE.get(schema.get("format", "int64"), 2**63)
        if isinstance(value, float) or not -limit <= value < limit:
            self._mismatch(schema, value, go, struct, exact=True)
        return value

    def _mismatch(
        self, schema: Mapping[str, Any], value: Any, go: tuple[str, ...], struct: str, *, exact: bool = False
    ) -> NoReturn:
        word = value_word(value, number=exact)
        target = go_type(schema, self.definitions, struct, go[-1] if go else "")
        where = ".".join((struct.rpartition(".")[2], *go))
        raise DecodeError(f"json: cannot unmarshal {word} into Go struct field {where} of type {target}")


def _base64(text: str) -> str:
    compact = text.replace("\n", "").replace("\r", "")
    try:
        base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError(f"illegal base64 data at input byte {_bad_base64(compact)}") from error
    return compact


def _bad_base64(text: str) -> int:
    """The offset Go's decoder names: the first byte that cannot stand there, or where an unfinished quantum begins."""
    for index, char in enumerate(text):
        if char == "=":
            if index % 4 in (0, 1):
                return index
            padding = 4 - index % 4
            missing = next((i for i, c in enumerate(text[index : index + padding]) if c != "="), padding)
            return min(index + missing, len(text))
        if not (char.isascii() and (char.isalnum() or char in "+/")):
            return index
    return len(text) - len(text) % 4


def _time(text: str, *, micro: bool) -> str:
    if not text:
        return ""
    if not _TIME.match(text):
        layout = "2006-01-02T15:04:05.000000Z07:00" if micro else "2006-01-02T15:04:05Z07:00"
        raise DecodeError(f'parsing time "{text}" as "{layout}": cannot parse "{_unparsed(text)}" as "2006"')
    try:
        when = datetime.fromisoformat(text.upper().replace("Z", "+00:00")).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise DecodeError(f'parsing time "{text}": day out of range') from error
    return when.strftime("%Y-%m-%dT%H:%M:%S") + (f".{when.microsecond:06d}Z" if micro else "Z")


def _unparsed(text: str) -> str:
    return text if not re.match(r"^\d{4}", text) else text[4:]


def _prune(
    schema: Mapping[str, Any],
    value: Any,
    path: str,
    unknown: list[str],
    definitions: Mapping[str, Mapping[str, Any]],
) -> Any:
    """Drop what a structural schema does not specify. Source: apiextensions-apiserver schema/pruning."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        additional = schema.get("additionalProperties")
        free = schema.get("x-kubernetes-preserve-unknown-fields")
        embedded = schema.get("x-kubernetes-embedded-resource")
        out: dict[str, Any] = {}
        for key, child in value.items():
            where = _join(path, key)
            if key in properties:
                found = properties[key]
                if "$ref" in found:
                    out[key] = _metadata(found, child, definitions, unknown)
                else:
                    out[key] = _prune(found, child, where, unknown, definitions)
            elif isinstance(additional, Mapping) and additional:
                out[key] = _prune(additional, child, where, unknown, definitions)
            elif additional or free or (embedded and key in ("apiVersion", "kind", "metadata")):
                out[key] = child
            else:
                unknown.append(where)
        return out
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        return [_prune(schema["items"], v, f"{path}[{i}]", unknown, definitions) for i, v in enumerate(value)]
    return value


def _metadata(
    reference: Mapping[str, Any], value: Any, definitions: Mapping[str, Mapping[str, Any]], unknown: list[str]
) -> Any:
    raw = definitions[reference["$ref"].rpartition("/")[2]]
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DecodeError(f"json: cannot unmarshal {value_word(value)} into Go value of type v1.ObjectMeta")
    return _Typed(definitions, unknown).struct(raw, value, "metadata", ("metadata",))
