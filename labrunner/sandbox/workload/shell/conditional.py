"""`test`, `[` and `[[`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from labrunner.sandbox.workload.filesystem.node import Device, Directory, File, Node, Symlink
from labrunner.sandbox.workload.filesystem.tree import may
from labrunner.sandbox.workload.shell import pattern
from labrunner.sandbox.workload.shell.syntax import Conditional, Word
from labrunner.sandbox.workload.text import regex

if TYPE_CHECKING:
    from labrunner.sandbox.workload.machine.process import Process
    from labrunner.sandbox.workload.shell.executor import Shell

UNARY = frozenset("bcdefghkLnprsStuwxzGNO")
BINARY = frozenset(("=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"))


class TestFault(Exception):
    """A wrong expression; status 2."""


def test(process: Process, words: Sequence[str]) -> bool:
    """`test` with these arguments. Raises TestFault."""
    words = list(words)
    match len(words):
        case 0:
            return False
        case 1:
            return words[0] != ""
        case 2:
            if words[0] == "!":
                return words[1] == ""
            if _is_unary(words[0]):
                return unary(process, words[0][1], words[1])
            raise TestFault(f"{words[0]}: unexpected operator")
        case 3:
            if words[1] in BINARY:
                return binary(process, words[0], words[1], words[2])
            if words[1] in ("-a", "-o"):
                return bool(words[0] and words[2]) if words[1] == "-a" else bool(words[0] or words[2])
            if words[0] == "!":
                return not test(process, words[1:])
            if words[0] == "(" and words[2] == ")":
                return words[1] != ""
            raise TestFault(f"{words[1]}: unexpected operator")
    if len(words) == 4 and words[0] == "!":
        return not test(process, words[1:])
    parser = _Expression(process, words)
    result = parser.either()
    if parser.at != len(words):
        raise TestFault("too many arguments")
    return result


def _is_unary(word: str) -> bool:
    return len(word) == 2 and word[0] == "-" and word[1] in UNARY


class _Expression:
    def __init__(self, process: Process, words: list[str]) -> None:
        self.process, self.words, self.at, self.depth = process, words, 0, 0

    def either(self) -> bool:
        value = self.both()
        while self.at < len(self.words) and self.words[self.at] == "-o":
            self.at += 1
            right = self.both()
            value = value or right
        return value

    def both(self) -> bool:
        value = self.negation()
        while self.at < len(self.words) and self.words[self.at] == "-a":
            self.at += 1
            right = self.negation()
            value = value and right
        return value

    def negation(self) -> bool:
        count = 0
        while self.at < len(self.words) - 1 and self.words[self.at] == "!":
            self.at += 1
            count += 1
        return self.primary() != bool(count % 2)

    def primary(self) -> bool:
        rest = self.words[self.at :]
        if not rest:
            raise TestFault("argument expected")
        if len(rest) >= 3 and rest[1] in BINARY:
            self.at += 3
            return binary(self.process, rest[0], rest[1], rest[2])
        if rest[0] == "(":
            self.depth += 1
            if self.depth > 50:
                raise TestFault("too many arguments")
            self.at += 1
            value = self.either()
            if self.at >= len(self.words) or self.words[self.at] != ")":
                raise TestFault("closing paren expected")
            self.at += 1
            self.depth -= 1
            return value
        if len(rest) >= 2 and _is_unary(rest[0]):
            self.at += 2
            return unary(self.process, rest[0][1], rest[1])
        self.at += 1
        return rest[0] != ""


def unary(process: Process, letter: str, operand: str) -> bool:
    if letter == "n":
        return operand != ""
    if letter == "z":
        return operand == ""
    if letter == "t":
        stream = process.descriptors.get(int(operand)) if operand.isdigit() else None
        return bool(stream and stream.is_tty)
    try:
        node: Node = process.fs.node(operand, process.cwd, follow=letter not in "hL", owner=process.owner)
    except OSError:
        return False
    match letter:
        case "e":
            return True
        case "f":
            return isinstance(node, File)
        case "d":
            return isinstance(node, Directory)
        case "h" | "L":
            return isinstance(node, Symlink)
        case "s":
            return (len(node.read()) if isinstance(node, File) else node.size) > 0
        case "r" | "w" | "x":
            writable = process.fs.mount_of(process.fs.canonical(operand, process.cwd))[1]
            if letter == "w" and ((writable and writable.read_only) or (not writable and process.fs.read_only)):
                return False
            return may(node, process.owner, {"r": 4, "w": 2, "x": 1}[letter])
        case "c":
            return isinstance(node, Device)
        case "u" | "g" | "k":
            return bool(node.mode & {"u": 0o4000, "g": 0o2000, "k": 0o1000}[letter])
        case "O" | "G":
            return node.uid == process.owner.uid if letter == "O" else node.gid == process.owner.gid
        case "N":
            return node.mtime > time.time() - 1
    return False


def binary(process: Process, left: str, op: str, right: str) -> bool:
    if op in ("=", "=="):
        return left == right
    if op == "!=":
        return left != right
    if op in ("<", ">"):
        return left < right if op == "<" else left > right
    if op in ("-nt", "-ot", "-ef"):
        return _files(process, left, op, right)
    a, b = integer(left), integer(right)
    return {"-eq": a == b, "-ne": a != b, "-lt": a < b, "-le": a <= b, "-gt": a > b, "-ge": a >= b}[op]


def integer(text: str) -> int:
    """Raises TestFault."""
    if not re.fullmatch(r"\s*[-+]?\d{1,40}\s*", text):
        raise TestFault(f"Illegal number: {text}")
    return int(text)


def _files(process: Process, left: str, op: str, right: str) -> bool:
    def node(path: str) -> Node | None:
        try:
            return process.fs.node(path, process.cwd)
        except OSError:
            return None

    a, b = node(left), node(right)
    if op == "-ef":
        return a is not None and a is b
    if op == "-ot":
        a, b = b, a
    return a is not None and (b is None or a.mtime > b.mtime)


async def evaluate(shell: Shell, command: Conditional) -> int:
    """The status of `[[ ... ]]`."""
    try:
        return int(not await _DoubleBrackets(shell, command.words).whole())
    except TestFault as error:
        await shell.process.error(shell.message(str(error)))
        return 2


class _DoubleBrackets:
    def __init__(self, shell: Shell, words: list[Word]) -> None:
        self.shell, self.words, self.at = shell, words, 0

    def _plain(self, ahead: int = 0) -> str | None:
        index = self.at + ahead
        if index >= len(self.words):
            return None
        word = self.words[index]
        return word.plain() if word.parts else None

    async def whole(self) -> bool:
        value = await self.either(True)
        if self.at != len(self.words):
            raise TestFault("syntax error in conditional expression")
        return value

    async def either(self, live: bool) -> bool:
        value = await self.both(live)
        while self._plain() == "||":
            self.at += 1
            right = await self.both(live and not value)
            value = value or right
        return value

    async def both(self, live: bool) -> bool:
        value = await self.primary(live)
        while self._plain() == "&&":
            self.at += 1
            right = await self.primary(live and value)
            value = value and right
        return value

    async def primary(self, live: bool) -> bool:
        word = self._plain()
        if self.at >= len(self.words):
            raise TestFault("syntax error in conditional expression")
        if word == "!":
            self.at += 1
            return not await self.primary(live)
        if word == "(":
            self.at += 1
            value = await self.either(live)
            if self._plain() != ")":
                raise TestFault("syntax error in conditional expression")
            self.at += 1
            return value
        op = self._plain(1)
        if op in BINARY or op == "=~":
            if self.at + 2 >= len(self.words):
                raise TestFault("syntax error in conditional expression")
            left, right = self.words[self.at], self.words[self.at + 2]
            self.at += 3
            return await self._binary(left, op or "", right) if live else False
        expander = self.shell.expander
        if word is not None and _is_unary(word) and self.at + 1 < len(self.words) and op not in ("&&", "||", ")"):
            operand = self.words[self.at + 1]
            self.at += 2
            return unary(self.shell.process, word[1], await expander.text(operand)) if live else False
        if word is not None and word == "-v" and self.at + 1 < len(self.words):
            name = await expander.text(self.words[self.at + 1])
            self.at += 2
            return self.shell.state.get(name) is not None
        self.at += 1
        return bool(await expander.text(self.words[self.at - 1])) if live else False

    async def _binary(self, left: Word, op: str, right: Word) -> bool:
        expander, state = self.shell.expander, self.shell.state
        text = await expander.text(left)
        if op in ("=", "==", "!="):
            found = pattern.matches(pattern.compiled(await expander.pieces(right)), text)
            return found == (op != "!=")
        if op == "=~":
            pieces = await expander.pieces(right)
            source = "".join(regex.escape(p.text) if p.quoted else p.text for p in pieces)
            try:
                match = regex.compile_(source, extended=True).search(text)
            except regex.RegexFault as error:
                raise TestFault(str(error)) from None
            groups = [text[a:b] if a >= 0 else "" for a, b in match.groups] if match else []
            from labrunner.sandbox.workload.shell.state import Variable

            state.variables["BASH_REMATCH"] = Variable(items=dict(enumerate(groups)))
            return match is not None
        if op.startswith("-") and op not in ("-nt", "-ot", "-ef"):
            a = await expander.number(text)
            b = await expander.number(await expander.text(right))
            compare: dict[str, Callable[[int, int], bool]] = {
                "-eq": int.__eq__, "-ne": int.__ne__, "-lt": int.__lt__, "-le": int.__le__, "-gt": int.__gt__,
                "-ge": int.__ge__,
            }  # fmt: skip
            return compare[op](a, b)
        return binary(self.shell.process, text, op, await expander.text(right))
