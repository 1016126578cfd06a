"""What a shell remembers: variables, functions, options, positional parameters, jobs."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labrunner.sandbox.workload.shell.syntax import Command

if TYPE_CHECKING:
    from labrunner.sandbox.workload.machine.process import Process


class ShellFault(Exception):
    """An expansion or a special builtin failed: it ends a non-interactive shell with `status`."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.message, self.status = message, status


class LoopBreak(Exception):
    """`break n`"""

    def __init__(self, levels: int) -> None:
        self.levels = levels


class LoopContinue(Exception):
    """`continue n`"""

    def __init__(self, levels: int) -> None:
        self.levels = levels


class FunctionReturn(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


@dataclass(slots=True)
class Variable:
    value: str = ""
    exported: bool = False
    read_only: bool = False
    items: dict[int, str] | None = None
    """An indexed array's elements."""
    integer: bool = False


@dataclass(slots=True)
class Job:
    number: int
    process: Process
    text: str


OPTION_LETTERS = {"e": "errexit", "u": "nounset", "x": "xtrace", "f": "noglob", "n": "noexec", "v": "verbose",
                  "a": "allexport", "C": "noclobber", "m": "monitor", "b": "notify", "h": "hashall"}  # fmt: skip
OPTION_NAMES = {*OPTION_LETTERS.values(), "pipefail", "ignoreeof", "posix", "emacs", "vi"}


@dataclass(slots=True)
class State:
    """`flavour`: ash (busybox), dash or bash; it decides on messages and on what `echo` does."""

    flavour: str = "ash"
    name: str = "sh"
    variables: dict[str, Variable] = field(default_factory=dict)
    functions: dict[str, Command] = field(default_factory=dict)
    positional: list[str] = field(default_factory=list)
    options: set[str] = field(default_factory=set)
    status: int = 0
    last_background: int | None = None
    pid: int = 0
    interactive: bool = False
    aliases: dict[str, str] = field(default_factory=dict)
    traps: dict[int, str] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    history: list[str] = field(default_factory=list)
    source_line: int = 1
    pipe_status: list[int] = field(default_factory=list)
    from_option: bool = False
    """Its program is the argument of `-c`."""
    ended: dict[int, int] = field(default_factory=dict)
    """Statuses of background processes that have been waited for, by pid."""

    def copy(self) -> State:
        """For a subshell."""
        return State(
            self.flavour,
            self.name,
            {name: Variable(v.value, v.exported, v.read_only, dict(v.items) if v.items is not None else None, v.integer)
             for name, v in self.variables.items()},
            dict(self.functions),
            list(self.positional),
            set(self.options),
            self.status,
            self.last_background,
            self.pid,
            False,
            dict(self.aliases),
            {},
            [],
            self.started,
            self.history,
            self.source_line,
            from_option=self.from_option,
        )  # fmt: skip

    def get(self, name: str) -> str | None:
        """A variable's value; `RANDOM`, `SECONDS` and `LINENO` are made up when asked for."""
        variable = self.variables.get(name)
        if variable is not None:
            return variable.value if variable.items is None else variable.items.get(0, "")
        if self.flavour != "dash" and name == "RANDOM":
            return str(random.randrange(32768))
        if name == "SECONDS" and self.flavour == "bash":
            return str(int(time.time() - self.started))
        if name == "LINENO" and self.flavour != "dash":
            return str(self.source_line - int(self.flavour == "ash" and self.from_option))
        if self.flavour == "bash" and name == "EPOCHSECONDS":
            return str(int(time.time()))
        return None

    def set(self, name: str, value: str, *, export: bool | None = None) -> None:
        """Raises ShellFault for a read-only variable."""
        variable = self.variables.get(name)
        if variable is None:
            variable = self.variables[name] = Variable(exported="allexport" in self.options)
        elif variable.read_only:
            raise ShellFault(self.read_only(name), 1 if self.flavour == "bash" else 2)
        if variable.items is not None:
            variable.items[0] = value
        else:
            variable.value = value
        if export is not None:
            variable.exported = export

    def read_only(self, name: str) -> str:
        return {"bash": f"{name}: readonly variable", "dash": f"{name}: is read only"}.get(
            self.flavour, f"{name}: is read only"
        )

    def unset(self, name: str) -> None:
        variable = self.variables.get(name)
        if variable is not None and variable.read_only:
            raise ShellFault(self.read_only(name), 1 if self.flavour == "bash" else 2)
        self.variables.pop(name, None)

    def environment(self) -> dict[str, str]:
        return {name: v.value for name, v in self.variables.items() if v.exported and v.items is None}

    def flags(self) -> str:
        """`$-`"""
        letters = [letter for letter, name in OPTION_LETTERS.items() if name in self.options]
        return "".join(sorted(letters)) + ("i" if self.interactive else "")
