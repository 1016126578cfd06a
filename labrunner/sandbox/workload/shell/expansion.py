"""Turns words into arguments: parameters, substitutions, arithmetic, splitting, patterns, quotes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from labrunner.sandbox.workload.filesystem.tree import FileSystem, Owner
from labrunner.sandbox.workload.shell import arithmetic, pattern
from labrunner.sandbox.workload.shell.arithmetic import ArithmeticFault
from labrunner.sandbox.workload.shell.pattern import Piece
from labrunner.sandbox.workload.shell.state import ShellFault, State, Variable
from labrunner.sandbox.workload.shell.syntax import Arithmetic, Literal, Parameter, ProcessFile, Substitution, Word

MAX_TEXT = 8 * 1024 * 1024
_MAX_FIELDS = 200_000
_OPERAND = re.compile(r"[^-+*/%()<>=!&|^~?:,\s]+\s*$")
_OPERATOR = re.compile(r"[-+*/%<>=!&|^~?:]+\s*$")
_TWO_OPERANDS = re.compile(r"[\w)]\s+[\w(]")
_BRACE = re.compile(r"\{([^{}]*)\}")


class Expander:
    """Expands words in a state. `run` executes the text of a substitution and returns its output."""

    def __init__(
        self,
        state: State,
        run: Callable[[str], Awaitable[str]],
        fs: Callable[[], tuple[FileSystem, str, Owner]],
        process_file: Callable[[ProcessFile], Awaitable[str]],
        home: Callable[[str], str],
    ) -> None:
        self.state, self._run, self._fs, self._process_file, self._home = state, run, fs, process_file, home

    async def fields(self, words: list[Word]) -> list[str]:
        """The arguments that these words make."""
        found: list[str] = []
        for word in words:
            for variant in self._braces(word):
                for field in await self._split(variant):
                    found.extend(self._glob(field))
            if len(found) > _MAX_FIELDS:
                raise ShellFault("Argument list too long", 126)
        return found

    async def text(self, word: Word) -> str:
        """One string: no splitting, no patterns (assignments, redirections, here documents)."""
        return "".join(piece.text for piece in await self.pieces(word))

    async def pieces(self, word: Word) -> list[Piece]:
        """One field with what is quoted in it (patterns of `case` and `${x#...}`)."""
        fields = await self._expand(word, split=False)
        joined: list[Piece] = []
        for number, field in enumerate(fields):
            if number:
                joined.append(Piece(" ", True))
            joined.extend(field)
        return joined

    async def number(self, text: str) -> int:
        """The value of an arithmetic expression. Raises ShellFault."""
        try:
            return arithmetic.evaluate(text, lambda name: self.parameter(name) or "", self.state.set)
        except ArithmeticFault as error:
            shown = text
            flavour = self.state.flavour
            if flavour == "bash":
                word = str(error)
                shown = shown.lstrip()
                token = _OPERAND.search(shown) if "zero" in word else _OPERATOR.search(shown)
                word = "division by 0" if "zero" in word else "syntax error: operand expected"
                raise ShellFault(f'{shown}: {word} (error token is "{token[0] if token else shown}")') from None
            what = "expecting EOF" if _TWO_OPERANDS.search(text) else "expecting primary"
            prefix = f"arithmetic expression: {'division by zero' if 'zero' in str(error) else what}"
            raise ShellFault(f'{prefix}: "{shown}"' if flavour == "dash" else str(error), 2) from None

    async def _split(self, word: Word) -> list[list[Piece]]:
        return await self._expand(word, split=True)

    async def _expand(self, word: Word, *, split: bool, split_literals: bool = False) -> list[list[Piece]]:
        """Fields as pieces; an unquoted empty expansion makes no field when splitting.

        `split_literals`: the word is what `${x:-word}` stands for, so that its own blanks part fields.
        """
        fields: list[list[Piece]] = []
        current: list[Piece] | None = None
        for number, part in enumerate(word.parts):
            if isinstance(part, Literal):
                text = part.text
                if number == 0 and not part.quoted and text.startswith("~"):
                    text = self._tilde(text, len(word.parts) == 1)
                    if text != part.text:
                        current = [*(current or []), Piece(text, True)]
                        continue
                if split_literals and not part.quoted:
                    current = self._split_text(text, fields, current)
                else:
                    current = [*(current or []), Piece(text, part.quoted)]
                continue
            if isinstance(part, Parameter) and part.name in ("@", "*") and not part.op:
                current = self._all_positional(part, split, fields, current)
                continue
            if isinstance(part, Parameter) and part.name.endswith(("[@]", "[*]")) and not part.op:
                values = self._array(part.name[:-3])
                current = self._values(values, part.quoted, part.name[-2] == "*", split, fields, current)
                continue
            if isinstance(part, Parameter) and part.op in (":-", "-", ":+", "+") and split:
                chosen = self._alternative(part)
                if chosen is not None:
                    nested = await self._expand(chosen, split=True, split_literals=not part.quoted)
                    if part.quoted and not nested:
                        nested = [[Piece("", True)]]
                    for index, field in enumerate(nested):
                        if index and current is not None:
                            fields.append(current)
                            current = None
                        current = [*(current or []), *field]
                    continue
            text = await self._value(part)
            quoted = part.quoted if not isinstance(part, ProcessFile) else True
            if quoted or not split:
                current = [*(current or []), Piece(text, quoted)]
            else:
                current = self._split_text(text, fields, current)
        if current is not None:
            fields.append(current)
        if not split and not fields:
            return [[]]
        return fields

    def _all_positional(
        self, part: Parameter, split: bool, fields: list[list[Piece]], current: list[Piece] | None
    ) -> list[Piece] | None:
        return self._values(self.state.positional, part.quoted, part.name == "*", split, fields, current)

    def _values(
        self, values: list[str], quoted: bool, star: bool, split: bool, fields: list[list[Piece]],
        current: list[Piece] | None,
    ) -> list[Piece] | None:  # fmt: skip
        if not split or (quoted and star):
            ifs = self.state.get("IFS")
            joiner = " " if ifs is None or (not star and self.state.flavour == "bash") else ifs[:1]
            return [*(current or []), Piece(joiner.join(values), quoted)]
        for number, value in enumerate(values):
            if number and current is not None:
                fields.append(current)
                current = None
            whole = [*(current or []), Piece(value, True)]
            current = whole if quoted else self._split_text(value, fields, current)
        return current

    def _split_text(self, text: str, fields: list[list[Piece]], current: list[Piece] | None) -> list[Piece] | None:
        """Field splitting of an unquoted expansion's result."""
        ifs = self.state.get("IFS")
        separators = " \t\n" if ifs is None else ifs
        if not separators:
            return [*(current or []), Piece(text, False)] if text else current
        blanks = "".join(c for c in separators if c in " \t\n")
        buffer: list[str] = []
        at = 0
        while at < len(text):
            char = text[at]
            if char not in separators:
                buffer.append(char)
                at += 1
                continue
            if buffer:
                current = [*(current or []), Piece("".join(buffer), False)]
                buffer = []
            hard = 0
            while at < len(text) and text[at] in separators and (text[at] in blanks or hard == 0):
                hard += text[at] not in blanks
                at += 1
            if current is not None:
                fields.append(current)
                current = None
            elif hard:
                fields.append([Piece("", True)])
            if len(fields) > _MAX_FIELDS:
                raise ShellFault("Argument list too long", 126)
        if buffer:
            current = [*(current or []), Piece("".join(buffer), False)]
        return current

    def _glob(self, field: list[Piece]) -> list[str]:
        if "noglob" not in self.state.options and pattern.has_magic(field):
            fs, cwd, owner = self._fs()
            found = pattern.paths(field, fs, cwd, owner)
            if found:
                return found
        return ["".join(piece.text for piece in field)]

    def _tilde(self, text: str, alone: bool) -> str:
        user, slash, rest = text[1:].partition("/")
        if not slash and not alone:
            return text
        if not user:
            home = self.state.get("HOME")
            return (home if home is not None else "/") + slash + rest
        if user == "+":
            return (self.state.get("PWD") or "") + slash + rest
        home = self._home(user)
        return home + slash + rest if home else text

    def _alternative(self, part: Parameter) -> Word | None:
        """The word that stands for `${x:-word}` or `${x:+word}` now; None when the value itself does."""
        value = self.parameter(part.name)
        missing = value is None or (part.op.startswith(":") and value == "")
        if part.op.endswith("-"):
            return part.argument if missing else None
        return Word() if missing else part.argument

    async def _value(self, part: Parameter | Substitution | Arithmetic | ProcessFile) -> str:
        if isinstance(part, Substitution):
            return (await self._run(part.text)).rstrip("\n")
        if isinstance(part, Arithmetic):
            return str(await self.number(await self.text(part.expression)))
        if isinstance(part, ProcessFile):
            return await self._process_file(part)
        return await self._parameter(part)

    def parameter(self, name: str) -> str | None:
        """A parameter's value; None when it is unset."""
        state = self.state
        if name.isdigit():
            index = int(name)
            if index == 0:
                return state.name
            return state.positional[index - 1] if index <= len(state.positional) else None
        match name:
            case "?":
                return str(state.status)
            case "#":
                return str(len(state.positional))
            case "$":
                return str(state.pid)
            case "!":
                return None if state.last_background is None else str(state.last_background)
            case "-":
                return state.flags()
            case "@" | "*":
                return " ".join(state.positional) if state.positional else None
        if name.endswith("]") and "[" in name:
            base, _, index_text = name[:-1].partition("[")
            if index_text in ("@", "*"):
                values = self._array(base)
                return " ".join(values) if values else None
            return self._element(base, index_text)
        return state.get(name)

    def _array(self, name: str) -> list[str]:
        variable = self.state.variables.get(name)
        if variable is None:
            return list(map(str, self.state.pipe_status)) if name == "PIPESTATUS" else []
        if variable.items is None:
            return [variable.value]
        return [variable.items[k] for k in sorted(variable.items)]

    def _element(self, name: str, index_text: str) -> str | None:
        try:
            index = arithmetic.evaluate(index_text.lstrip("$"), lambda n: self.state.get(n) or "", self.state.set)
        except ArithmeticFault:
            return None
        variable: Variable | None = self.state.variables.get(name)
        if variable is None:
            values = self._array(name)
            return values[index] if -len(values) <= index < len(values) else None
        if variable.items is None:
            return variable.value if index == 0 else None
        if index < 0 and variable.items:
            index += max(variable.items) + 1
        return variable.items.get(index)

    async def _parameter(self, part: Parameter) -> str:
        value = self.parameter(part.name)
        op = part.op
        if op == "length":
            if part.name.endswith(("[@]", "[*]")):
                return str(len(self._array(part.name[:-3])))
            return str(len(self.state.positional) if part.name in "@*" else len(self._known(part.name, value)))
        if op == "indirect":
            return self.parameter(value or "") or ""
        if op in (":-", "-", ":=", "=", ":?", "?", ":+", "+"):
            return await self._conditional(part, value)
        value = self._known(part.name, value)
        if not op:
            return value
        if op in ("#", "##", "%", "%%"):
            return self._trimmed(value, op, await self._pattern(part.argument))
        if op in ("/", "//", "/#", "/%"):
            replacement = await self.text(part.replacement) if part.replacement else ""
            return _replaced(value, op, await self._pattern(part.argument), replacement)
        if op in ("^", "^^", ",", ",,"):
            change = str.upper if op[0] == "^" else str.lower
            return change(value) if len(op) == 2 else change(value[:1]) + value[1:]
        if op == ":":
            return await self._substring(part, value)
        if op == "@":
            return value
        raise ShellFault("bad substitution", 2)

    def _known(self, name: str, value: str | None) -> str:
        if value is None:
            if "nounset" in self.state.options and name not in ("@", "*"):
                words = "unbound variable" if self.state.flavour == "bash" else "parameter not set"
                raise ShellFault(f"{name}: {words}", 127 if self.state.flavour == "bash" else 2)
            return ""
        return value

    async def _conditional(self, part: Parameter, value: str | None) -> str:
        missing = value is None or (part.op.startswith(":") and value == "")
        argument = part.argument or Word()
        match part.op[-1]:
            case "-":
                return await self.text(argument) if missing else value or ""
            case "+":
                return "" if missing else await self.text(argument)
            case "=":
                if missing:
                    value = await self.text(argument)
                    if not part.name.isidentifier():
                        raise ShellFault(f"{part.name}: bad variable name", 2)
                    self.state.set(part.name, value)
                return value or ""
        if missing:
            message = await self.text(argument)
            default = "parameter not set"
            if part.op == ":?":
                default = "parameter null or not set" if self.state.flavour == "bash" else "parameter not set or null"
            raise ShellFault(f"{part.name}: {message or default}", 127 if self.state.flavour == "bash" else 2)
        return value or ""

    async def _pattern(self, word: Word | None) -> list[pattern.Item]:
        return pattern.compiled(await self.pieces(word) if word else [])

    @staticmethod
    def _trimmed(value: str, op: str, items: list[pattern.Item]) -> str:
        lengths = range(len(value) + 1)
        if len(value) > 4096 and len(items) > 64:
            return value
        for length in lengths if len(op) == 1 else reversed(lengths):
            if op[0] == "#" and pattern.matches(items, value[:length]):
                return value[length:]
            if op[0] == "%" and pattern.matches(items, value[len(value) - length :]):
                return value[: len(value) - length]
        return value

    async def _substring(self, part: Parameter, value: str) -> str:
        text = await self.text(part.argument or Word())
        start_text, colon, length_text = text.partition(":")
        start = await self.number(start_text)
        if start < 0:
            start = max(len(value) + start, 0) if len(value) + start >= 0 else len(value)
        if not colon:
            return value[start:]
        length = await self.number(length_text)
        return value[start : start + length] if length >= 0 else value[start : len(value) + length]

    def _braces(self, word: Word) -> list[Word]:
        """bash's `{a,b}` and `{1..5}`, where everything in the braces is plain text."""
        if self.state.flavour != "bash" or not any(
            isinstance(p, Literal) and not p.quoted and "{" in p.text for p in word.parts
        ):
            return [word]
        for number, part in enumerate(word.parts):
            if not isinstance(part, Literal) or part.quoted:
                continue
            for found in _BRACE.finditer(part.text):
                items = _brace_items(found[1])
                if items is None:
                    continue
                made: list[Word] = []
                for item in items:
                    text = part.text[: found.start()] + item + part.text[found.end() :]
                    parts = (*word.parts[:number], Literal(text), *word.parts[number + 1 :])
                    made.extend(self._braces(Word(parts)))
                    if len(made) > _MAX_FIELDS:
                        raise ShellFault("Argument list too long", 126)
                return made
        return [word]


def _brace_items(text: str) -> list[str] | None:
    if "," in text:
        return text.split(",")
    found = re.fullmatch(r"(-?\d{1,9})\.\.(-?\d{1,9})(?:\.\.(-?\d{1,9}))?", text)
    if found:
        start, end = int(found[1]), int(found[2])
        step = abs(int(found[3] or 1)) or 1
        if abs(end - start) // step > 100_000:
            return None
        numbers = range(start, end + 1, step) if end >= start else range(start, end - 1, -step)
        width = len(found[1].lstrip("-")) if found[1].lstrip("-").startswith("0") and len(found[1]) > 1 else 0
        return [f"{n:0{width}d}" if width else str(n) for n in numbers]
    letters = re.fullmatch(r"([a-zA-Z])\.\.([a-zA-Z])", text)
    if letters:
        first, last = ord(letters[1]), ord(letters[2])
        return [chr(c) for c in (range(first, last + 1) if last >= first else range(first, last - 1, -1))]
    return None


def _replaced(value: str, op: str, items: list[pattern.Item], replacement: str) -> str:
    """`${x/pattern/text}`: the longest match, at the first place or everywhere."""
    if not items or len(value) > 65536:
        return value
    out: list[str] = []
    at = 0
    budget = 2_000_000
    while at <= len(value):
        matched = -1
        for end in range(len(value), at - 1, -1):
            budget -= 1
            if budget < 0:
                return value
            if op == "/%" and end != len(value):
                break
            if pattern.matches(items, value[at:end]):
                matched = end
                break
        if matched >= 0 and (matched > at or op in ("/#", "/%")):
            out.append(replacement)
            at = matched
            if op != "//":
                out.append(value[at:])
                return "".join(out)
            continue
        if op == "/#":
            return value
        out.append(value[at : at + 1])
        at += 1
    return "".join(out)
