"""How bash, dash and busybox's ash word what went wrong. Source: their own output."""

from __future__ import annotations

from labrunner.sandbox.workload.shell.state import State
from labrunner.sandbox.workload.shell.syntax import ShellSyntaxError

_APPLETS = frozenset(("printf", "[", "test", "echo", "kill"))
"""Builtins of ash that are applets: they say the shell's name instead of their own."""
_ASH_BUILTINS = frozenset((
    ".", "cd", "exit", "return", "local", "trap", "umask", "exec", "unset", "export", "readonly", "shift", "read",
    "set", "source", "wait", "fg", "bg", "eval", "break", "continue", "getopts",
))  # fmt: skip


def fault(state: State, text: str) -> str:
    """`text` starts with the builtin's name where one speaks."""
    if state.flavour == "dash":
        return f"{state.name}: {state.source_line}: {text}\n"
    if state.flavour == "bash":
        return f"{state.name}: {text}\n" if state.interactive else f"{state.name}: line {state.source_line}: {text}\n"
    command, colon, rest = text.partition(": ")
    if colon and command in _APPLETS:
        return f"sh: {rest}\n"
    if colon and command in _ASH_BUILTINS and not state.interactive:
        return f"{state.name}: {command}: line {line_number(state)}: {rest}\n"
    return f"{state.name}: {text}\n"


def line_number(state: State) -> int:
    """`LINENO`: ash counts the lines of `-c` from 0."""
    return state.source_line - int(state.flavour == "ash" and state.from_option)


def syntax(state: State, error: ShellSyntaxError, text: str = "") -> str:
    """A syntax error in `text`."""
    match state.flavour:
        case "bash":
            return _bash_syntax(state, error, text)
        case "dash":
            start, said = f"{state.name}: {error.line}: ", _dash_syntax(error)
        case _:
            start, said = f"{state.name}: syntax error: ", _ash_syntax(error)
    return f"{start}{said}\n"


def _bash_syntax(state: State, error: ShellSyntaxError, text: str) -> str:
    lines = text.rstrip("\n").split("\n")
    option = "-c: " if state.from_option else ""

    def where(line: int) -> str:
        return "bash: " if state.interactive else f"{state.name}: {option}line {line}: "

    if error.incomplete:
        if error.expecting in ("'", '"', "`", "}", ")"):
            line = len(lines) + 1 if error.expecting == ")" else error.line
            return f"{where(line)}unexpected EOF while looking for matching `{error.expecting}'\n"
        return f"{where(len(lines) + 1)}syntax error: unexpected end of file\n"
    if error.message == "bad substitution":
        return f"{where(error.line)}{lines[min(error.line, len(lines)) - 1].strip()}: bad substitution\n"
    said = f"{where(error.line)}syntax error near unexpected token `{error.token}'\n"
    if text and not state.interactive and error.line <= len(lines):
        said += f"{where(error.line)}`{lines[error.line - 1]}'\n"
    return said


def _token(error: ShellSyntaxError) -> str:
    if error.token in ("<", ">", ">>", "<<", "<<-", "<&", ">&", "<>", ">|"):
        return "redirection"
    return error.token if error.token in ("newline", "end of file") else f'"{error.token}"'


def _expecting(error: ShellSyntaxError) -> str:
    return f' (expecting "{error.expecting}")' if error.expecting else ""


def _dash_syntax(error: ShellSyntaxError) -> str:
    if error.message.startswith("unterminated"):
        return "Syntax error: Missing '}'" if error.expecting == "}" else "Syntax error: Unterminated quoted string"
    if error.message == "bad substitution":
        return "Bad substitution"
    return f"Syntax error: {_token(error)} unexpected{_expecting(error)}"


def _ash_syntax(error: ShellSyntaxError) -> str:
    if error.message.startswith("unterminated"):
        return "missing '}'" if error.expecting == "}" else "unterminated quoted string"
    if error.message == "bad substitution":
        return error.message
    return f"unexpected {_token(error)}{_expecting(error)}"


def traced(word: str, flavour: str) -> str:
    """A word as `set -x` shows it."""
    if flavour == "dash":
        return word
    if flavour == "ash":
        plain = not any(c < "+" or ";" <= c <= "?" or c in "`[\\" or c > "z" for c in word)
        return word if plain else _single(word)
    return quoted(word)


def quoted(word: str) -> str:
    """For `set -x` of bash and for `type`."""
    if word and all(c.isalnum() or c in "_-./:=,@%+" for c in word):
        return word
    return _single(word)


def _single(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
