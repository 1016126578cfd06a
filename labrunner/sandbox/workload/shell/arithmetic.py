"""`$(( ))`: C-like integer expressions in 64 bits over shell variables."""

from __future__ import annotations

import re
from collections.abc import Callable

_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|\d+#[0-9a-zA-Z]+|\d+)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<op>\*\*|<<=|>>=|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&^|]=|[-+*/%&^|<>!~?:=(),]))"
)
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", "<=", ">", ">="), ("<<", ">>"), ("+", "-"),
    ("*", "/", "%"),
)  # fmt: skip
_MAX_DEPTH = 64


class ArithmeticFault(Exception):
    """What the shell says about the expression."""


def evaluate(text: str, get: Callable[[str], str], put: Callable[[str, str], None]) -> int:
    """The value. Raises ArithmeticFault."""
    return _Evaluation(text, get, put, 0).value()


def wrap(number: int) -> int:
    """As a signed 64 bit integer."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


class _Evaluation:
    def __init__(self, text: str, get: Callable[[str], str], put: Callable[[str, str], None], depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise ArithmeticFault("expression recursion level exceeded")
        self._get, self._put, self._depth = get, put, depth
        self._tokens: list[tuple[str, str]] = []
        at = 0
        text = text.strip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if not found:
                raise ArithmeticFault("arithmetic syntax error")
            kind = found.lastgroup or ""
            self._tokens.append((kind, found[kind]))
            at = found.end()
            while at < len(text) and text[at].isspace():
                at += 1
        self._at = 0
        self._live = True
        self._nested = 0

    def value(self) -> int:
        if not self._tokens:
            return 0
        result = self._comma()
        if self._at != len(self._tokens):
            raise ArithmeticFault("arithmetic syntax error")
        return result

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _accept(self, *ops: str) -> str:
        if self._at < len(self._tokens) and self._tokens[self._at][0] == "op" and self._peek() in ops:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return ""

    def _comma(self) -> int:
        value = self._assignment()
        while self._accept(","):
            value = self._assignment()
        return value

    def _assignment(self) -> int:
        self._nested += 1
        if self._nested > _MAX_DEPTH:
            raise ArithmeticFault("expression recursion level exceeded")
        try:
            if self._at + 1 < len(self._tokens) and self._tokens[self._at][0] == "name":
                op = self._tokens[self._at + 1][1]
                if op in ("=", "+=", "-=", "*=", "/=", "%=", "&=", "^=", "|=", "<<=", ">>="):
                    name = self._peek()
                    self._at += 2
                    right = self._assignment()
                    result = right if op == "=" else self._apply(op[:-1], self._variable(name), right)
                    return self._store(name, result)
            return self._ternary()
        finally:
            self._nested -= 1

    def _ternary(self) -> int:
        condition = self._binary(0)
        if not self._accept("?"):
            return condition
        live = self._live
        self._live = live and bool(condition)
        first = self._assignment()
        if not self._accept(":"):
            raise ArithmeticFault("arithmetic syntax error")
        self._live = live and not condition
        second = self._assignment()
        self._live = live
        return first if condition else second

    def _binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._power()
        left = self._binary(level + 1)
        while op := self._accept(*_LEVELS[level]):
            live = self._live
            if (op == "&&" and not left) or (op == "||" and left):
                self._live = False
            right = self._binary(level + 1)
            self._live = live
            left = self._apply(op, left, right)
        return left

    def _power(self) -> int:
        base = self._unary()
        if self._accept("**"):
            exponent = self._power()
            if exponent < 0:
                raise ArithmeticFault("exponent less than 0")
            return wrap(pow(base, exponent, 1 << 64))
        return base

    def _unary(self) -> int:
        self._nested += 1
        if self._nested > _MAX_DEPTH:
            raise ArithmeticFault("expression recursion level exceeded")
        try:
            if op := self._accept("++", "--"):
                if self._at < len(self._tokens) and self._tokens[self._at][0] == "name":
                    name = self._peek()
                    self._at += 1
                    return self._store(name, self._variable(name) + (1 if op == "++" else -1))
                value = self._unary()
                return value
            if op := self._accept("-", "+", "!", "~"):
                value = self._unary()
                return {"-": wrap(-value), "+": value, "!": int(not value), "~": ~value}[op]
            return self._primary()
        finally:
            self._nested -= 1

    def _primary(self) -> int:
        if self._at >= len(self._tokens):
            raise ArithmeticFault("arithmetic syntax error")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return _number(text)
        if kind == "name":
            value = self._variable(text)
            if op := self._accept("++", "--"):
                self._store(text, value + (1 if op == "++" else -1))
            return value
        if text == "(":
            value = self._comma()
            if not self._accept(")"):
                raise ArithmeticFault("arithmetic syntax error")
            return value
        raise ArithmeticFault("arithmetic syntax error")

    def _variable(self, name: str) -> int:
        text = self._get(name).strip()
        if not text:
            return 0
        if re.fullmatch(r"[-+]?\d+", text) and not text.lstrip("+-").startswith("0"):
            return wrap(int(text))
        return _Evaluation(text, self._get, self._put, self._depth + 1).value()

    def _store(self, name: str, value: int) -> int:
        value = wrap(value)
        if self._live:
            self._put(name, str(value))
        return value

    def _apply(self, op: str, a: int, b: int) -> int:
        if op in ("/", "%"):
            if b == 0:
                if not self._live:
                    return 0
                raise ArithmeticFault("divide by zero")
            quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
            return wrap(quotient if op == "/" else a - b * quotient)
        match op:
            case "+":
                value = a + b
            case "-":
                value = a - b
            case "*":
                value = a * b
            case "<<":
                value = a << (b % 64)
            case ">>":
                value = a >> (b % 64)
            case "&":
                value = a & b
            case "|":
                value = a | b
            case "^":
                value = a ^ b
            case "&&":
                value = int(bool(a and b))
            case "||":
                value = int(bool(a or b))
            case _:
                value = int({"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op])
        return wrap(value)


def _number(text: str) -> int:
    try:
        if "#" in text:
            base, _, digits = text.partition("#")
            return wrap(int(digits, int(base)))
        if text[:2] in ("0x", "0X"):
            return wrap(int(text, 16))
        if len(text) > 1 and text[0] == "0":
            return wrap(int(text, 8))
        if len(text) > 40:
            raise ValueError
        return wrap(int(text))
    except ValueError:
        raise ArithmeticFault(f"{text}: value too great for base") from None
