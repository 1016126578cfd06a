"""`${NAME}` in checks, texts and hints. `$${NAME}` is a literal `${NAME}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TOKEN = re.compile(r"\$\$(?=\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def references(text: str) -> list[str]:
    """Names that `substitute` would look up in this text."""
    return [m.group(1) for m in _TOKEN.finditer(text) if m.group(1)]


def substitute(value: Any, values: Mapping[str, str], types: Mapping[str, str] | None = None) -> Any:
    """The value with each `${NAME}` replaced, in all strings of lists and mappings; names not known stay as they are.

    A string that is nothing but one reference to a variable of type integer or boolean (`types`, by name) becomes
    a value of that type, so that `port: ${PORT}` compares as a number.
    """
    if isinstance(value, str):
        return _text(value, values, types or {})
    if isinstance(value, list | tuple):
        return [substitute(item, values, types) for item in value]
    if isinstance(value, Mapping):
        return {key: substitute(item, values, types) for key, item in value.items()}
    return value


def _text(text: str, values: Mapping[str, str], types: Mapping[str, str]) -> Any:
    if "${" not in text:
        return text
    whole = _TOKEN.fullmatch(text)
    name = whole.group(1) if whole else None
    if name and name in values:
        return typed(values[name], types.get(name, "string"))

    def one(match: re.Match[str]) -> str:
        found = match.group(1)
        if found is None:
            return "$"
        return values.get(found, match.group())

    return _TOKEN.sub(one, text)


def typed(text: str, kind: str) -> str | int | bool:
    """A variable's text as a value of its type; the text itself when it is not of that form."""
    if kind == "integer":
        try:
            return int(text)
        except ValueError:
            return text
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return text
