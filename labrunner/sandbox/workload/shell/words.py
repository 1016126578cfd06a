"""Reads the inside of words: quotes, `$` forms, backquotes."""

from __future__ import annotations

from labrunner.sandbox.workload.shell.syntax import (
    Arithmetic,
    Literal,
    Parameter,
    Part,
    ProcessFile,
    ShellSyntaxError,
    Substitution,
    Word,
)

SPECIAL = "@*#?-$!0123456789"
_OPERATORS = (":-", ":=", ":?", ":+", "##", "%%", "//", "/#", "/%", "^^", ",,", "-", "=", "?", "+", "#", "%", "/", "^",
              ",", ":", "@")  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b", "E": "\x1b",
            "\\": "\\", "'": "'", '"': '"', "?": "?"}  # fmt: skip
_LACKING = {
    "bash": frozenset[str](),
    "ash": frozenset(("^", "^^", ",", ",,", "@")),
    "dash": frozenset(("^", "^^", ",", ",,", "@", ":", "/", "//", "/#", "/%")),
}
"""Parameter expansions that a shell does not have."""
MAX_DEPTH = 60


class WordReader:
    """Reads words from a text, from a position on. Raises ShellSyntaxError, `incomplete` when a quote stays open."""

    def __init__(self, text: str, position: int = 0, depth: int = 0, flavour: str = "bash") -> None:
        self.text, self.position, self.depth, self.flavour = text, position, depth, flavour
        if depth > MAX_DEPTH:
            raise ShellSyntaxError("(", self.line(), message="too deeply nested")

    def line(self) -> int:
        return self.text.count("\n", 0, self.position) + 1

    def peek(self, ahead: int = 0) -> str:
        at = self.position + ahead
        return self.text[at] if at < len(self.text) else ""

    def unfinished(self, what: str, closing: str = "") -> ShellSyntaxError:
        return ShellSyntaxError(
            "end of file", self.line(), incomplete=True, message=f"unterminated {what}", expecting=closing
        )

    def word(self, stop: str, *, in_braces: bool = False, quoted: bool = False) -> Word:
        """Parts up to one of the `stop` characters, unquoted; inside `${...}` blanks belong to the word."""
        parts: list[Part] = []
        text: list[str] = []

        def flush() -> None:
            if text:
                parts.append(Literal("".join(text), quoted))
                text.clear()

        while self.position < len(self.text):
            char = self.text[self.position]
            if char in stop:
                break
            if char == "\\":
                nxt = self.peek(1)
                if nxt == "\n":
                    self.position += 2
                    continue
                if (quoted and nxt not in '$`"\\}') or not nxt:
                    text.append("\\")
                    self.position += 1
                    continue
                flush()
                parts.append(Literal(nxt, True))
                self.position += 2
            elif char == "'" and not quoted:
                flush()
                parts.append(self._single())
            elif char == '"':
                flush()
                parts.extend(self._double())
            elif char == "$":
                found = self.dollar(quoted)
                if found is None:
                    text.append("$")
                    self.position += 1
                else:
                    flush()
                    parts.extend(found)
            elif char == "`":
                flush()
                parts.append(self._backquote(quoted))
            elif (
                char in "<>"
                and self.peek(1) == "("
                and not (in_braces or quoted or parts or text or self.flavour == "dash")
            ):
                how = char
                self.position += 1
                parts.append(ProcessFile(self._parenthesised(), how))
            else:
                text.append(char)
                self.position += 1
        flush()
        return Word(tuple(parts))

    def here_text(self) -> Word:
        """The whole text as the body of a here document: only `$`, backquotes and `\\` mean something."""
        parts: list[Part] = []
        text: list[str] = []
        while self.position < len(self.text):
            char = self.text[self.position]
            if char == "\\" and self.peek(1) and self.peek(1) in "$`\\\n":
                if self.peek(1) != "\n":
                    text.append(self.peek(1))
                self.position += 2
                continue
            if char in "$`":
                found = [self._backquote(True)] if char == "`" else self.dollar(True)
                if found is not None:
                    if text:
                        parts.append(Literal("".join(text), True))
                        text = []
                    parts.extend(found)
                    continue
            text.append(char)
            self.position += 1
        if text:
            parts.append(Literal("".join(text), True))
        return Word(tuple(parts))

    def _single(self) -> Literal:
        end = self.text.find("'", self.position + 1)
        if end < 0:
            raise self.unfinished("quoted string", "'")
        found = self.text[self.position + 1 : end]
        self.position = end + 1
        return Literal(found, True)

    def _double(self) -> list[Part]:
        self.position += 1
        parts: list[Part] = []
        text: list[str] = []
        while True:
            char = self.peek()
            if not char:
                raise self.unfinished("quoted string", '"')
            if char == '"':
                self.position += 1
                break
            if char == "\\" and self.peek(1) and self.peek(1) in '$`"\\\n':
                if self.peek(1) != "\n":
                    text.append(self.peek(1))
                self.position += 2
                continue
            found = None
            if char == "$":
                found = self.dollar(True)
            elif char == "`":
                found = [self._backquote(True)]
            if found is None:
                text.append(char)
                self.position += 1
                continue
            if text:
                parts.append(Literal("".join(text), True))
                text = []
            parts.extend(found)
        if text or not parts:
            parts.append(Literal("".join(text), True))
        return parts

    def dollar(self, quoted: bool) -> list[Part] | None:
        """What stands at a `$`; None when it is a plain dollar sign."""
        nxt = self.peek(1)
        if nxt == "(" and self.peek(2) == "(":
            saved = self.position
            self.position += 3
            body = self._arithmetic()
            if body is not None:
                inner = WordReader(body, 0, self.depth + 1, self.flavour)
                return [Arithmetic(inner.here_text(), quoted)]
            self.position = saved
        if nxt == "(":
            self.position += 1
            return [Substitution(self._parenthesised(), quoted)]
        if nxt == "{":
            self.position += 2
            return [self._braced(quoted)]
        if nxt == "'" and not quoted and self.flavour != "dash":
            self.position += 1
            return [self._ansi()]
        if nxt == '"' and not quoted and self.flavour == "bash":
            self.position += 1
            return self._double()
        if nxt.isalpha() or nxt == "_":
            end = self.position + 1
            while end < len(self.text) and (self.text[end].isalnum() or self.text[end] == "_"):
                if not self.text[end].isascii():
                    break
                end += 1
            name = self.text[self.position + 1 : end]
            if not name:
                return None
            self.position = end
            return [Parameter(name, quoted=quoted)]
        if nxt and nxt in SPECIAL:
            self.position += 2
            return [Parameter(nxt, quoted=quoted)]
        return None

    def _arithmetic(self) -> str | None:
        """The text up to the matching `))`; None when it was a substitution that starts with a subshell."""
        depth, at = 0, self.position
        while at < len(self.text):
            char = self.text[at]
            if char == "\\":
                at += 1
            elif char in "'\"":
                at = self.text.find(char, at + 1)
                if at < 0:
                    raise self.unfinished("quoted string")
            elif char == "(":
                depth += 1
            elif char == ")":
                if depth == 0:
                    if self.text[at : at + 2] != "))":
                        return None
                    body = self.text[self.position : at]
                    self.position = at + 2
                    return body
                depth -= 1
            at += 1
        raise self.unfinished("arithmetic expression")

    def _parenthesised(self) -> str:
        """The text inside parentheses, at the opening one. Quotes, comments and `case` items inside do not end it."""
        from labrunner.sandbox.workload.shell.parser import Parser

        start = self.position + 1
        parser = Parser(self.text, start, self.depth + 1, self.flavour)
        parser.until_parenthesis()
        body = self.text[start : parser.position - 1]
        self.position = parser.position
        return body

    def _backquote(self, quoted: bool) -> Substitution:
        self.position += 1
        text: list[str] = []
        while True:
            char = self.peek()
            if not char:
                raise self.unfinished("backquote", "`")
            self.position += 1
            if char == "`":
                return Substitution("".join(text), quoted)
            if char == "\\" and self.peek() and self.peek() in ('$`\\"' if quoted else "$`\\"):
                char = self.peek()
                self.position += 1
            text.append(char)

    def _ansi(self) -> Literal:
        self.position += 1
        out: list[str] = []
        while True:
            char = self.peek()
            if not char:
                raise self.unfinished("quoted string")
            self.position += 1
            if char == "'":
                return Literal("".join(out), True)
            if char == "\\":
                out.append(self._escape())
            else:
                out.append(char)

    def _escape(self) -> str:
        char = self.peek()
        self.position += 1
        if char in _ESCAPES and char:
            return _ESCAPES[char]
        if char == "x" or (char and char in "uU"):
            width = {"x": 2, "u": 4, "U": 8}[char]
            digits = ""
            while len(digits) < width and self.peek() and self.peek() in "0123456789abcdefABCDEF":
                digits += self.peek()
                self.position += 1
            number = int(digits, 16) if digits else 0
            return chr(number) if digits and number < 0x110000 and not 0xD800 <= number < 0xE000 else "\\" + char
        if char and char in "01234567":
            digits = char
            while len(digits) < 3 and self.peek() and self.peek() in "01234567":
                digits += self.peek()
                self.position += 1
            return chr(int(digits, 8) & 0xFF)
        return "\\" + char

    def _braced(self, quoted: bool) -> Parameter:
        """Behind `${`."""
        if self.peek() == "#" and self.peek(1) not in ("}", "") and not self._operator_after_hash():
            self.position += 1
            name = self._name()
            if self.peek() != "}":
                raise ShellSyntaxError("}", self.line(), message="bad substitution")
            self.position += 1
            return Parameter(name, "length", quoted=quoted)
        if self.peek() == "!" and (self.flavour == "bash" or self.peek(1) == "}"):
            self.position += 1
            if self.peek() == "}":
                self.position += 1
                return Parameter("!", quoted=quoted)
            name = self._name()
            if self.peek() == "}":
                self.position += 1
                return Parameter(name, "indirect", quoted=quoted)
            raise ShellSyntaxError("}", self.line(), message="bad substitution")
        name = self._name()
        if self.peek() == "}":
            self.position += 1
            return Parameter(name, quoted=quoted)
        if not self.peek():
            raise self.unfinished("parameter expansion", "}")
        op = next((o for o in _OPERATORS if self.text.startswith(o, self.position)), "")
        if not op or op in _LACKING[self.flavour]:
            raise ShellSyntaxError(self.peek(), self.line(), message="bad substitution")
        self.position += len(op)
        inner = WordReader(self.text, self.position, self.depth + 1, self.flavour)
        keep_quotes = quoted and op in (":-", ":=", ":?", ":+", "-", "=", "?", "+")
        stop = "}/" if op.startswith("/") else "}"
        argument = inner.word(stop, in_braces=True, quoted=keep_quotes)
        replacement = None
        if op.startswith("/") and inner.peek() == "/":
            inner.position += 1
            replacement = inner.word("}", in_braces=True)
        self.position = inner.position
        if self.peek() != "}":
            raise self.unfinished("parameter expansion", "}")
        self.position += 1
        return Parameter(name, op, argument, replacement, quoted)

    def _operator_after_hash(self) -> bool:
        """Whether `${#...` is about the parameter `#` itself."""
        nxt = self.peek(1)
        return nxt in ":%=+/" or (nxt in "-?" and self.peek(2) != "}") or (nxt == "#" and self.peek(2) != "}")

    def _name(self) -> str:
        start = self.position
        char = self.peek()
        if char.isalpha() or char == "_":
            while self.peek() and (self.peek().isalnum() or self.peek() == "_"):
                self.position += 1
            name = self.text[start : self.position]
            if self.peek() == "[" and self.flavour == "bash":
                end = self.text.find("]", self.position)
                if end > 0:
                    name += self.text[self.position : end + 1]
                    self.position = end + 1
            return name
        if char.isdigit():
            while self.peek().isdigit():
                self.position += 1
            return self.text[start : self.position]
        if char and char in SPECIAL:
            self.position += 1
            return char
        if not char:
            raise self.unfinished("parameter expansion", "}")
        raise ShellSyntaxError(char, self.line(), message="bad substitution")
