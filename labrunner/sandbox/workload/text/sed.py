"""sed: the commands that scripts are made of. Source: POSIX sed and GNU's additions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from labrunner.sandbox.workload.text import regex
from labrunner.sandbox.workload.text.regex import Match, Regex, RegexFault

MAX_SPACE = 4 * 1024 * 1024
MAX_STEPS = 2_000_000


class SedFault(Exception):
    """What sed says of a wrong script."""


@dataclass(slots=True)
class Address:
    """`line` (0: none), `last` (`$`), an expression, or a step `first~step`."""

    line: int = 0
    last: bool = False
    expression: Regex | None = None
    step: int = 0
    plus: int = -1


@dataclass(slots=True)
class Command:
    name: str
    first: Address | None = None
    second: Address | None = None
    negated: bool = False
    text: str = ""
    expression: Regex | None = None
    replacement: str = ""
    every: bool = False
    nth: int = 0
    prints: bool = False
    file: str = ""
    table: dict[str, str] = field(default_factory=dict)
    target: int = -1
    active: bool = False
    until: int = 0


class Script:
    """A parsed script. Raises SedFault."""

    def __init__(self, text: str, *, extended: bool = False) -> None:
        self._extended = extended
        self.text = text
        self.at = 0
        self.commands: list[Command] = []
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[Command, str]] = []
        self._blocks: list[Command] = []
        self.quiet = False
        if text.startswith("#n\n"):
            self.quiet = True
        self._parse()

    def _peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def _blank(self, also: str = "") -> None:
        while self._peek() and self._peek() in " \t" + also:
            self.at += 1

    def _fault(self, text: str) -> SedFault:
        return SedFault(f"-e expression #1, char {min(self.at + 1, len(self.text))}: {text}")

    def _parse(self) -> None:
        while True:
            self._blank("\n;")
            if not self._peek():
                break
            if self._peek() == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
                continue
            self._command()
        if self._blocks:
            raise SedFault("-e expression #1, char 0: unmatched `{'")
        for command, label in self._jumps:
            if label and label not in self._labels:
                raise SedFault(f"-e expression #1, char {len(self.text)}: can't find label for jump to `{label}'")
            command.target = self._labels.get(label, len(self.commands))

    def _command(self) -> None:
        first = self._address()
        second = None
        if first is not None:
            self._blank()
            if self._peek() == ",":
                self.at += 1
                self._blank()
                second = self._address(end=True)
                if second is None:
                    raise self._fault("unexpected `,'")
        self._blank()
        negated = False
        while self._peek() == "!":
            negated = True
            self.at += 1
            self._blank()
        name = self._peek()
        if not name:
            raise self._fault("missing command")
        self.at += 1
        command = Command(name, first, second, negated)
        match name:
            case "{":
                self._blocks.append(command)
                self.commands.append(command)
                return
            case "}":
                if not self._blocks:
                    raise self._fault("unexpected `}'")
                self._blocks.pop().target = len(self.commands)
                self._end()
                return
            case ":":
                self._labels[self._label()] = len(self.commands)
                return
            case "b" | "t" | "T":
                self._blank()
                self._jumps.append((command, self._label()))
            case "s":
                self._substitute(command)
            case "y":
                self._transliterate(command)
            case "a" | "i" | "c":
                command.text = self._text()
            case "r" | "w" | "R" | "W":
                self._blank()
                command.file = self._rest_of_line()
            case "q" | "Q" | "l" | "L":
                self._blank()
                found = re.compile(r"\d*").match(self.text, self.at)
                assert found is not None
                command.text = found[0]
                self.at = found.end()
                self._end()
            case "d" | "D" | "p" | "P" | "n" | "N" | "g" | "G" | "h" | "H" | "x" | "=" | "z" | "F":
                self._end()
            case _:
                raise self._fault(f"unknown command: `{name}'")
        self.commands.append(command)

    def _end(self) -> None:
        self._blank()
        char = self._peek()
        if char in (";", "\n"):
            self.at += 1
        elif char not in ("", "}", "#"):
            raise self._fault("extra characters after command")

    def _label(self) -> str:
        found = re.compile(r"[ \t]*([^\s;}]*)").match(self.text, self.at)
        assert found is not None
        self.at = found.end()
        return found[1]

    def _rest_of_line(self) -> str:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        found = self.text[self.at : end]
        self.at = end
        return found

    def _text(self) -> str:
        self._blank()
        if self._peek() == "\\":
            self.at += 1
            self._blank()
            if self._peek() == "\n":
                self.at += 1
        out: list[str] = []
        while self._peek() and self._peek() != "\n":
            if self._peek() == "\\" and self.at + 1 < len(self.text):
                self.at += 1
            out.append(self._peek())
            self.at += 1
        return "".join(out) + "\n"

    def _address(self, *, end: bool = False) -> Address | None:
        char = self._peek()
        if char.isdigit():
            found = re.compile(r"(\d+)(?:~(\d+))?").match(self.text, self.at)
            assert found is not None
            self.at = found.end()
            return Address(int(found[1]), step=int(found[2]) if found[2] else 0)
        if char == "$":
            self.at += 1
            return Address(last=True)
        if end and char in "+~" and char:
            found = re.compile(r".(\d+)").match(self.text, self.at)
            if found:
                self.at = found.end()
                return Address(plus=int(found[1]))
        if char == "/" or (char == "\\" and self.at + 1 < len(self.text)):
            if char == "\\":
                self.at += 1
            source = self._delimited(self._peek(), pattern=True)
            ignore = False
            while self._peek() and self._peek() in "IM":
                ignore = ignore or self._peek() == "I"
                self.at += 1
            return Address(expression=self._expression(source, ignore))
        return None

    def _expression(self, source: str, ignore: bool) -> Regex | None:
        if not source:
            return None
        try:
            return regex.compile_(source, extended=self._extended, ignore_case=ignore)
        except RegexFault as error:
            raise self._fault(str(error)) from None

    def _delimited(self, delimiter: str, *, pattern: bool) -> str:
        """What stands between here and the next delimiter; moves behind it."""
        if self._peek() == delimiter:
            self.at += 1
        out: list[str] = []
        inside = False
        while True:
            char = self._peek()
            if not char:
                raise self._fault("unterminated `s' command" if not pattern else "unterminated address regex")
            if char == "\\" and self.at + 1 < len(self.text):
                nxt = self.text[self.at + 1]
                self.at += 2
                if nxt == delimiter:
                    out.append(nxt if not pattern or nxt not in ".*[]^$" else "\\" + nxt)
                elif nxt == "n" and pattern:
                    out.append("\n")
                else:
                    out.append("\\" + nxt)
                continue
            if char == "[" and pattern:
                inside = True
            elif char == "]" and inside and out and out[-1] not in ("[", "^"):
                inside = False
            if char == delimiter and not inside:
                self.at += 1
                return "".join(out)
            out.append(char)
            self.at += 1

    def _substitute(self, command: Command) -> None:
        delimiter = self._peek()
        if delimiter in ("", "\n", "\\"):
            raise self._fault("unterminated `s' command")
        try:
            source = self._delimited(delimiter, pattern=True)
            command.replacement = self._replacement(delimiter)
        except SedFault:
            raise self._fault("unterminated `s' command") from None
        ignore = False
        while self._peek() and self._peek() not in ";\n}# \t":
            char = self._peek()
            if char.isdigit():
                found = re.compile(r"\d+").match(self.text, self.at)
                assert found is not None
                command.nth = int(found[0])
                self.at = found.end()
                continue
            self.at += 1
            if char == "g":
                command.every = True
            elif char == "p":
                command.prints = True
            elif char in "iI":
                ignore = True
            elif char == "w":
                self._blank()
                command.file = self._rest_of_line()
            elif char not in "mMe":
                raise self._fault("unknown option to `s'")
        command.expression = self._expression(source, ignore)
        self._end()

    def _replacement(self, delimiter: str) -> str:
        out: list[str] = []
        while True:
            char = self._peek()
            if not char:
                raise self._fault("unterminated `s' command")
            if char == "\\" and self.at + 1 < len(self.text):
                nxt = self.text[self.at + 1]
                out.append(nxt if nxt == delimiter and nxt not in "&" else "\\" + nxt)
                self.at += 2
                continue
            self.at += 1
            if char == delimiter:
                return "".join(out)
            out.append(char)

    def _transliterate(self, command: Command) -> None:
        delimiter = self._peek()
        if not delimiter:
            raise self._fault("unterminated `y' command")
        source = self._replacement_text(delimiter)
        target = self._replacement_text(delimiter, first=False)
        if len(source) != len(target):
            raise self._fault("strings for `y' command are different lengths")
        command.table = dict(zip(source, target, strict=True))
        self._end()

    def _replacement_text(self, delimiter: str, *, first: bool = True) -> str:
        if first:
            self.at += 1
        raw = self._replacement(delimiter)
        return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), raw)


def expand(template: str, found: Match, text: str) -> str:
    """A replacement with `&`, `\\1`, `\\n`, `\\U` and their like."""
    out: list[str] = []
    mode, once = "", ""

    def put(piece: str) -> None:
        nonlocal once
        if not piece:
            return
        if mode == "U":
            piece = piece.upper()
        elif mode == "L":
            piece = piece.lower()
        if once:
            piece = (piece[0].upper() if once == "u" else piece[0].lower()) + piece[1:]
            once = ""
        out.append(piece)

    at = 0
    while at < len(template):
        char = template[at]
        if char == "&":
            put(text[found.start : found.end])
        elif char == "\\" and at + 1 < len(template):
            at += 1
            nxt = template[at]
            if nxt.isdigit():
                number = int(nxt)
                if number < len(found.groups):
                    start, end = found.groups[number]
                    put(text[start:end] if start >= 0 else "")
            elif nxt in "ULE":
                mode = "" if nxt == "E" else nxt
            elif nxt in "ul":
                once = nxt
            else:
                put({"n": "\n", "t": "\t", "r": "\r"}.get(nxt, nxt))
        else:
            put(char)
        at += 1
    return "".join(out)
