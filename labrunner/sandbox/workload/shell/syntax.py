"""The syntax tree of shell programs."""

from __future__ import annotations

from dataclasses import dataclass, field


class ShellSyntaxError(Exception):
    """`token` is what was not expected (`newline`, `end of file` at the end); `incomplete`: more may follow.

    `expecting`: the word, or the quote, that should have come.
    """

    def __init__(
        self, token: str, line: int, *, incomplete: bool = False, message: str = "", expecting: str = ""
    ) -> None:
        super().__init__(message or f"unexpected {token}")
        self.token, self.line, self.incomplete, self.message = token, line, incomplete, message
        self.expecting = expecting


@dataclass(frozen=True, slots=True)
class Literal:
    """`quoted` text is neither split nor a pattern."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$name`, `${name<op>argument}`; `op` is one of the POSIX and bash operators, `#` before a name is `length`."""

    name: str
    op: str = ""
    argument: Word | None = None
    replacement: Word | None = None
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Substitution:
    """`$(...)` or backquotes, parsed when it runs."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Arithmetic:
    expression: Word
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class ProcessFile:
    """`<(...)` or `>(...)`."""

    text: str
    how: str


Part = Literal | Parameter | Substitution | Arithmetic | ProcessFile


@dataclass(frozen=True, slots=True)
class Word:
    parts: tuple[Part, ...] = ()

    def plain(self) -> str | None:
        """Its text when it is one unquoted literal (reserved words, names)."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Literal) and not self.parts[0].quoted:
            return self.parts[0].text
        return "" if not self.parts else None


@dataclass(slots=True)
class Redirect:
    """`descriptor` None: the operator's usual one. For here documents `target` is the text."""

    op: str
    target: Word
    descriptor: int | None = None
    both: bool = False


@dataclass(slots=True)
class Command:
    line: int = 0
    redirects: list[Redirect] = field(default_factory=list)


@dataclass(slots=True)
class Assignment:
    name: str
    value: Word
    append: bool = False
    index: Word | None = None
    items: list[Word] | None = None
    """An array's elements."""


@dataclass(slots=True)
class Simple(Command):
    assignments: list[Assignment] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)


@dataclass(slots=True)
class Pipeline(Command):
    commands: list[Command] = field(default_factory=list)
    negated: bool = False
    timed: bool = False


@dataclass(slots=True)
class AndOr(Command):
    """`rest`: (operator, pipeline)."""

    first: Command = field(default_factory=Command)
    rest: list[tuple[str, Command]] = field(default_factory=list)


@dataclass(slots=True)
class Sequence(Command):
    """(command, in the background)."""

    items: list[tuple[Command, bool]] = field(default_factory=list)


@dataclass(slots=True)
class Group(Command):
    body: Sequence = field(default_factory=Sequence)


@dataclass(slots=True)
class Subshell(Command):
    body: Sequence = field(default_factory=Sequence)


@dataclass(slots=True)
class If(Command):
    """(condition, body) of if and elif; `otherwise` of else."""

    branches: list[tuple[Sequence, Sequence]] = field(default_factory=list)
    otherwise: Sequence | None = None


@dataclass(slots=True)
class Loop(Command):
    condition: Sequence = field(default_factory=Sequence)
    body: Sequence = field(default_factory=Sequence)
    until: bool = False


@dataclass(slots=True)
class For(Command):
    name: str = ""
    words: list[Word] | None = None
    body: Sequence = field(default_factory=Sequence)


@dataclass(slots=True)
class ArithmeticFor(Command):
    start: str = ""
    condition: str = ""
    step: str = ""
    body: Sequence = field(default_factory=Sequence)


@dataclass(slots=True)
class ArithmeticCommand(Command):
    expression: str = ""


@dataclass(slots=True)
class Conditional(Command):
    """`[[ ... ]]`: its words."""

    words: list[Word] = field(default_factory=list)


@dataclass(slots=True)
class Case(Command):
    """(patterns, body, terminator) of each item."""

    subject: Word = field(default_factory=Word)
    items: list[tuple[list[Word], Sequence, str]] = field(default_factory=list)


@dataclass(slots=True)
class Function(Command):
    name: str = ""
    body: Command = field(default_factory=Command)


def describe(command: Command) -> str:
    """Roughly the command's text, for `jobs`."""
    if isinstance(command, Simple):
        return " ".join("".join(getattr(p, "text", "$") for p in w.parts) for w in command.words)
    if isinstance(command, Pipeline):
        return " | ".join(describe(c) for c in command.commands)
    return type(command).__name__.lower()
