"""The JSONPath that printer columns use: fields, quoted fields, indices, slices, wildcards, filters, descent.

Source: k8s.io/client-go/util/jsonpath, with missing keys allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[[Any], Iterator[Any]]
_TOKEN = re.compile(
    r"""(?P<descent>\.\.)
      | \.?\[\?\((?P<filter>(?:[^)'"]|'[^']*'|"[^"]*")*)\)\]
      | \.?\[(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]
      | \.?\[(?P<slice>-?\d*:-?\d*(?::-?\d*)?)\]
      | \.?\[(?P<index>-?\d+)\]
      | \.?\[(?P<all>\*)\] | \.(?P<every>\*)
      | \.?(?P<field>(?:[^.\[\]\\]|\\.)+)""",
    re.VERBOSE,
)
_COMPARISON = re.compile(r"^\s*@(?P<path>[^=<>!]*?)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>.+?)\s*)?$")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class JsonPathError(ValueError):
    """The path is not one that columns may use."""


class JsonPath:
    """A path such as `.status.conditions[?(@.type=="Ready")].status`. Raises JsonPathError."""

    def __init__(self, path: str) -> None:
        self._steps: list[Step] = []
        at = 0
        text = path.removeprefix("$")
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                raise JsonPathError(f"unrecognized column definition {path!r}")
            if token.lastgroup == "field" and text[at] != "." and at > 0 and text[at - 2 : at] != "..":
                raise JsonPathError(f"unrecognized column definition {path!r}")
            self._steps.append(_step(str(token.lastgroup), token.group(str(token.lastgroup))))
            at = token.end()

    def find(self, value: Any) -> list[Any]:
        """Every value at this path, in document order."""
        found = [value]
        for step in self._steps:
            found = [result for item in found for result in step(item)]
        return found


def _step(kind: str, text: str) -> Step:
    match kind:
        case "descent":
            return _descend
        case "filter":
            return _filter(text)
        case "slice":
            bounds = [int(part) if part else None for part in text.split(":")]
            if len(bounds) == 3 and bounds[2] == 0:
                raise JsonPathError("step must be > 0")
            return lambda value: iter(value[slice(*bounds)]) if isinstance(value, list) else iter(())
        case "index":
            return lambda value: _index(value, int(text))
        case "all" | "every":
            return lambda value: iter(
                value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
            )
    name = re.sub(r"\\(.)", r"\1", text[1:-1] if kind == "quoted" else text)
    return lambda value: iter((value[name],)) if isinstance(value, dict) and name in value else iter(())


def _index(value: Any, index: int) -> Iterator[Any]:
    if isinstance(value, list) and -len(value) <= index < len(value):
        yield value[index]


def _descend(value: Any) -> Iterator[Any]:
    stack = [value]
    while stack:
        item = stack.pop()
        yield item
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        stack.extend(reversed([child for child in children if isinstance(child, dict | list)]))


def _filter(text: str) -> Step:
    comparison = _COMPARISON.match(text)
    if comparison is None:
        raise JsonPathError(f"unrecognized filter {text!r}")
    path, operator = JsonPath(comparison["path"]), comparison["op"]
    if operator is None:
        return lambda value: (item for item in _items(value) if path.find(item))
    wanted = _literal(comparison["value"])
    holds = _OPERATORS[operator]

    def keeps(item: Any) -> bool:
        found = path.find(item)
        if not found:
            return False
        try:
            return holds(found[0], wanted) and isinstance(found[0], bool) == isinstance(wanted, bool)
        except TypeError:
            return False

    return lambda value: (item for item in _items(value) if keeps(item))


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []


def _literal(text: str) -> Any:
    if text[:1] in "'\"" and text[-1:] == text[:1] and len(text) > 1:
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if any(c in text for c in ".eE") else int(text)
    except ValueError as error:
        raise JsonPathError(f"unrecognized value {text!r} in a filter") from error
