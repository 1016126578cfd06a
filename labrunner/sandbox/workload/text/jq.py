"""A small `jq`: paths, iteration, pipes, objects and arrays, comparison, and the functions that one-liners use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 60
MAX_RESULTS = 100_000
_TOKEN = re.compile(r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>\d+(?:\.\d+)?)'
                    r'|(?P<field>\.[A-Za-z_]\w*)|(?P<name>[A-Za-z_]\w*)'
                    r'|(?P<op>\.\.|//|==|!=|<=|>=|[.\[\]{}()|,:?<>+*/%-]))')  # fmt: skip


class JqFault(Exception):
    """`status`: 3 for a wrong filter, 5 for what went wrong while it ran."""

    def __init__(self, text: str, status: int = 5) -> None:
        super().__init__(text)
        self.status = status


def run(
    text: str, data: str, *, raw: bool = False, compact: bool = False, sort_keys: bool = False, slurp: bool = False,
    null: bool = False,
) -> Iterator[str]:  # fmt: skip
    """The output lines. Raises JqFault."""
    tree = _Parser(text).whole()
    inputs: list[Any] = [None] if null else list(_documents(data))
    if slurp:
        inputs = [inputs]
    count = 0
    for document in inputs:
        for value in _evaluate(tree, document):
            count += 1
            if count > MAX_RESULTS:
                raise JqFault("error: too many results")
            if raw and isinstance(value, str):
                yield value
            elif compact:
                yield json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=sort_keys)
            else:
                yield json.dumps(value, indent=2, ensure_ascii=False, sort_keys=sort_keys)


def _documents(data: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    at = 0
    while True:
        while at < len(data) and data[at].isspace():
            at += 1
        if at >= len(data):
            return
        try:
            value, at = decoder.raw_decode(data, at)
        except (ValueError, RecursionError) as error:
            raise JqFault(f"parse error: Invalid literal at line 1, column {at + 1}", 2) from error
        yield value


Node = tuple[Any, ...]


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if not found:
                raise JqFault("error: syntax error, unexpected INVALID_CHARACTER\njq: 1 compile error", 3)
            self.tokens.append((found.lastgroup or "", found[found.lastgroup or 0]))
            at = found.end()
        self.at = self.depth = 0

    def whole(self) -> Node:
        if not self.tokens:
            return ("identity",)
        tree = self.pipe()
        if self.at < len(self.tokens):
            raise self._unexpected()
        return tree

    def _unexpected(self) -> JqFault:
        found = self.tokens[self.at][1] if self.at < len(self.tokens) else "end of file"
        return JqFault(f"error: syntax error, unexpected {found} (Unix shell quoting issues?)\njq: 1 compile error", 3)

    def _peek(self, *ops: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][0] != "string" and self.tokens[self.at][1] in ops

    def _accept(self, *ops: str) -> str:
        if self._peek(*ops):
            self.at += 1
            return self.tokens[self.at - 1][1]
        return ""

    def _expect(self, op: str) -> None:
        if not self._accept(op):
            raise self._unexpected()

    def pipe(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise JqFault("error: too deeply nested", 3)
        left = self._comma()
        while self._accept("|"):
            left = ("pipe", left, self._comma())
        self.depth -= 1
        return left

    def _comma(self) -> Node:
        left = self._alternative()
        while self._accept(","):
            left = ("comma", left, self._alternative())
        return left

    def _alternative(self) -> Node:
        left = self._logic()
        while self._accept("//"):
            left = ("alternative", left, self._logic())
        return left

    def _logic(self) -> Node:
        left = self._compare()
        while op := self._accept("and", "or"):
            left = (op, left, self._compare())
        return left

    def _compare(self) -> Node:
        left = self._sum()
        if op := self._accept("==", "!=", "<", "<=", ">", ">="):
            return ("binary", op, left, self._sum())
        return left

    def _sum(self) -> Node:
        left = self._product()
        while op := self._accept("+", "-"):
            left = ("binary", op, left, self._product())
        return left

    def _product(self) -> Node:
        left = self._postfix()
        while op := self._accept("*", "/", "%"):
            left = ("binary", op, left, self._postfix())
        return left

    def _postfix(self) -> Node:
        node = self._term()
        while self.at < len(self.tokens):
            kind, text = self.tokens[self.at]
            if kind == "field":
                self.at += 1
                node = ("pipe", node, ("field", ("literal", text[1:])))
            elif self._peek("["):
                self.at += 1
                node = self._bracket(node)
            elif self._peek(".") and self.at + 1 < len(self.tokens) and self.tokens[self.at + 1][1] == "[":
                self.at += 2
                node = self._bracket(node)
            elif self._accept("?"):
                node = ("try", node)
            else:
                break
        return node

    def _bracket(self, node: Node) -> Node:
        if self._accept("]"):
            return ("pipe", node, ("iterate",))
        if self._accept(":"):
            end = self.pipe()
            self._expect("]")
            return ("slice", node, None, end)
        key = self.pipe()
        if self._accept(":"):
            last = None if self._peek("]") else self.pipe()
            self._expect("]")
            return ("slice", node, key, last)
        self._expect("]")
        return ("index", node, key)

    def _term(self) -> Node:
        if self.at >= len(self.tokens):
            raise self._unexpected()
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "string":
            return self._string(text)
        if kind == "number":
            return ("literal", float(text) if "." in text else int(text))
        if kind == "field":
            return ("field", ("literal", text[1:]))
        if kind == "name":
            return self._named(text)
        match text:
            case ".":
                if self.at < len(self.tokens) and self.tokens[self.at][0] == "string":
                    self.at += 1
                    return ("field", self._string(self.tokens[self.at - 1][1]))
                return ("identity",)
            case "..":
                return ("recurse",)
            case "-":
                return ("binary", "-", ("literal", 0), self._postfix())
            case "(":
                inner = self.pipe()
                self._expect(")")
                return inner
            case "[":
                if self._accept("]"):
                    return ("literal", [])
                inner = self.pipe()
                self._expect("]")
                return ("collect", inner)
            case "{":
                return self._object()
        self.at -= 1
        raise self._unexpected()

    def _string(self, text: str) -> Node:
        parts = re.split(r"\\\(((?:[^()]|\([^()]*\))*)\)", text[1:-1])
        pieces: list[Node] = []
        for index, part in enumerate(parts):
            if index % 2:
                pieces.append(("pipe", _Parser(part).whole(), ("call", "tostring", [])))
            elif part or len(parts) == 1:
                try:
                    pieces.append(("literal", json.loads(f'"{part}"')))
                except ValueError:
                    raise JqFault("error: invalid string literal\njq: 1 compile error", 3) from None
        node = pieces[0]
        for piece in pieces[1:]:
            node = ("binary", "+", node, piece)
        return node

    def _named(self, name: str) -> Node:
        if name in ("true", "false", "null"):
            return ("literal", {"true": True, "false": False, "null": None}[name])
        if name == "if":
            condition = self.pipe()
            self._expect("then")
            first = self.pipe()
            second: Node = ("identity",)
            if self._accept("else"):
                second = self.pipe()
            self._expect("end")
            return ("if", condition, first, second)
        arguments: list[Node] = []
        if self._accept("("):
            arguments.append(self.pipe())
            self._expect(")")
        return ("call", name, arguments)

    def _object(self) -> Node:
        entries: list[tuple[Node, Node]] = []
        while not self._accept("}"):
            kind, text = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
            if kind not in ("name", "string") and text != "(":
                raise self._unexpected()
            self.at += 1
            if text == "(":
                key = self.pipe()
                self._expect(")")
            else:
                key = ("literal", text) if kind == "name" else self._string(text)
            value: Node = ("field", key)
            if self._accept(":"):
                value = self._alternative()
            entries.append((key, value))
            if not self._peek("}"):
                self._expect(",")
        return ("object", entries)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return {int: "number", float: "number", str: "string", list: "array", dict: "object"}[type(value)]


def _order(value: Any) -> tuple[int, Any]:
    """jq's order of all values."""
    kinds = ["null", "boolean", "number", "string", "array", "object"]
    kind = kinds.index(_kind(value))
    if isinstance(value, list):
        return kind, [_order(v) for v in value]
    if isinstance(value, dict):
        return kind, [[(3, k) for k in sorted(value)], [_order(value[k]) for k in sorted(value)]]
    return kind, 0 if value is None else value


def _truth(value: Any) -> bool:
    return value is not None and value is not False


def _evaluate(node: Node, value: Any) -> Iterator[Any]:
    match node[0]:
        case "identity":
            yield value
        case "literal":
            yield node[1]
        case "field":
            for key in _evaluate(node[1], value):
                yield _at(value, key)
        case "index":
            for inner in _evaluate(node[1], value):
                for key in _evaluate(node[2], value):
                    yield _at(inner, key)
        case "slice":
            for inner in _evaluate(node[1], value):
                first = next(_evaluate(node[2], value)) if node[2] else None
                last = next(_evaluate(node[3], value)) if node[3] else None
                if not isinstance(inner, (list, str)) or not all(
                    isinstance(i, (int, type(None))) for i in (first, last)
                ):
                    raise JqFault(f"error (at <stdin>:0): Cannot index {_kind(inner)} with object")
                yield inner[first:last]
        case "iterate":
            if not isinstance(value, (list, dict)):
                raise JqFault(f"error (at <stdin>:0): Cannot iterate over {_shown(value)}")
            yield from value.values() if isinstance(value, dict) else value
        case "recurse":
            yield value
            for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
                yield from _evaluate(node, child)
        case "pipe":
            for inner in _evaluate(node[1], value):
                yield from _evaluate(node[2], inner)
        case "comma":
            yield from _evaluate(node[1], value)
            yield from _evaluate(node[2], value)
        case "collect":
            yield list(_evaluate(node[1], value))
        case "object":
            yield from _objects(node[1], value)
        case "try":
            try:
                yield from list(_evaluate(node[1], value))
            except JqFault:
                return
        case "alternative":
            try:
                good = [v for v in _evaluate(node[1], value) if _truth(v)]
            except JqFault:
                good = []
            yield from good or _evaluate(node[2], value)
        case "and" | "or":
            for left in _evaluate(node[1], value):
                if _truth(left) != (node[0] == "and"):
                    yield node[0] == "or"
                else:
                    for right in _evaluate(node[2], value):
                        yield _truth(right)
        case "if":
            for condition in _evaluate(node[1], value):
                yield from _evaluate(node[2] if _truth(condition) else node[3], value)
        case "binary":
            for right in _evaluate(node[3], value):
                for left in _evaluate(node[2], value):
                    yield _binary(node[1], left, right)
        case "call":
            yield from _call(node[1], node[2], value)


def _shown(value: Any) -> str:
    return "null" if value is None else f"{_kind(value)} ({json.dumps(value)[:11]})"


def _at(value: Any, key: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, dict) and isinstance(key, str):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int):
        return value[key] if -len(value) <= key < len(value) else None
    what = f'"{key}"' if isinstance(key, str) else _kind(key)
    raise JqFault(f"error (at <stdin>:0): Cannot index {_kind(value)} with {what}")


def _objects(entries: list[tuple[Node, Node]], value: Any) -> Iterator[dict[str, Any]]:
    if not entries:
        yield {}
        return
    (key_node, value_node), *rest = entries
    for key in _evaluate(key_node, value):
        for inner in _evaluate(value_node, value):
            for others in _objects(rest, value):
                yield {str(key): inner, **others}


def _binary(op: str, a: Any, b: Any) -> Any:
    if op in ("==", "!="):
        return (a == b and _kind(a) == _kind(b)) == (op == "==")
    if op in ("<", "<=", ">", ">="):
        x, y = _order(a), _order(b)
        return {"<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y}[op]
    if op == "+":
        if a is None or b is None:
            return b if a is None else a
        if isinstance(a, dict) and isinstance(b, dict):
            return a | b
        if _kind(a) == _kind(b) and not isinstance(a, (bool, dict)):
            return a + b
    numbers = all(_kind(v) == "number" for v in (a, b))
    if op == "-" and isinstance(a, list) and isinstance(b, list):
        return [v for v in a if v not in b]
    if op == "/" and isinstance(a, str) and isinstance(b, str):
        return a.split(b) if b else list(a)
    if numbers:
        if op in "/%" and b == 0:
            raise JqFault(
                f"error (at <stdin>:0): {_shown(a)} and {_shown(b)} cannot be divided because the divisor is zero"
            )
        result = a - b if op == "-" else a * b if op == "*" else a / b if op == "/" else int(a) % int(b)
        return int(result) if isinstance(result, float) and result == int(result) else result
    verb = {"+": "added", "-": "subtracted", "*": "multiplied", "/": "divided", "%": "divided"}[op]
    raise JqFault(f"error (at <stdin>:0): {_shown(a)} and {_shown(b)} cannot be {verb}")


def _call(name: str, arguments: list[Node], value: Any) -> Iterator[Any]:
    argument = arguments[0] if arguments else None
    match name:
        case "length":
            yield 0 if value is None else abs(value) if _kind(value) == "number" else len(value)
        case "keys" | "keys_unsorted" if isinstance(value, (dict, list)):
            yield (
                list(range(len(value))) if isinstance(value, list) else sorted(value) if name == "keys" else list(value)
            )
        case "values" if value is not None:
            yield value
        case "values" | "empty":
            return
        case "type":
            yield _kind(value)
        case "not":
            yield not _truth(value)
        case "map" if argument:
            items = value.values() if isinstance(value, dict) else value
            yield [result for item in items for result in _evaluate(argument, item)]
        case "select" if argument:
            for condition in _evaluate(argument, value):
                if _truth(condition):
                    yield value
        case "has" if argument:
            key = next(_evaluate(argument, value))
            yield key in value if isinstance(value, dict) else isinstance(key, int) and 0 <= key < len(value)
        case "sort" | "sort_by" | "unique" | "unique_by" | "group_by" | "min_by" | "max_by" | "min" | "max" if (
            isinstance(value, list)
        ):
            yield _sorted(name, argument, value)
        case "add" if isinstance(value, (list, dict)):
            total: Any = None
            for item in value.values() if isinstance(value, dict) else value:
                total = _binary("+", total, item)
            yield total
        case "first" if isinstance(value, list):
            yield value[0] if value else None
        case "last" if isinstance(value, list):
            yield value[-1] if value else None
        case "reverse" if isinstance(value, (list, str)):
            yield value[::-1]
        case "tostring":
            yield value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        case "tonumber":
            try:
                yield value if _kind(value) == "number" else json.loads(value)
            except (ValueError, TypeError):
                raise JqFault(f"error (at <stdin>:0): {_shown(value)} cannot be parsed as a number") from None
        case "to_entries" if isinstance(value, dict):
            yield [{"key": k, "value": v} for k, v in value.items()]
        case "from_entries" if isinstance(value, list):
            yield {str(e.get("key", e.get("name"))): e.get("value") for e in value if isinstance(e, dict)}
        case "join" if argument and isinstance(value, list):
            separator = next(_evaluate(argument, value))
            yield str(separator).join("" if v is None else v if isinstance(v, str) else json.dumps(v) for v in value)
        case "split" if argument and isinstance(value, str):
            yield value.split(str(next(_evaluate(argument, value))))
        case "startswith" | "endswith" | "contains" | "test" | "ltrimstr" | "rtrimstr" | "index" if argument:
            yield _text_test(name, value, next(_evaluate(argument, value)))
        case "ascii_downcase" if isinstance(value, str):
            yield value.lower()
        case "ascii_upcase" if isinstance(value, str):
            yield value.upper()
        case "any" | "all" if isinstance(value, list):
            items_ = [r for v in value for r in _evaluate(argument, v)] if argument else value
            yield any(map(_truth, items_)) if name == "any" else all(map(_truth, items_))
        case "tojson":
            yield json.dumps(value, separators=(",", ":"))
        case "fromjson" if isinstance(value, str):
            try:
                yield json.loads(value)
            except ValueError:
                raise JqFault(f"error (at <stdin>:0): {value[:20]} (while parsing)") from None
        case "recurse":
            yield from _evaluate(("recurse",), value)
        case "floor" if _kind(value) == "number":
            yield int(value // 1)
        case _:
            known = {
                "keys",
                "map",
                "sort",
                "add",
                "first",
                "join",
                "split",
                "has",
                "to_entries",
                "from_entries",
                "select",
            }
            if name in known:
                raise JqFault(f"error (at <stdin>:0): {_shown(value)} has no {name}")
            raise JqFault(
                f"error: {name}/{len(arguments)} is not defined at <top-level>, line 1:\njq: 1 compile error", 3
            )


def _sorted(name: str, argument: Node | None, value: list[Any]) -> Any:
    def key(item: Any) -> Any:
        return [_order(v) for v in _evaluate(argument, item)] if argument else [_order(item)]

    ordered = sorted(value, key=key)
    if name.startswith("min") or name.startswith("max"):
        return (ordered[0] if name.startswith("min") else ordered[-1]) if ordered else None
    if name.startswith("sort"):
        return ordered
    groups: list[list[Any]] = []
    for item in ordered:
        if groups and key(groups[-1][0]) == key(item):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups if name == "group_by" else [group[0] for group in groups]


def _text_test(name: str, value: Any, other: Any) -> Any:
    if name == "contains":
        if isinstance(value, dict) and isinstance(other, dict):
            return all(k in value and _text_test(name, value[k], v) for k, v in other.items())
        if isinstance(value, list) and isinstance(other, list):
            return all(any(_text_test(name, v, o) for v in value) for o in other)
        return other in value if isinstance(value, str) and isinstance(other, str) else value == other
    if not isinstance(value, str) or not isinstance(other, str):
        raise JqFault(f"error (at <stdin>:0): {name}() requires string inputs")
    match name:
        case "startswith":
            return value.startswith(other)
        case "endswith":
            return value.endswith(other)
        case "ltrimstr":
            return value.removeprefix(other)
        case "rtrimstr":
            return value.removesuffix(other)
        case "index":
            at = value.find(other)
            return at if at >= 0 else None
    from labrunner.sandbox.workload.text import regex

    try:
        return regex.compile_(other, extended=True).test(value)
    except regex.RegexFault as error:
        raise JqFault(f"error (at <stdin>:0): {other} (at offset 0) is not a valid regex: {error}") from None
