"""`expr`."""

from __future__ import annotations

from collections.abc import Sequence

from labrunner.sandbox.workload.text import regex


class ExprFault(Exception):
    """What `expr` says; status 2."""


_LEVELS = (("|",), ("&",), ("<", "<=", "=", "==", "!=", ">=", ">"), ("+", "-"), ("*", "/", "%"), (":",))


def evaluate(words: Sequence[str]) -> str:
    """The value as text. Raises ExprFault."""
    if not words:
        raise ExprFault("missing operand")
    found = _Evaluation(list(words))
    value = found.level(0)
    if found.at != len(found.words):
        raise ExprFault("syntax error")
    return value


class _Evaluation:
    def __init__(self, words: list[str]) -> None:
        self.words, self.at, self.depth = words, 0, 0

    def level(self, number: int) -> str:
        if number == len(_LEVELS):
            return self.primary()
        left = self.level(number + 1)
        while self.at < len(self.words) and self.words[self.at] in _LEVELS[number]:
            op = self.words[self.at]
            self.at += 1
            left = _apply(left, op, self.level(number + 1))
        return left

    def primary(self) -> str:
        if self.at >= len(self.words):
            raise ExprFault("syntax error")
        word = self.words[self.at]
        self.at += 1
        if word == "(":
            self.depth += 1
            if self.depth > 50:
                raise ExprFault("syntax error")
            value = self.level(0)
            if self.at >= len(self.words) or self.words[self.at] != ")":
                raise ExprFault("syntax error")
            self.at += 1
            return value
        rest = len(self.words) - self.at
        if word == "length" and rest:
            return str(len(self.primary()))
        if word == "match" and rest > 1:
            return _match(self.primary(), self.primary())
        if word == "index" and rest > 1:
            text, chars = self.primary(), self.primary()
            return str(next((i for i, c in enumerate(text, 1) if c in chars), 0))
        if word == "substr" and rest > 2:
            text, start, length = self.primary(), _number(self.primary()), _number(self.primary())
            return text[start - 1 : start - 1 + length] if start > 0 and length > 0 else ""
        return word


def _number(text: str) -> int:
    if not text.lstrip("-").isdigit() or len(text) > 40:
        raise ExprFault("non-integer argument")
    return int(text)


def _match(text: str, pattern: str) -> str:
    try:
        compiled = regex.compile_(pattern)
        found = compiled.search(text)
    except regex.RegexFault as error:
        raise ExprFault(str(error)) from None
    if found is None or found.start != 0:
        return "" if compiled.groups else "0"
    if compiled.groups:
        start, end = found.groups[1]
        return text[start:end] if start >= 0 else ""
    return str(found.end)


def _apply(a: str, op: str, b: str) -> str:
    if op == "|":
        return a if a not in ("", "0") else b
    if op == "&":
        return a if a not in ("", "0") and b not in ("", "0") else "0"
    if op == ":":
        return _match(a, b)
    if op in ("+", "-", "*", "/", "%"):
        x, y = _number(a), _number(b)
        if op in "/%":
            if y == 0:
                raise ExprFault("division by zero")
            quotient = abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
            return str(quotient if op == "/" else x - y * quotient)
        return str({"+": x + y, "-": x - y, "*": x * y}[op])
    both = all(t.lstrip("-").isdigit() for t in (a, b))
    left: int | str = int(a) if both else a
    right: int | str = int(b) if both else b
    result = {
        "<": left < right, "<=": left <= right, "=": left == right, "==": left == right, "!=": left != right,  # type: ignore[operator]
        ">=": left >= right, ">": left > right,  # type: ignore[operator]
    }  # fmt: skip
    return str(int(result[op]))
