"""The table of commands that the shell runs itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from labrunner.sandbox.workload.shell.executor import Shell

Builtin = Callable[[Shell, list[str]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Entry:
    run: Builtin
    only: tuple[str, ...] = ()
    """Flavours that have it; empty: all."""


BUILTINS: dict[str, Entry] = {}


def builtin(*names: str, only: tuple[str, ...] = ()) -> Callable[[Builtin], Builtin]:
    def register(function: Builtin) -> Builtin:
        for name in names:
            BUILTINS[name] = Entry(function, only)
        return function

    return register


async def usage(shell: Shell, name: str, usage: str, status: int) -> int:
    await shell.process.error(shell.message(f"{name}: usage: {usage}"))
    return status
