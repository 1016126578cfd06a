"""Decoding a JSON body, with the sentences of Go's encoding/json where it is not JSON.

A fast parser reads the body; only when it refuses does the slow scanner here look for the place and word it as
Go does. Source: Go's encoding/json/scanner.go.
"""

from __future__ import annotations

from typing import Any

import orjson

from labrunner.sandbox.kube.patch.json_value import go_kind

_SPACE = b" \t\r\n"
_LITERALS = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}
MAX_DEPTH = 10_000
"""How deep Go's decoder goes before it refuses."""
MAX_NESTING = 200
"""How deep values may be nested here; no kind comes near."""


class GoJsonError(ValueError):
    """The body is not what was asked for; `str()` is Go's sentence."""


def decode(body: bytes) -> Any:
    """The JSON value of a body. Raises GoJsonError, also for values nested deeper than any object is."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise GoJsonError(_Scanner(body).problem()) from error
    if body.count(b"{") + body.count(b"[") > MAX_NESTING and nesting(value) > MAX_NESTING:
        raise GoJsonError("exceeded max depth")
    return value


def nesting(value: Any) -> int:
    """How deep lists and objects are nested."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; `null` is an empty one, as in Go."""
    value = decode(body)
    if value is None:
        return {}
    if not isinstance(value, dict):
        kind = {"slice": "array", "int64": "number", "float64": "number"}.get(go_kind(value), go_kind(value))
        raise GoJsonError(f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
    return value


def _quoted(character: int) -> str:
    """As scanner.quoteChar: `'x'`, with the escapes of a Go rune."""
    if character == ord("'"):
        return "'\\''"
    if character == ord('"'):
        return "'\"'"
    if 0x20 <= character < 0x7F or character >= 0xA1:
        return f"'{chr(character)}'"
    short = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}.get(character)
    return "'" + (short or (f"\\x{character:02x}" if character < 0x80 else f"\\u{character:04x}")) + "'"


class _Bad(Exception):
    pass


class _Scanner:
    """Finds the first thing that is wrong, without recursion: hostile bodies nest deep."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    def problem(self) -> str:
        try:
            self._document()
        except _Bad as bad:
            return str(bad)
        return "invalid UTF-8 in JSON input"

    def _peek(self) -> int:
        body = self._body
        while self._at < len(body) and body[self._at] in _SPACE:
            self._at += 1
        if self._at >= len(body):
            raise _Bad("unexpected end of JSON input")
        return body[self._at]

    def _fail(self, context: str) -> _Bad:
        if self._at >= len(self._body):
            return _Bad("unexpected end of JSON input")
        return _Bad(f"invalid character {_quoted(self._body[self._at])} {context}")

    def _document(self) -> None:
        stack: list[int] = []
        self._value(stack)
        while stack:
            closing = stack[-1]
            character = self._peek()
            if character == closing:
                self._at += 1
                stack.pop()
            elif character == ord(","):
                self._at += 1
                if closing == ord("}"):
                    self._key()
                self._value(stack)
            else:
                raise self._fail("after object key:value pair" if closing == ord("}") else "after array element")
        while self._at < len(self._body) and self._body[self._at] in _SPACE:
            self._at += 1
        if self._at < len(self._body):
            raise self._fail("after top-level value")

    def _value(self, stack: list[int]) -> None:
        """Reads one value; of an object or array only what comes before its first value that is no container."""
        while True:
            character = self._peek()
            if character in b"{[":
                self._at += 1
                closing = ord("}") if character == ord("{") else ord("]")
                if len(stack) >= MAX_DEPTH:
                    raise _Bad("exceeded max depth")
                if self._peek() == closing:
                    self._at += 1
                    return
                stack.append(closing)
                if closing == ord("}"):
                    self._key()
                continue
            if character == ord('"'):
                self._string()
            elif character in b"-0123456789":
                self._number()
            elif literal := _LITERALS.get(character):
                self._literal(literal)
            else:
                raise self._fail("looking for beginning of value")
            return

    def _key(self) -> None:
        if self._peek() != ord('"'):
            raise self._fail("looking for beginning of object key string")
        self._string()
        if self._peek() != ord(":"):
            raise self._fail("after object key")
        self._at += 1

    def _literal(self, literal: bytes) -> None:
        for expected in literal:
            if self._at >= len(self._body) or self._body[self._at] != expected:
                raise self._fail(f"in literal {literal.decode()} (expecting {_quoted(expected)})")
            self._at += 1

    def _string(self) -> None:
        body = self._body
        self._at += 1
        while self._at < len(body):
            character = body[self._at]
            if character == ord('"'):
                self._at += 1
                return
            if character < 0x20:
                raise self._fail("in string literal")
            self._at += 1
            if character == ord("\\"):
                if self._at < len(body) and body[self._at] not in b'bfnrt\\/"u':
                    raise self._fail("in string escape code")
                if self._at < len(body) and body[self._at] == ord("u"):
                    for _ in range(4):
                        self._at += 1
                        if self._at >= len(body) or body[self._at] not in b"0123456789abcdefABCDEF":
                            raise self._fail("in \\u hexadecimal character escape")
                self._at += 1
        raise _Bad("unexpected end of JSON input")

    def _digits(self, context: str) -> None:
        if self._at >= len(self._body) or self._body[self._at] not in b"0123456789":
            raise self._fail(context)
        while self._at < len(self._body) and self._body[self._at] in b"0123456789":
            self._at += 1

    def _number(self) -> None:
        body = self._body
        if body[self._at] == ord("-"):
            self._at += 1
            if self._at >= len(body) or body[self._at] not in b"0123456789":
                raise self._fail("in numeric literal")
        if body[self._at] == ord("0"):
            self._at += 1
        else:
            self._digits("in numeric literal")
        if self._at < len(body) and body[self._at] == ord("."):
            self._at += 1
            self._digits("after decimal point in numeric literal")
        if self._at < len(body) and body[self._at] in b"eE":
            self._at += 1
            if self._at < len(body) and body[self._at] in b"+-":
                self._at += 1
            self._digits("in exponent of numeric literal")
