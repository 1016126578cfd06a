"""JSON Schema validation as apiextensions words it: types, enums, limits, patterns, oneOf and its kin.

Source: k8s.io/kube-openapi/pkg/validation/validate and apiextensions-apiserver/pkg/apiserver/validation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError

Schema = Mapping[str, Any]


def check(schema: Schema, value: Any, path: str = "") -> list[FieldError]:
    """Everything the value violates. References (metadata) are not followed."""
    return _Check().node(schema, value, path).errors


class _Result:
    """Errors of one node and how many of its checks were made: oneOf and anyOf blame the branch that got furthest."""

    __slots__ = ("errors", "matched")

    def __init__(self) -> None:
        self.errors: list[FieldError] = []
        self.matched = 0

    def merge(self, other: _Result) -> None:
        self.errors += other.errors
        self.matched += other.matched


class _Check:
    def node(self, schema: Schema, value: Any, path: str) -> _Result:
        result = _Result()
        if "$ref" in schema:
            return result
        self._type(schema, value, path, result)
        self._combinators(schema, value, path, result)
        if isinstance(value, str):
            self._string(schema, value, path, result)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            self._number(schema, value, path, result)
        elif isinstance(value, list):
            self._list(schema, value, path, result)
        if "enum" in schema and value not in schema["enum"] and not (value is None and schema.get("nullable")):
            names = [v if isinstance(v, str) else _json(v) for v in schema["enum"]]
            result.errors.append(field.unsupported(path, value, names))
        if isinstance(value, dict):
            self._object(schema, value, path, result)
        result.matched += 1
        return result

    def _type(self, schema: Schema, value: Any, path: str, result: _Result) -> None:
        wanted = schema.get("type")
        if not wanted and schema.get("x-kubernetes-int-or-string"):
            wanted = "integer,string" if type_name(value) not in ("integer", "string") else ""
        if not wanted or (value is None and schema.get("nullable")):
            return
        actual = type_name(value)
        if actual == wanted or (wanted == "number" and actual == "integer"):
            return
        if wanted == "integer" and isinstance(value, float) and value.is_integer():
            return
        result.errors.append(_type_invalid(path, actual, f'{path} in body must be of type {wanted}: "{actual}"'))

    def _combinators(self, schema: Schema, value: Any, path: str, result: _Result) -> None:
        if "anyOf" in schema:
            valid, best = self._branches(schema["anyOf"], value, path)
            if not valid:
                result.errors.append(_whole(f'"{path}" must validate at least one schema (anyOf)'))
                result.merge(best)
        if "oneOf" in schema:
            valid, best = self._branches(schema["oneOf"], value, path)
            if valid != 1:
                found = f"Found {valid} valid alternatives" if valid else "Found none valid"
                result.errors.append(_whole(f'"{path}" must validate one and only one schema (oneOf). {found}'))
                if not valid:
                    result.merge(best)
        if "allOf" in schema:
            parts = [self.node(part, value, path) for part in schema["allOf"]]
            failed = [part for part in parts if part.errors]
            for part in failed:
                result.merge(part)
            if failed:
                none = "" if len(failed) < len(parts) else ". None validated"
                result.errors.append(_whole(f'"{path}" must validate all the schemas (allOf){none}'))
        if "not" in schema and not self.node(schema["not"], value, path).errors:
            result.errors.append(_whole(f'"{path}" must not validate the schema (not)'))

    def _branches(self, branches: list[Schema], value: Any, path: str) -> tuple[int, _Result]:
        """How many branches hold, and the result of the failed one that matched most."""
        valid, best = 0, None
        for branch in branches:
            result = self.node(branch, value, path)
            if not result.errors:
                valid += 1
            elif best is None or result.matched > best.matched:
                best = result
        return valid, best or _Result()

    def _string(self, schema: Schema, value: str, path: str, result: _Result) -> None:
        if "maxLength" in schema and len(value) > schema["maxLength"]:
            result.errors.append(field.too_long(path, schema["maxLength"]))
        if "minLength" in schema and len(value) < schema["minLength"]:
            text = f"{path} in body should be at least {schema['minLength']} chars long"
            result.errors.append(field.invalid(path, value, text))
        if "pattern" in schema and not compiled(schema["pattern"])(value):
            result.errors.append(field.invalid(path, value, f"{path} in body should match '{schema['pattern']}'"))
        if (known := FORMATS.get(schema.get("format", ""))) and not known(value):
            text = f'{path} in body must be of type {schema["format"]}: "{value}"'
            result.errors.append(_type_invalid(path, value, text))

    def _number(self, schema: Schema, value: float, path: str, result: _Result) -> None:
        step = schema.get("multipleOf")
        if step and value % step:
            result.errors.append(field.invalid(path, value, f"{path} in body should be a multiple of {step}"))
        for key, sign, words in (("maximum", 1, "less"), ("minimum", -1, "greater")):
            limit = schema.get(key)
            if limit is None:
                continue
            exclusive = bool(schema.get(f"exclusive{key.capitalize()}"))
            if (value - limit) * sign > 0 or (exclusive and value == limit):
                rest = "" if exclusive else " or equal to"
                text = f"{path} in body should be {words} than{rest} {_number(limit)}"
                result.errors.append(field.invalid(path, value, text))

    def _list(self, schema: Schema, value: list[Any], path: str, result: _Result) -> None:
        items = schema.get("items")
        if isinstance(items, Mapping):
            for index, item in enumerate(value):
                result.merge(self.node(items, item, f"{path}[{index}]"))
        if "minItems" in schema and len(value) < schema["minItems"]:
            text = f"{path} in body should have at least {schema['minItems']} items"
            result.errors.append(field.invalid(path, len(value), text))
        if "maxItems" in schema and len(value) > schema["maxItems"]:
            result.errors.append(field.too_many(path, len(value), schema["maxItems"]))
        if schema.get("uniqueItems") and any(item in value[:i] for i, item in enumerate(value)):
            result.errors.append(field.invalid(path, "", f"{path} in body shouldn't contain duplicates"))

    def _object(self, schema: Schema, value: dict[str, Any], path: str, result: _Result) -> None:
        if "minProperties" in schema and len(value) < schema["minProperties"]:
            text = f"{path} in body should have at least {schema['minProperties']} properties"
            result.errors.append(field.invalid(path, len(value), text))
            return
        if "maxProperties" in schema and len(value) > schema["maxProperties"]:
            result.errors.append(field.too_many(path, len(value), schema["maxProperties"]))
            return
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
        prefix = f"{path}." if path else ""
        for key, child in value.items():
            if key in properties:
                result.merge(self.node(properties[key], child, prefix + key))
            elif isinstance(additional, Mapping):
                result.merge(self.node(additional, child, prefix + key))
        for key in schema.get("required", ()):
            if key in value:
                result.matched += 1
            else:
                result.errors.append(field.required(prefix + key))


def type_name(value: Any) -> str:
    """JSON Schema's name of a value's type; an integer is not a number here."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "array" if isinstance(value, list) else "object"


def _whole(text: str) -> FieldError:
    return field.invalid("", "", text)


def _type_invalid(path: str, value: Any, text: str) -> FieldError:
    return FieldError("FieldValueTypeInvalid", path, value, text)


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _json(value: Any) -> str:
    return "true" if value is True else "false" if value is False else str(value)


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Callable[[str], object]:
    """A Go regular expression as a search; one that Python cannot read matches everything."""
    text = pattern.replace("\\z", "\\Z")
    if text.endswith("$") and not text.endswith("\\$"):
        text = text[:-1] + "\\Z"
    try:
        return re.compile(text).search
    except re.error:
        return lambda _: True


def _parses(function: Callable[[str], object]) -> Callable[[str], bool]:
    def accepts(text: str) -> bool:
        try:
            function(text)
        except ValueError:
            return False
        return True

    return accepts


_UUID = re.compile(r"^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$", re.I)
_HOST = re.compile(r"^([a-zA-Z0-9\u00a0-\uffff]|[a-zA-Z0-9_\u00a0-\uffff][a-zA-Z0-9._\u00a0-\uffff-]*)$")
_DURATION = re.compile(r"^([+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$|^0$")

FORMATS: dict[str, Callable[[str], object]] = {
    "date": _parses(lambda text: datetime.strptime(text, "%Y-%m-%d")),
    "date-time": _parses(lambda text: datetime.fromisoformat(text.upper().replace("Z", "+00:00"))),
    "duration": _DURATION.match,
    "ipv4": lambda text: _parses(ip_address)(text) and "." in text,
    "ipv6": lambda text: _parses(ip_address)(text) and ":" in text,
    "cidr": lambda text: "/" in text and _parses(lambda t: ip_network(t, strict=False))(text),
    "uri": lambda text: re.match(r"^([a-zA-Z][a-zA-Z0-9+.-]*:|/)\S*$", text),
    "hostname": _HOST.match,
    "uuid": _UUID.match,
    "email": lambda text: re.match(r"^[^@\s]+@[^@\s]+$", text),
    "byte": lambda text: re.match(r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$", text),
}
"""Formats apiextensions checks (supportedVersionedFormats)."""
