"""awk: runs parsed programs on records. Input, output and commands are the caller's."""

from __future__ import annotations

import contextlib
import math
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from labrunner.sandbox.workload.text import printf, regex
from labrunner.sandbox.workload.text.awk_syntax import AwkFault, Node, Parser
from labrunner.sandbox.workload.text.regex import Regex, RegexFault

Value = float | str
MAX_TEXT = 16 * 1024 * 1024
MAX_CALLS = 100
_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


class Strnum(str):
    """Text from input: a number if it looks like one."""

    __slots__ = ()


class Port(Protocol):
    """What a program can do to the world."""

    async def write(self, text: str, how: str, target: str) -> None: ...

    async def getline(self, kind: str, source: str) -> str | None: ...

    async def system(self, command: str) -> int: ...

    async def close(self, name: str) -> int: ...

    async def breathe(self) -> None: ...


class _Next(Exception):
    pass


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Return(Exception):
    def __init__(self, value: Value) -> None:
        self.value = value


class _Exit(Exception):
    pass


class Awk:
    """One program. Raises AwkFault."""

    def __init__(self, text: str, port: Port, separator: str | None, variables: dict[str, str], arguments: list[str],
                 environment: dict[str, str]) -> None:  # fmt: skip
        self._parser = Parser(text)
        self._port = port
        self.globals: dict[str, Any] = {
            "FS": " ", "OFS": " ", "ORS": "\n", "RS": "\n", "NR": 0.0, "FNR": 0.0, "NF": 0.0, "FILENAME": "",
            "SUBSEP": "\x1c", "RSTART": 0.0, "RLENGTH": -1.0, "CONVFMT": "%.6g", "OFMT": "%.6g",
            "ENVIRON": {k: Strnum(v) for k, v in environment.items()},
            "ARGV": {str(i): a for i, a in enumerate(arguments)}, "ARGC": float(len(arguments)),
        }  # fmt: skip
        if separator is not None:
            self.globals["FS"] = separator
        for name, value in variables.items():
            self.globals[name] = Strnum(value)
        self._frames: list[dict[str, Any]] = []
        self._record = ""
        self._fields: list[str] = []
        self._ranges: set[int] = set()
        self.status = 0
        self._random = random.Random(0)
        self._source: Callable[[], Awaitable[tuple[str, str] | None]] | None = None
        self._steps = 0

    async def run(self, records: AsyncIterator[tuple[str, str]]) -> int:
        """`records` yields (file name, record). The exit status."""

        async def pull() -> tuple[str, str] | None:
            return await anext(records, None)

        self._source = pull
        try:
            await self._rules("BEGIN")
            kinds = {rule[0] for rule in self._parser.rules}
            if "" in kinds or "END" in kinds:
                while (item := await pull()) is not None:
                    self._take(item)
                    try:
                        await self._main_rules()
                    except _Next:
                        continue
        except _Exit:
            pass
        else:
            with contextlib.suppress(_Exit):
                await self._rules("END")
            return self.status
        with contextlib.suppress(_Exit):
            if not self._exiting_in_end:
                await self._rules("END")
        return self.status

    _exiting_in_end = False

    def _take(self, item: tuple[str, str]) -> None:
        name, record = item
        if name != self.globals["FILENAME"]:
            self.globals["FILENAME"] = name
            self.globals["FNR"] = 0.0
        self.globals["NR"] = number(self.globals["NR"]) + 1
        self.globals["FNR"] = number(self.globals["FNR"]) + 1
        self._set_record(record)

    def _set_record(self, text: str) -> None:
        self._record = text
        self._fields = self._split(text, str(self.globals["FS"]))
        self.globals["NF"] = float(len(self._fields))

    def _split(self, text: str, separator: str) -> list[str]:
        if separator == " ":
            return text.split()
        if not text:
            return []
        if separator == "":
            return list(text)
        if len(separator) == 1 and separator != "\\":
            return text.split(separator if separator != "\t" else "\t")
        try:
            expression = regex.compile_(separator, extended=True)
        except RegexFault as error:
            raise AwkFault(str(error)) from None
        return self._split_by(text, expression)

    @staticmethod
    def _split_by(text: str, expression: Regex) -> list[str]:
        found, at = [], 0
        for match in expression.finditer(text):
            if match.end > match.start:
                found.append(text[at : match.start])
                at = match.end
        return [*found, text[at:]]

    async def _rules(self, kind: str) -> None:
        if kind == "END":
            self._exiting_in_end = True
        for rule in self._parser.rules:
            if rule[0] == kind:
                await self._execute(rule[3])

    async def _main_rules(self) -> None:
        for index, (kind, first, second, body) in enumerate(self._parser.rules):
            if kind:
                continue
            if second is not None:
                if index not in self._ranges:
                    if not truth(await self._value(first)):
                        continue
                    self._ranges.add(index)
                if truth(await self._value(second)):
                    self._ranges.discard(index)
            elif first is not None and not truth(await self._value(first)):
                continue
            if body is None:
                await self._port.write(self._record + self._text(self.globals["ORS"]), "", "")
            else:
                await self._execute(body)
        await self._port.breathe()

    # statements

    async def _execute(self, node: Node | None) -> None:
        if node is None:
            return
        self._steps += 1
        if self._steps % 256 == 0:
            await self._port.breathe()
        match node[0]:
            case "block":
                for statement in node[1]:
                    await self._execute(statement)
            case "expr":
                await self._value(node[1])
            case "print" | "printf":
                await self._print(node)
            case "if":
                await self._execute(node[2] if truth(await self._value(node[1])) else node[3])
            case "while":
                while truth(await self._value(node[1])):
                    if not await self._looped(node[2]):
                        break
            case "do":
                while await self._looped(node[1]) and truth(await self._value(node[2])):
                    continue
            case "for":
                await self._execute(node[1])
                while node[2] is None or truth(await self._value(node[2])):
                    if not await self._looped(node[4]):
                        break
                    await self._execute(node[3])
            case "forin":
                for key in list(self._array(node[2])):
                    self._assign_variable(node[1], Strnum(key))
                    if not await self._looped(node[3]):
                        break
            case "next" | "nextfile":
                raise _Next
            case "break":
                raise _Break
            case "continue":
                raise _Continue
            case "exit":
                if node[1] is not None:
                    self.status = int(number(await self._value(node[1]))) & 0xFF
                raise _Exit
            case "return":
                raise _Return(await self._value(node[1]) if node[1] is not None else "")
            case "delete":
                if node[2] is None:
                    self._array(node[1]).clear()
                else:
                    self._array(node[1]).pop(await self._key(node[2]), None)

    async def _looped(self, body: Node) -> bool:
        self._steps += 1
        if self._steps % 64 == 0:
            await self._port.breathe()
        try:
            await self._execute(body)
        except _Break:
            return False
        except _Continue:
            pass
        return True

    async def _print(self, node: Node) -> None:
        word, arguments, how, target = node
        values = [await self._value(argument) for argument in arguments]
        if word == "print":
            if values:
                text = self._text(self.globals["OFS"]).join(self._output(value) for value in values)
            else:
                text = self._record
            text += self._text(self.globals["ORS"])
        else:
            text = self._format(values)
        await self._port.write(text, how, self._text(await self._value(target)) if target is not None else "")

    def _format(self, values: list[Value]) -> str:
        if not values:
            raise AwkFault("printf: no format")
        template, rest = self._text(values[0]), values[1:]
        pieces: list[str] = []
        for item in rest:
            pieces.append(str(int(item)) if isinstance(item, float) and item == int(item) and abs(item) < 1e18 and
                          not math.isinf(item) else repr(item) if isinstance(item, float) else str(item))  # fmt: skip
        template = re.sub(r"%([-+ #0]*\d*(?:\.\d+)?)[diu]", lambda m: f"%{m[1]}d", template)
        numbers = iter(re.findall(r"%[-+ #0]*(?:\*|\d+)?(?:\.(?:\*|\d+))?([a-zA-Z%])", template))
        adapted: list[str] = []
        kinds = [k for k in numbers if k != "%"]
        for index, item in enumerate(rest):
            kind = kinds[index] if index < len(kinds) else "s"
            if kind in "dxXo":
                adapted.append(str(int(number(item))) if not math.isinf(number(item)) else "0")
            elif kind in "eEfFgG":
                adapted.append(repr(number(item)))
            elif kind == "c":
                adapted.append(
                    chr(int(item)) if isinstance(item, float) and 0 < item < 0x110000 else self._text(item)[:1]
                )
            else:
                adapted.append(self._text(item))
        adapted += ["" if k in "sc" else "0" for k in kinds[len(adapted) :]]
        try:
            return printf._once(template.replace("\\", "\\\\"), adapted, [])[0]
        except printf.PrintfFault as error:
            raise AwkFault(str(error)) from None

    # values

    async def _value(self, node: Node) -> Value:
        match node[0]:
            case "num" | "str":
                return node[1]  # type: ignore[no-any-return]
            case "regex":
                return float(node[1].test(self._record))
            case "var":
                found = self._variable(node[1])
                if isinstance(found, dict):
                    raise AwkFault(f"attempt to use array `{node[1]}' in a scalar context")
                return found  # type: ignore[no-any-return]
            case "group":
                return await self._value(node[1])
            case "field":
                return self._field(int(number(await self._value(node[1]))))
            case "index":
                array, key = self._array(node[1]), await self._key(node[2])
                if key not in array:
                    array[key] = Strnum("")
                return array[key]  # type: ignore[no-any-return]
            case "assign":
                return await self._assign(node)
            case "cond":
                return await self._value(node[2] if truth(await self._value(node[1])) else node[3])
            case "and":
                return float(truth(await self._value(node[1])) and truth(await self._value(node[2])))
            case "or":
                return float(truth(await self._value(node[1])) or truth(await self._value(node[2])))
            case "not":
                return float(not truth(await self._value(node[1])))
            case "neg":
                return -number(await self._value(node[1]))
            case "pos":
                return number(await self._value(node[1]))
            case "cat":
                text = self._text(await self._value(node[1])) + self._text(await self._value(node[2]))
                if len(text) > MAX_TEXT:
                    raise AwkFault("out of memory")
                return text
            case "bin":
                return self._binary(node[1], await self._value(node[2]), await self._value(node[3]))
            case "match":
                expression = await self._expression(node[3])
                return float(expression.test(self._text(await self._value(node[2]))) != node[1])
            case "in":
                return float(await self._key(node[1]) in self._array(node[2]))
            case "incr":
                return await self._increment(node)
            case "call":
                return await self._call(node[1], node[2])
            case "getline":
                return await self._getline(node)
            case "grouplist":
                return self._text(self.globals["SUBSEP"]).join([self._text(await self._value(n)) for n in node[1]])
        raise AwkFault("Unexpected token")

    def _text(self, value: Value) -> str:
        if isinstance(value, str):
            return str(value)
        if math.isinf(value) or math.isnan(value):
            return str(value)
        return str(int(value)) if value == int(value) and abs(value) < 1e16 else str(self.globals["CONVFMT"]) % value

    def _output(self, value: Value) -> str:
        if isinstance(value, float) and not (math.isinf(value) or math.isnan(value)) and value != int(value):
            return str(self.globals["OFMT"]) % value
        return self._text(value)

    def _scope(self, name: str) -> dict[str, Any]:
        return self._frames[-1] if self._frames and name in self._frames[-1] else self.globals

    def _variable(self, name: str) -> Any:
        scope = self._scope(name)
        return scope.setdefault(name, Strnum("")) if scope.get(name) is None else scope[name]

    def _assign_variable(self, name: str, value: Value) -> None:
        self._scope(name)[name] = value
        if name == "NF":
            count = max(0, min(int(number(value)), 100_000))
            self._fields = (self._fields + [""] * count)[:count]
            self._record = self._text(self.globals["OFS"]).join(self._fields)

    def _array(self, name: str) -> dict[str, Any]:
        scope = self._scope(name)
        found = scope.get(name)
        if found is None or found == "":
            found = scope[name] = {}
        if not isinstance(found, dict):
            raise AwkFault(f"attempt to use scalar `{name}' as an array")
        return found

    async def _key(self, nodes: list[Node]) -> str:
        return self._text(self.globals["SUBSEP"]).join([self._text(await self._value(node)) for node in nodes])

    def _field(self, index: int) -> Strnum:
        if index == 0:
            return Strnum(self._record)
        if index < 0:
            raise AwkFault("attempt to access field -1")
        return Strnum(self._fields[index - 1] if index <= len(self._fields) else "")

    def _set_field(self, index: int, text: str) -> None:
        if index == 0:
            self._set_record(text)
            return
        if not 0 < index < 100_000:
            raise AwkFault("attempt to access field -1")
        self._fields += [""] * (index - len(self._fields))
        self._fields[index - 1] = text
        self.globals["NF"] = float(len(self._fields))
        self._record = self._text(self.globals["OFS"]).join(self._fields)

    async def _store(self, left: Node, value: Value) -> None:
        if left[0] == "var":
            self._assign_variable(left[1], value)
        elif left[0] == "field":
            self._set_field(int(number(await self._value(left[1]))), self._text(value))
        else:
            self._array(left[1])[await self._key(left[2])] = value

    async def _assign(self, node: Node) -> Value:
        _, op, left, right = node
        value = await self._value(right)
        if op:
            value = self._binary(op, await self._value(left), value)
        await self._store(left, value)
        return value

    async def _increment(self, node: Node) -> Value:
        _, kind, left = node
        old = number(await self._value(left))
        new = old + (1 if kind.endswith("++") else -1)
        await self._store(left, new)
        return new if kind.startswith("pre") else old

    def _binary(self, op: str, a: Value, b: Value) -> Value:
        if op in ("<", "<=", "==", "!=", ">=", ">"):
            if _numeric(a) and _numeric(b):
                x: Any = number(a)
                y: Any = number(b)
            else:
                x, y = self._text(a), self._text(b)
            return float({"<": x < y, "<=": x <= y, "==": x == y, "!=": x != y, ">=": x >= y, ">": x > y}[op])
        left, right = number(a), number(b)
        try:
            match op:
                case "+":
                    return left + right
                case "-":
                    return left - right
                case "*":
                    return left * right
                case "/":
                    if right == 0:
                        raise AwkFault("cmd. line:1: Division by zero")
                    return left / right
                case "%":
                    if right == 0:
                        raise AwkFault("cmd. line:1: Division by zero")
                    return math.fmod(left, right)
                case "^":
                    result = left**right
                    return result if isinstance(result, float) else math.nan
        except OverflowError:
            return math.inf
        raise AwkFault("Unexpected token")

    async def _expression(self, node: Node) -> Regex:
        if node[0] == "regex":
            return node[1]  # type: ignore[no-any-return]
        try:
            return regex.compile_(self._text(await self._value(node)), extended=True)
        except RegexFault as error:
            raise AwkFault(f"bad regex: {error}") from None

    async def _getline(self, node: Node) -> Value:
        _, kind, source, target = node
        if kind:
            line = await self._port.getline(kind, self._text(await self._value(source)))
        else:
            item = await self._source() if self._source else None
            line = item[1] if item else None
        if line is None:
            return 0.0
        if kind != "file":
            self.globals["NR"] = number(self.globals["NR"]) + 1
        if target is None:
            self._set_record(line)
        else:
            await self._store(target, Strnum(line))
        return 1.0

    # functions

    async def _call(self, name: str, nodes: list[Node]) -> Value:
        if name in self._parser.functions:
            return await self._user_function(name, nodes)
        if name in ("sub", "gsub", "split", "match", "gensub"):
            return await self._text_function(name, nodes)
        if (
            name == "length"
            and len(nodes) == 1
            and nodes[0][0] == "var"
            and isinstance(self._variable(nodes[0][1]), dict)
        ):
            return float(len(self._array(nodes[0][1])))
        values = [await self._value(node) for node in nodes]
        return await self._builtin(name, values)

    async def _user_function(self, name: str, nodes: list[Node]) -> Value:
        parameters, body = self._parser.functions[name]
        if len(self._frames) >= MAX_CALLS:
            raise AwkFault("function call nesting too deep")
        frame: dict[str, Any] = {}
        for index, parameter in enumerate(parameters):
            if index >= len(nodes):
                frame[parameter] = None
                continue
            node = nodes[index]
            if node[0] == "var":
                known = self._scope(node[1]).get(node[1])
                if known is None:  # it may become an array inside
                    known = self._scope(node[1])[node[1]] = {}
                    frame[parameter] = known
                    continue
                frame[parameter] = known
            else:
                frame[parameter] = await self._value(node)
        self._frames.append(frame)
        try:
            await self._execute(body)
        except _Return as returned:
            return returned.value
        finally:
            self._frames.pop()
        return Strnum("")

    async def _text_function(self, name: str, nodes: list[Node]) -> Value:
        if name == "split":
            text = self._text(await self._value(nodes[0]))
            if len(nodes) > 2 and nodes[2][0] == "regex":
                parts = self._split_by(text, nodes[2][1]) if text else []
            else:
                separator = self._text(await self._value(nodes[2])) if len(nodes) > 2 else str(self.globals["FS"])
                parts = self._split(text, separator)
            array = self._array(nodes[1][1])
            array.clear()
            array.update({str(i): Strnum(part) for i, part in enumerate(parts, 1)})
            return float(len(parts))
        if name == "match":
            text = self._text(await self._value(nodes[0]))
            found = (await self._expression(nodes[1])).search(text)
            self.globals["RSTART"] = float(found.start + 1 if found else 0)
            self.globals["RLENGTH"] = float(found.end - found.start if found else -1)
            return float(self.globals["RSTART"])
        expression = await self._expression(nodes[0])
        template = self._text(await self._value(nodes[1]))
        if name == "gensub":
            how = self._text(await self._value(nodes[2])) if len(nodes) > 2 else "g"
            text = self._text(await self._value(nodes[3])) if len(nodes) > 3 else self._record
            return _substituted(expression, template, text, how, groups=True)[0]
        left = nodes[2] if len(nodes) > 2 else ("field", ("num", 0.0))
        text = self._text(await self._value(left))
        result, count = _substituted(expression, template, text, "g" if name == "gsub" else "1", groups=False)
        if count:
            await self._store(left, result)
        return float(count)

    async def _builtin(self, name: str, values: list[Value]) -> Value:
        texts = [self._text(v) for v in values]
        numbers = [number(v) for v in values]
        match name:
            case "length":
                return float(len(texts[0]) if texts else len(self._record))
            case "substr" if len(values) > 1:
                start = round(numbers[1])
                end = start + round(numbers[2]) if len(values) > 2 and not math.isinf(numbers[2]) else len(texts[0]) + 1
                return texts[0][max(0, start - 1) : max(0, end - 1)]
            case "index" if len(values) > 1:
                return float(texts[0].find(texts[1]) + 1)
            case "sprintf":
                return self._format(values)
            case "tolower" if values:
                return texts[0].lower()
            case "toupper" if values:
                return texts[0].upper()
            case "int" if values:
                return float(math.trunc(numbers[0])) if not math.isinf(numbers[0]) else numbers[0]
            case "sin" | "cos" | "exp" | "log" | "sqrt" if values:
                try:
                    return float(getattr(math, name)(numbers[0]))
                except (ValueError, OverflowError):
                    return math.nan
            case "atan2" if len(values) > 1:
                return math.atan2(numbers[0], numbers[1])
            case "rand":
                return self._random.random()
            case "srand":
                self._random.seed(numbers[0] if numbers else time.time())
                return 0.0
            case "system" if values:
                return float(await self._port.system(texts[0]))
            case "close" if values:
                return float(await self._port.close(texts[0]))
            case "fflush":
                return 0.0
            case "systime":
                return float(int(time.time()))
            case "strftime":
                when = datetime.fromtimestamp(numbers[1] if len(numbers) > 1 else time.time(), UTC)
                return when.strftime(texts[0] if texts else "%a %b %d %H:%M:%S UTC %Y")
            case "and" | "or" | "xor" if len(values) > 1:
                x, y = int(numbers[0]), int(numbers[1])
                return float(x & y if name == "and" else x | y if name == "or" else x ^ y)
            case "lshift" | "rshift" if len(values) > 1:
                shift = int(numbers[1]) % 64
                return float(int(numbers[0]) << shift if name == "lshift" else int(numbers[0]) >> shift)
        raise AwkFault("cmd. line:1: Call to undefined function")


def number(value: Value) -> float:
    """As awk reads it: the leading number of a text."""
    if isinstance(value, float):
        return value
    if isinstance(value, int):
        return float(value)
    found = _NUMBER.match(value)
    return float(found[0]) if found else 0.0


def _numeric(value: Value) -> bool:
    if isinstance(value, float):
        return True
    if isinstance(value, Strnum):
        text = value.strip()
        found = _NUMBER.fullmatch(text)
        return found is not None or value == ""
    return False


def truth(value: Value) -> bool:
    if isinstance(value, float):
        return value != 0
    if isinstance(value, Strnum) and value and _numeric(value):
        return number(value) != 0
    return value != ""


def _substituted(expression: Regex, template: str, text: str, how: str, *, groups: bool) -> tuple[str, int]:
    out: list[str] = []
    at = count = seen = 0
    wanted = int(how) if how.isdigit() else 0
    for match in expression.finditer(text):
        seen += 1
        if wanted and seen != wanted:
            continue
        out.append(text[at : match.start])
        piece: list[str] = []
        index = 0
        while index < len(template):
            char = template[index]
            if char == "\\" and index + 1 < len(template):
                index += 1
                nxt = template[index]
                if groups and nxt.isdigit():
                    number_ = int(nxt)
                    if number_ < len(match.groups) and match.groups[number_][0] >= 0:
                        piece.append(text[slice(*match.groups[number_])])
                else:
                    piece.append(nxt if nxt in "&\\" else "\\" + nxt)
            elif char == "&":
                piece.append(text[match.start : match.end])
            else:
                piece.append(char)
            index += 1
        out.append("".join(piece))
        at = match.end
        count += 1
        if wanted:
            break
    return "".join(out) + text[at:], count
