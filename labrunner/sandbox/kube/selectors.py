"""Label and field selectors: parsed as the API server parses them, compiled to a predicate on objects.

Source of grammar and messages: k8s.io/apimachinery/pkg/labels/selector.go and pkg/fields/selector.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.schema.validation.names import label_value, qualified_name

Matcher = Callable[[Obj], bool]

_SPECIAL = {")", ",", "!", "==", "=", ">", "<", "!=", "("}
_WORDS = {"in", "notin"}
_BINARY = ("in", "notin", "=", "==", "!=", "gt", "lt")
_SYMBOLS = "=!(),><"


class SelectorError(ValueError):
    """The selector cannot be parsed; `str()` is what the server answers."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition. `operator`: in, notin, =, ==, !=, gt, lt, exists, !."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in" | "=" | "==":
                return value is not None and value in self.values
            case "notin" | "!=":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
        try:
            have, want = int(value or ""), int(self.values[0])
        except ValueError:
            return False
        return have > want if self.operator == "gt" else have < want


def _lex(text: str) -> list[tuple[str, str]]:
    """(token, literal) pairs; token is a symbol, `in`, `notin`, `id` or `end`."""
    tokens: list[tuple[str, str]] = []
    i = 0
    while i < len(text):
        c = text[i]
        if c in " \t\r\n":
            i += 1
        elif c in _SYMBOLS:
            literal = c
            if text[i : i + 2] in _SPECIAL:
                literal = text[i : i + 2]
            tokens.append((literal, literal))
            i += len(literal)
        else:
            start = i
            while i < len(text) and text[i] not in _SYMBOLS and text[i] not in " \t\r\n":
                i += 1
            word = text[start:i]
            tokens.append((word if word in _WORDS else "id", word))
    tokens.append(("end", ""))
    return tokens


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _lex(text)
        self._at = 0

    def _peek(self, values: bool = True) -> tuple[str, str]:
        token, literal = self._tokens[self._at]
        return ("id", literal) if values and token in _WORDS else (token, literal)

    def _take(self, values: bool = True) -> tuple[str, str]:
        found = self._peek(values)
        if self._at < len(self._tokens) - 1:
            self._at += 1
        return found

    def parse(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        while True:
            token, literal = self._peek()
            if token == "end":
                return requirements
            if token not in ("id", "!"):
                raise SelectorError(f"found '{literal}', expected: !, identifier, or 'end of string'")
            try:
                requirements.append(self._requirement())
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from error
            token, literal = self._take()
            if token == "end":
                return requirements
            if token != ",":
                raise SelectorError(f"found '{literal}', expected: ',' or 'end of string'")
            token, literal = self._peek()
            if token not in ("id", "!"):
                raise SelectorError(f"found '{literal}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        token, literal = self._take()
        operator = ""
        if token == "!":
            operator = "!"
            token, literal = self._take()
        if token != "id":
            raise SelectorError(f"found '{literal}', expected: identifier")
        key = literal
        if errors := qualified_name(key):
            raise SelectorError(f'<nil>: Invalid value: "{key}": {"; ".join(errors)}')
        if self._peek()[0] in ("end", ","):
            return Requirement(key, operator or "exists")
        if operator:
            return Requirement(key, operator)
        operator = self._operator()
        values = self._values() if operator in ("in", "notin") else self._exact()
        self._check(key, operator, values)
        return Requirement(key, operator, tuple(values))

    def _operator(self) -> str:
        token, literal = self._take(values=False)
        found = {"in": "in", "notin": "notin", "=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt"}.get(token)
        if found is None:
            raise SelectorError(f"found '{literal}', expected: {', '.join(_BINARY)}")
        return found

    def _values(self) -> list[str]:
        token, literal = self._take()
        if token != "(":
            raise SelectorError(f"found '{literal}' expected: '('")
        token, literal = self._peek()
        if token == ")":
            self._take()
            return []
        if token not in ("id", ","):
            raise SelectorError(f"found '{literal}', expected: ',', ')' or identifier")
        found: set[str] = set()
        while True:
            token, literal = self._take()
            if token == "id":
                found.add(literal)
                token, literal = self._peek()
                if token == ")":
                    break
                if token != ",":
                    raise SelectorError(f"found '{literal}', expected: ',' or ')'")
            elif token == ",":
                if not found or self._peek()[0] == ",":
                    found.add("")
                token, literal = self._peek()
                if token == ")":
                    found.add("")
                    break
            else:
                raise SelectorError(f"found '{literal}', expected: ',', or identifier")
        self._take()
        return sorted(found)

    def _exact(self) -> list[str]:
        if self._peek()[0] in ("end", ","):
            return [""]
        token, literal = self._take()
        if token != "id":
            raise SelectorError(f"found '{literal}', expected: identifier")
        return [literal]

    @staticmethod
    def _check(key: str, operator: str, values: list[str]) -> None:
        errors = []
        if operator in ("in", "notin") and not values:
            errors.append("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
        if operator in ("gt", "lt") and not re.fullmatch(r"[+-]?\d+", values[0]):
            what = "for 'Gt', 'Lt' operators, the value must be an integer"
            errors.append(f'values[0]: Invalid value: "{values[0]}": {what}')
        for i, value in enumerate(values):
            if bad := label_value(value):
                errors.append(f'values[{i}][{key}]: Invalid value: "{value}": {"; ".join(bad)}')
        if errors:
            raise SelectorError(errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]")


@lru_cache(maxsize=512)
def parse_labels(text: str) -> tuple[Requirement, ...]:
    """The requirements of `-l`'s syntax; all must hold. Raises `SelectorError`."""
    return tuple(_Parser(text).parse())


def labels_matcher(text: str) -> Matcher | None:
    """A predicate for a label selector; None when it selects everything."""
    requirements = parse_labels(text)
    if not requirements:
        return None

    def matches(obj: Obj) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(r.matches(labels) for r in requirements)

    return matches


def selector_matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a metav1.LabelSelector (`matchLabels`, `matchExpressions`) selects these labels. None selects nothing."""
    if selector is None:
        return False
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    operators = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
    return all(
        Requirement(e["key"], operators[e["operator"]], tuple(e.get("values") or ())).matches(labels)
        for e in selector.get("matchExpressions") or ()
    )


@dataclass(frozen=True, slots=True)
class FieldTerm:
    field: str
    equal: bool
    value: str


def parse_fields(text: str) -> list[FieldTerm]:
    """Terms of `--field-selector`. Raises `SelectorError`."""
    terms = []
    for part in _split_unescaped(text):
        if not part:
            continue
        found = re.match(r"((?:[^\\=!]|\\.|!(?!=))*)(!=|==|=)(.*)\Z", part, re.S)
        if not found:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        terms.append(FieldTerm(found[1], found[2] != "!=", _unescape(found[3])))
    return terms


def _split_unescaped(text: str) -> list[str]:
    parts, current, escaped = [], "", False
    for c in text:
        if escaped:
            current += c
            escaped = False
        elif c == "\\":
            current += c
            escaped = True
        elif c == ",":
            parts.append(current)
            current = ""
        else:
            current += c
    return [*parts, current]


def _unescape(value: str) -> str:
    out, escaped = "", False
    for c in value:
        if escaped:
            if c not in "\\,=":
                raise SelectorError(f"invalid field selector: invalid escape sequence: \\{c}")
            out += c
            escaped = False
        elif c == "\\":
            escaped = True
        elif c in ",=":
            raise SelectorError(f"invalid field selector: unescaped character in value: {ord(c)}")
        else:
            out += c
    if escaped:
        raise SelectorError(f"invalid field selector: unfinished escape in value: {value}")
    return out
