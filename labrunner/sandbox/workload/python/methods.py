"""The methods of built-in types that programs may use, and formatting that never looks into objects."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from labrunner.sandbox.workload.python.objects import (
    MAX_ITEMS,
    MAX_TEXT,
    Builtin,
    Class,
    Foreign,
    Function,
    Instance,
    Method,
    Module,
    checked,
)

METHODS: dict[type, frozenset[str]] = {
    str: frozenset((
        "capitalize", "casefold", "center", "count", "encode", "endswith", "expandtabs", "find", "index",
        "isalnum", "isalpha", "isdigit", "islower", "isspace", "isupper", "join", "ljust", "lower", "lstrip",
        "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition",
        "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper",
        "zfill", "format",
    )),
    bytes: frozenset((
        "count", "decode", "endswith", "find", "hex", "index", "join", "lower", "lstrip", "partition",
        "replace", "rfind", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip",
        "upper",
    )),
    list: frozenset((
        "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort",
    )),
    tuple: frozenset((
        "count", "index",
    )),
    dict: frozenset((
        "clear", "copy", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values",
    )),
    set: frozenset((
        "add", "clear", "copy", "difference", "discard", "intersection", "issubset", "issuperset", "pop",
        "remove", "union", "update",
    )),
    int: frozenset((
        "bit_length", "to_bytes",
    )),
    float: frozenset((
        "is_integer",
    )),
}  # fmt: skip
_WIDTH = re.compile(r"(\d+)")


def kind_of(value: Any) -> str:
    """The type's name, as messages have it."""
    match value:
        case Instance():
            return value.kind.name
        case Foreign():
            return value.kind
        case Class():
            return "type"
        case Function() | Builtin():
            return "function"
        case Method():
            return "method"
        case Module():
            return "module"
    return type(value).__name__


def method(owner: Any, name: str) -> Builtin:
    """Of a value of a built-in type. Raises AttributeError."""
    kind = next((k for k in METHODS if type(owner) is k), None)
    if kind is None or name not in METHODS[kind]:
        raise AttributeError(f"'{kind_of(owner)}' object has no attribute '{name}'")

    async def call(*given: Any, **named: Any) -> Any:
        if kind is str and name == "format":
            return _Formatter().vformat(owner, given, named)
        if name in ("center", "ljust", "rjust", "zfill", "expandtabs") and given and int(given[0]) > MAX_TEXT:
            raise MemoryError
        if name == "replace" and len(given) > 1:
            growth = owner.count(given[0]) * max(0, len(given[1]) - len(given[0]))
            if len(owner) + growth > MAX_TEXT:
                raise MemoryError
        if name == "join" and given:
            parts = list(given[0])
            if sum(map(len, parts)) + len(owner) * len(parts) > MAX_TEXT:
                raise MemoryError
            given = (parts,)
        if name == "to_bytes" and given and int(given[0]) > 4096:
            raise OverflowError("int too big to convert")
        if name == "sort" and named.get("key") is not None:
            raise NotImplementedError("list.sort(key=...) is not pretended in this sandbox: use sorted()")
        result = getattr(owner, name)(*given, **named)
        if name in ("append", "extend", "insert", "update", "add", "setdefault"):
            checked(owner)
        if name in ("items", "keys", "values"):
            return list(result)
        return result

    return Builtin(name, call)


class _Formatter(string.Formatter):
    """`str.format` with names and indexes, without attributes."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if "." in field_name or "__" in field_name:
            raise AttributeError(f"cannot format '{field_name}'")
        return super().get_field(field_name, args, kwargs)

    def format_field(self, value: Any, format_spec: str) -> str:
        return formatted(value, format_spec)


def formatted(value: Any, layout: str) -> str:
    """`format(value, layout)`. Raises MemoryError when it asks for too wide a field."""
    if any(int(width) > 100_000 for width in _WIDTH.findall(layout)):
        raise MemoryError
    if isinstance(value, (int, float, str)):
        return format(value, layout)
    if layout:
        raise TypeError(f"unsupported format string passed to {kind_of(value)}.__format__")
    return str(value)


def percent(layout: str | bytes, values: Any) -> str | bytes:
    """`layout % values`. Raises MemoryError when it asks for too wide a field."""
    text = layout.decode("latin-1") if isinstance(layout, bytes) else layout
    if any(int(width) > 100_000 for width in _WIDTH.findall(text)) or ("*" in text and _any_wide(values)):
        raise MemoryError
    made: str | bytes = layout % values
    return made


def _any_wide(values: Any) -> bool:
    given = values if isinstance(values, tuple) else (values,)
    return any(isinstance(v, int) and abs(v) > MAX_ITEMS for v in given)
