"""Messages by name: decoding one into the JSON object that the same Go value is written as.

The table of fields is data/protobuf.jsonl (made by tools/generate_protobuf_table.py, which also says what its codes
mean); each message's line is read when the message is first met.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from labrunner.sandbox.kube.protobuf.scalar import SPECIAL
from labrunner.sandbox.kube.protobuf.wire import BYTES, FIXED64, VARINT, WireError, double, fields, packed, signed

MAX_DEPTH = 100
"""Deeper nesting than any kind has: only a hostile body reaches it."""
_TABLE = Path(__file__).parent.parent / "data" / "protobuf.jsonl"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message."""

    name: str
    code: str
    """Of one item."""
    kind: str
    """one, list, map, wrapped (a list in a message of its own) or inline."""
    keeps_zero: bool
    optional: bool
    """A pointer in Go."""
    always: bool
    """Written to JSON even when it is empty."""


@cache
def _lines() -> tuple[dict[str, str], dict[str, str]]:
    """Kinds to messages, messages to their undecoded lines."""
    header, *lines = _TABLE.read_text().splitlines()
    return orjson.loads(header)["kinds"], dict(line.split("\t", 1) for line in lines)


@cache
def message_fields(name: str) -> dict[int, Field]:
    """The fields of a message by number. Raises KeyError for a name that is not in the table."""
    table: dict[str, str] = orjson.loads(_lines()[1][name])
    return {int(number): _field(spec) for number, spec in table.items()}


def message_of(api_version: str, kind: str) -> str | None:
    """The message of a kind: `apps/v1`, `Deployment`. Every group version has DeleteOptions."""
    if kind == "DeleteOptions":
        return "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
    return _lines()[0].get(api_version + "/" + kind if "/" in api_version else f"/{api_version}/{kind}")


def _field(spec: str) -> Field:
    name, code = spec.split(" ", 1)
    if code.startswith("@:"):
        return Field(name, code[2:], "inline", False, False, False)
    keeps_zero, optional, always = code[0] in "?!", code[0] == "?", code[0] == "!"
    # An empty string is as good as none to every validation, so a mere `!` does not keep it.
    keeps_zero = keeps_zero and code != "!s"
    code = code.lstrip("?!")
    for prefix, kind in (("w[", "wrapped"), ("[", "list"), ("{", "map")):
        if code.startswith(prefix):
            return Field(name, code.removeprefix(prefix), kind, keeps_zero, optional, always)
    return Field(name, code, "one", keeps_zero, optional, always)


def decode(name: str, data: bytes, depth: int = 0) -> dict[str, Any]:
    """The JSON object of an encoded message. Raises WireError."""
    if depth > MAX_DEPTH:
        raise WireError("proto: exceeded maximum recursion depth")
    known = message_fields(name)
    result: dict[str, Any] = {}
    for number, wire_type, value in fields(data):
        field = known.get(number)
        if field is None:
            continue
        if field.kind == "one":
            item = _item(field.code, wire_type, value, depth)
            if item or (field.keeps_zero and item is not None):
                result[field.name] = item
        elif field.kind == "list":
            result.setdefault(field.name, []).extend(_items(field.code, wire_type, value, depth))
        elif field.kind == "map":
            key, item = _entry(field.code, _bytes(wire_type, value), depth)
            result.setdefault(field.name, {})[key] = item
        elif field.kind == "wrapped":
            result[field.name] = _wrapped(field.code, _bytes(wire_type, value), depth)
        else:
            result |= decode(field.code, _bytes(wire_type, value), depth + 1)
    return result


def _bytes(wire_type: int, value: Any) -> bytes:
    if wire_type != BYTES:
        raise WireError(f"proto: wrong wireType = {wire_type}")
    return bytes(value)


def _items(code: str, wire_type: int, value: Any, depth: int) -> list[Any]:
    """The items of one occurrence of a repeated field: one, or several when numbers are packed."""
    if wire_type == BYTES and code in "biu":
        return [_item(code, VARINT, number, depth) for number in packed(bytes(value))]
    return [_item(code, wire_type, value, depth)]


def _entry(code: str, data: bytes, depth: int) -> tuple[str, Any]:
    """One entry of a map: {key: 1, value: 2}, either may be missing."""
    key, item, seen = "", None, False
    for number, wire_type, value in fields(data):
        if number == 1:
            key = str(_bytes(wire_type, value), "utf-8", "replace")
        elif number == 2:
            item, seen = _item(code, wire_type, value, depth), True
    return key, item if seen else zero_of(code)


def zero_of(code: str) -> Any:
    """The value that an item of this type has when nothing says it."""
    return {"s": "", "y": "", "b": False, "i": 0, "u": 0, "d": 0.0, "q": "0", "o": 0}.get(
        code, [] if code.startswith("w[") else {} if code.startswith("m:") else None
    )


def _wrapped(code: str, data: bytes, depth: int) -> list[Any]:
    items: list[Any] = []
    for number, wire_type, value in fields(data):
        if number == 1:
            items += _items(code, wire_type, value, depth)
    return items


def _item(code: str, wire_type: int, value: Any, depth: int) -> Any:
    scalar = _SCALARS.get(code)
    if scalar:
        expected, convert = scalar
        if wire_type != expected:
            raise WireError(f"proto: wrong wireType = {wire_type}")
        return convert(value)
    data = _bytes(wire_type, value)
    if code.startswith("m:"):
        return decode(code[2:], data, depth + 1)
    if code.startswith("w["):
        return _wrapped(code[2:], data, depth)
    return SPECIAL[code](memoryview(data))


_SCALARS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "s": (BYTES, lambda value: str(value, "utf-8", "replace")),
    "b": (VARINT, bool),
    "i": (VARINT, signed),
    "u": (VARINT, int),
    "y": (BYTES, lambda value: b64encode(value).decode()),
    "d": (FIXED64, double),
}
