"""POSIX basic and extended regular expressions that cannot hang.

Harmless expressions run on Python's `re`. Those that could backtrack for ever, and those where POSIX wants the longest
alternative, run on a simulated automaton, whose time is linear in pattern times text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r" \t\n\r\f\v",
    "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "print": " -~", "graph": "!-~", "cntrl": r"\x00-\x1f\x7f",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_SHORT = {"w": "[A-Za-z0-9_]", "W": "[^A-Za-z0-9_]", "s": r"[ \t\n\r\f\v]", "S": r"[^ \t\n\r\f\v]", "d": "[0-9]",
          "D": "[^0-9]"}  # fmt: skip
_MAX_REPEAT = 255
_MAX_NODES = 4000
_BUDGET = 4_000_000


class RegexFault(Exception):
    """What grep and sed say about a wrong expression."""


@dataclass(frozen=True, slots=True)
class Match:
    """`groups[0]` is the whole match; (-1, -1) for a group that took no part."""

    groups: tuple[tuple[int, int], ...]

    @property
    def start(self) -> int:
        return self.groups[0][0]

    @property
    def end(self) -> int:
        return self.groups[0][1]


# tree: tuples ("char", c) ("any",) ("set", pattern text) ("assert", kind) ("cat", items) ("alt", items)
# ("repeat", item, low, high or None) ("group", number, item) ("back", number)
Tree = tuple[Any, ...]


def escape(text: str) -> str:
    """So that the text stands for itself in an extended expression."""
    return "".join("\\" + c if c in r"\.[]{}()*+?^$|/" else c for c in text)


@functools.lru_cache(maxsize=256)
def compile_(text: str, *, extended: bool = False, ignore_case: bool = False, fixed: bool = False) -> Regex:
    """Raises RegexFault."""
    if len(text) > 10_000:
        raise RegexFault("Regular expression too big")
    if fixed:
        tree: Tree = ("cat", [("char", c) for c in text])
        groups = 0
    else:
        parser = _Parser(text, extended)
        tree = parser.whole()
        groups = parser.groups
    return Regex(tree, groups, ignore_case)


class Regex:
    def __init__(self, tree: Tree, groups: int, ignore_case: bool) -> None:
        self.groups, self._ignore_case = groups, ignore_case
        self._tree = tree
        self._unbounded, self._nested = _quantifiers(tree)
        self._alternates = _has(tree, "alt")
        self._back = _has(tree, "back")
        flags = re.IGNORECASE if ignore_case else 0
        try:
            self._fast = re.compile(_python(tree), flags | re.DOTALL)
        except (re.error, OverflowError, RecursionError):
            raise RegexFault("Invalid regular expression") from None
        self._program: list[Tree] | None = None

    def test(self, text: str) -> bool:
        """Whether it matches anywhere."""
        if self._safe(text):
            return self._fast.search(text) is not None
        return self._simulate(text, 0) is not None

    def search(self, text: str, start: int = 0) -> Match | None:
        """The leftmost, longest match from `start` on."""
        if self._safe(text) and not (self._alternates and not self._back):
            found = self._fast.search(text, start)
            if found is None:
                return None
            return Match(tuple(found.span(number) for number in range(self.groups + 1)))
        return self._simulate(text, start)

    def finditer(self, text: str) -> Iterator[Match]:
        """Matches that do not overlap; an empty one is not found right after another."""
        at, last = 0, -1
        while at <= len(text):
            found = self.search(text, at)
            if found is None:
                return
            if found.end == found.start and found.start == last:
                at = found.end + 1
                continue
            yield found
            last = found.end
            at = found.end if found.end > found.start else found.end + 1

    def _safe(self, text: str) -> bool:
        if self._back:
            if self._nested or len(text) ** (self._unbounded + 1) > _BUDGET * 100:
                raise RegexFault("Regular expression too big")
            return True
        return not self._nested and (len(text) + 1) ** (self._unbounded + 1) <= _BUDGET

    def _simulate(self, text: str, start: int) -> Match | None:
        if self._program is None:
            self._program = _program(self._tree)
        return _run(self._program, text, start, self.groups, self._ignore_case)


class _Parser:
    def __init__(self, text: str, extended: bool) -> None:
        self.text, self.extended = text, extended
        self.at = 0
        self.groups = 0
        self._depth = 0

    def whole(self) -> Tree:
        tree = self._alternatives()
        if self.at < len(self.text):
            raise RegexFault("Unmatched ) or \\)")
        return tree

    def _peek(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def _alternatives(self) -> Tree:
        bar = "|" if self.extended else "\\|"
        items = [self._concatenation()]
        while self._peek(bar):
            self.at += len(bar)
            items.append(self._concatenation())
        return items[0] if len(items) == 1 else ("alt", items)

    def _concatenation(self) -> Tree:
        items: list[Tree] = []
        closing = ")" if self.extended else "\\)"
        bar = "|" if self.extended else "\\|"
        while self.at < len(self.text):
            if self._peek(bar) or (self._peek(closing) and (self._depth or not self.extended)):
                break
            atom = self._atom(not items)
            items.append(self._quantified(atom))
        return items[0] if len(items) == 1 else ("cat", items)

    def _quantified(self, atom: Tree) -> Tree:
        while self.at < len(self.text):
            if self._peek("*"):
                low, high = 0, None
                self.at += 1
            elif self.extended and self.text[self.at] in "+?":
                low, high = (1, None) if self.text[self.at] == "+" else (0, 1)
                self.at += 1
            elif not self.extended and (self._peek("\\+") or self._peek("\\?")):
                low, high = (1, None) if self.text[self.at + 1] == "+" else (0, 1)
                self.at += 2
            elif self._peek("{" if self.extended else "\\{"):
                bounds = self._bounds()
                if bounds is None:
                    return atom
                low, high = bounds
            else:
                return atom
            if atom[0] == "assert":
                atom = ("cat", [atom])
            atom = ("repeat", atom, low, high)
        return atom

    def _bounds(self) -> tuple[int, int | None] | None:
        closing = "}" if self.extended else "\\}"
        start = self.at + (1 if self.extended else 2)
        end = self.text.find(closing, start)
        body = self.text[start:end] if end >= 0 else ""
        found = re.fullmatch(r"(\d*)(,?)(\d*)", body)
        if end < 0 or not found or not (found[1] or found[3]):
            if self.extended:
                return None
            raise RegexFault("Unmatched { or \\{" if end < 0 else "Invalid content of \\{\\}")
        low = int(found[1] or 0)
        high = int(found[3]) if found[3] else None if found[2] else low
        if low > _MAX_REPEAT or (high or 0) > _MAX_REPEAT:
            raise RegexFault("Regular expression too big")
        if high is not None and low > high:
            raise RegexFault("Invalid content of \\{\\}")
        self.at = end + len(closing)
        return low, high

    def _atom(self, first: bool) -> Tree:
        char = self.text[self.at]
        self.at += 1
        if char == "[":
            return ("set", self._set())
        if char == ".":
            return ("any",)
        if char == "^" and (self.extended or first):
            return ("assert", "^")
        if char == "$" and (self.extended or self.at == len(self.text) or self._peek("\\)") or self._peek("\\|")):
            return ("assert", "$")
        if self.extended and char == "(":
            return self._group(")")
        if self.extended and char == "{" and first:
            return ("char", char)
        if char == "\\":
            return self._escaped()
        return ("char", char)

    def _group(self, closing: str) -> Tree:
        self.groups += 1
        number = self.groups
        self._depth += 1
        if self._depth > 60:
            raise RegexFault("Regular expression too big")
        inner = self._alternatives()
        if not self._peek(closing):
            raise RegexFault("Unmatched ( or \\(")
        self.at += len(closing)
        self._depth -= 1
        return ("group", number, inner)

    def _escaped(self) -> Tree:
        if self.at >= len(self.text):
            raise RegexFault("Trailing backslash")
        char = self.text[self.at]
        self.at += 1
        if not self.extended and char == "(":
            return self._group("\\)")
        if char in _SHORT:
            return ("set", _SHORT[char])
        if char in "<>bB":
            return ("assert", char)
        if char.isdigit() and char != "0":
            if int(char) > self.groups:
                raise RegexFault("Invalid back reference")
            return ("back", int(char))
        return ("char", {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}.get(char, char))

    def _set(self) -> str:
        """A bracket expression as a Python one; behind the `[`."""
        negated = self._peek("^")
        self.at += negated
        out: list[str] = []
        first = True
        while True:
            if self.at >= len(self.text):
                raise RegexFault("Unmatched [, [^, [:, [., or [=")
            char = self.text[self.at]
            if char == "]" and not first:
                self.at += 1
                break
            first = False
            if char == "[" and self.at + 1 < len(self.text) and self.text[self.at + 1] in ":.=":
                kind = self.text[self.at + 1]
                end = self.text.find(kind + "]", self.at + 2)
                if end < 0:
                    raise RegexFault("Unmatched [, [^, [:, [., or [=")
                name = self.text[self.at + 2 : end]
                if kind == ":":
                    if name not in _CLASSES:
                        raise RegexFault("Invalid character class name")
                    out.append(_CLASSES[name])
                else:
                    out.append(_in_set(name[:1]))
                self.at = end + 2
                continue
            self.at += 1
            if char == "\\" and self.at < len(self.text) and self.text[self.at] in "nt\\]":
                mapped = {"n": "\n", "t": "\t"}.get(self.text[self.at])
                if mapped:
                    char = mapped
                    self.at += 1
            if self._peek("-") and self.at + 1 < len(self.text) and self.text[self.at + 1] != "]":
                last = self.text[self.at + 1]
                if ord(last) < ord(char):
                    raise RegexFault("Invalid range end")
                out.append(f"{_in_set(char)}-{_in_set(last)}")
                self.at += 2
            else:
                out.append(_in_set(char))
        return "[" + ("^" if negated else "") + "".join(out) + "]"


def _in_set(char: str) -> str:
    return "\\" + char if char in "\\]^-[&~|" else char


_ASSERTS = {"^": r"\A", "$": r"\Z", "<": r"\b(?=\w)", ">": r"\b(?<=\w)", "b": r"\b", "B": r"\B"}


def _python(tree: Tree) -> str:
    match tree[0]:
        case "char":
            return re.escape(str(tree[1]))
        case "any":
            return "."
        case "set":
            return str(tree[1])
        case "assert":
            return _ASSERTS[str(tree[1])]
        case "cat":
            return "".join(_python(item) for item in tree[1])
        case "alt":
            return "(?:" + "|".join(_python(item) for item in tree[1]) + ")"
        case "group":
            return f"({_python(tree[2])})"
        case "back":
            return f"(?:\\{tree[1]})"
    _, item, low, high = tree
    inner = _python(item)
    if item[0] not in ("char", "any", "set", "group"):
        inner = f"(?:{inner})"
    return f"{inner}{{{low},{'' if high is None else high}}}"


def _quantifiers(tree: Tree, inside: bool = False) -> tuple[int, bool]:
    """(number of repetitions that vary, whether one of them holds another or alternatives)."""
    match tree[0]:
        case "cat" | "alt":
            found = [_quantifiers(item, inside) for item in tree[1]]
            ambiguous = tree[0] == "alt" and inside
            return sum(n for n, _ in found), ambiguous or any(nested for _, nested in found)
        case "group":
            return _quantifiers(tree[2], inside)
        case "repeat":
            _, item, low, high = tree
            varies = low != high
            count, nested = _quantifiers(item, inside or varies or low > 1)
            return count + varies, nested or (inside and varies)
    return 0, False


def _has(tree: Tree, kind: str) -> bool:
    if tree[0] == kind:
        return True
    if tree[0] in ("cat", "alt"):
        return any(_has(item, kind) for item in tree[1])
    return tree[0] in ("group", "repeat") and _has(tree[2] if tree[0] == "group" else tree[1], kind)


def _program(tree: Tree) -> list[Tree]:
    """Instructions: ("char", c), ("any",), ("set", compiled), ("split", a, b), ("jump", a), ("save", n), ("assert", k),
    ("match",)."""
    code: list[Tree] = []

    def emit(*instruction: object) -> int:
        if len(code) > _MAX_NODES:
            raise RegexFault("Regular expression too big")
        code.append(tuple(instruction))
        return len(code) - 1

    def build(node: Tree) -> None:
        match node[0]:
            case "char" | "any" | "assert":
                emit(*node)
            case "set":
                emit("set", re.compile(node[1]))
            case "cat":
                for item in node[1]:
                    build(item)
            case "group":
                emit("save", 2 * node[1])
                build(node[2])
                emit("save", 2 * node[1] + 1)
            case "alt":
                jumps = []
                for item in node[1][:-1]:
                    split = emit("split", 0, 0)
                    build(item)
                    jumps.append(emit("jump", 0))
                    code[split] = ("split", split + 1, len(code))
                build(node[1][-1])
                for jump in jumps:
                    code[jump] = ("jump", len(code))
            case "repeat":
                _, item, low, high = node
                for _ in range(low):
                    build(item)
                if high is None:
                    split = emit("split", 0, 0)
                    build(item)
                    emit("jump", split)
                    code[split] = ("split", split + 1, len(code))
                else:
                    splits = []
                    for _ in range(high - low):
                        splits.append(emit("split", 0, 0))
                        build(item)
                    for split in splits:
                        code[split] = ("split", split + 1, len(code))

    build(tree)
    emit("match")
    return code


def _holds(kind: str, text: str, at: int) -> bool:
    before = at > 0 and (text[at - 1].isalnum() or text[at - 1] == "_")
    after = at < len(text) and (text[at].isalnum() or text[at] == "_")
    match kind:
        case "^":
            return at == 0
        case "$":
            return at == len(text)
        case "<":
            return after and not before
        case ">":
            return before and not after
        case "b":
            return before != after
    return before == after


Saved = tuple[int, ...]


def _run(code: list[Tree], text: str, start: int, groups: int, ignore_case: bool) -> Match | None:
    """Pike's algorithm; of the leftmost matches the longest wins."""
    empty: Saved = (-1,) * (2 * groups + 2)
    threads: list[tuple[int, Saved]] = []
    best: Saved | None = None

    def add(into: list[tuple[int, Saved]], seen: set[int], pc: int, saved: Saved, at: int) -> None:
        stack = [(pc, saved)]
        while stack:
            pc, saved = stack.pop()
            if pc in seen:
                continue
            seen.add(pc)
            instruction = code[pc]
            match instruction[0]:
                case "jump":
                    stack.append((instruction[1], saved))
                case "split":
                    stack.append((instruction[2], saved))
                    stack.append((instruction[1], saved))
                case "save":
                    number = instruction[1]
                    stack.append((pc + 1, (*saved[:number], at, *saved[number + 1 :])))
                case "assert":
                    if _holds(instruction[1], text, at):
                        stack.append((pc + 1, saved))
                case _:
                    into.append((pc, saved))

    fold = str.casefold if ignore_case else str
    for at in range(start, len(text) + 1):
        seen: set[int] = set()
        current: list[tuple[int, Saved]] = []
        for pc, saved in threads:
            if pc not in seen:
                add(current, seen, pc, saved, at)
        if best is None:
            add(current, seen, 0, (at, *empty[1:]), at)
        threads = []
        char = text[at] if at < len(text) else ""
        folded = fold(char)
        earliest = min((saved[0] for pc, saved in current if code[pc][0] == "match"), default=-1)
        for pc, saved in current:
            instruction = code[pc]
            if instruction[0] == "match":
                if best is None or saved[0] < best[0] or (saved[0] == best[0] and at > best[1]):
                    best = (saved[0], at, *saved[2:])
                continue
            if not char or (best is not None and saved[0] > best[0]) or (earliest >= 0 and saved[0] > earliest):
                continue
            kind = instruction[0]
            if (
                kind == "any"
                or (kind == "char" and fold(instruction[1]) == folded)
                or (kind == "set" and _in(instruction[1], char, ignore_case))
            ):
                threads.append((pc + 1, saved))
        if best is not None and not threads:
            break
    if best is None:
        return None
    return Match(tuple((best[2 * n], best[2 * n + 1]) for n in range(groups + 1)))


def _in(compiled: re.Pattern[str], char: str, ignore_case: bool) -> bool:
    if compiled.match(char):
        return True
    return ignore_case and bool(compiled.match(char.lower()) or compiled.match(char.upper()))
