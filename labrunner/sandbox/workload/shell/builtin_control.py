"""The flow of control: `exit`, `return`, `break`, `eval`, `.`, `trap`."""

from __future__ import annotations

import posixpath

from labrunner.sandbox.workload.machine import signals
from labrunner.sandbox.workload.machine.process import Exited
from labrunner.sandbox.workload.shell.executor import Shell
from labrunner.sandbox.workload.shell.messages import quoted
from labrunner.sandbox.workload.shell.registry import builtin
from labrunner.sandbox.workload.shell.state import (
    FunctionReturn,
    LoopBreak,
    LoopContinue,
    ShellFault,
)


@builtin(":", "true")
async def _true(shell: Shell, words: list[str]) -> int:
    return 0


@builtin("false")
async def _false(shell: Shell, words: list[str]) -> int:
    return 1


@builtin("exit")
async def _exit(shell: Shell, words: list[str]) -> int:
    raise Exited(await _number(shell, "exit", words, shell.state.status))


@builtin("return")
async def _return(shell: Shell, words: list[str]) -> int:
    if shell.state.flavour == "bash" and not shell.functions:
        await shell.process.error(shell.message("return: can only `return' from a function or sourced script"))
        return 2
    status = await _number(shell, "return", words, shell.state.status)
    raise FunctionReturn(status if shell.state.flavour == "dash" else status & 0xFF)


async def _number(shell: Shell, name: str, words: list[str], default: int) -> int:
    if not words:
        return default
    text = words[0]
    bash = shell.state.flavour == "bash"
    if (text.lstrip("-+") if bash else text).isdigit() and len(text) < 20:
        return int(text)
    word = f"{text}: numeric argument required" if bash else f"Illegal number: {text}"
    raise ShellFault(f"{name}: {word}", 2)


@builtin("break")
async def _break(shell: Shell, words: list[str]) -> int:
    if not shell.loops:
        return await _outside_loops(shell, "break")
    shell.state.status = 0
    raise LoopBreak(max(1, await _number(shell, "break", words, 1)))


async def _outside_loops(shell: Shell, name: str) -> int:
    if shell.state.flavour == "bash":
        text = f"{name}: only meaningful in a `for', `while', or `until' loop"
        await shell.process.error(shell.message(text))
    return 0


@builtin("continue")
async def _continue(shell: Shell, words: list[str]) -> int:
    if not shell.loops:
        return await _outside_loops(shell, "continue")
    shell.state.status = 0
    raise LoopContinue(max(1, await _number(shell, "continue", words, 1)))


@builtin("eval")
async def _eval(shell: Shell, words: list[str]) -> int:
    if shell.depth + len(shell.functions) > 150:
        raise ShellFault("eval: maximum nesting level exceeded", 2)
    shell.functions.append({})
    try:
        return await shell.run_text(" ".join(words)) if words else 0
    finally:
        shell.functions.pop()


@builtin("exec")
async def _exec(shell: Shell, words: list[str]) -> int:
    return 0  # the executor does it


@builtin("source", only=("bash", "ash"))
@builtin(".")
async def _source(shell: Shell, words: list[str]) -> int:
    if not words:
        raise ShellFault(".: filename argument required", 2)
    path = words[0]
    process = shell.process
    if "/" not in path:
        found = [f for f in (shell.state.get("PATH") or "").split(":") if process.fs.exists(posixpath.join(f, path))]
        if found:
            path = posixpath.join(found[0], path)
    try:
        text = process.read_file(path).decode("utf-8", "surrogateescape")
    except OSError as error:
        if shell.state.flavour == "bash":
            await process.error(shell.message(f"{words[0]}: {error.strerror}"))
            return 1
        raise ShellFault(f".: can't open '{words[0]}': {error.strerror}", 2) from None
    if len(shell.functions) > 100:
        raise ShellFault(".: nested too deeply", 2)
    positional = shell.state.positional
    if len(words) > 1:
        shell.state.positional = words[1:]
    shell.functions.append({})
    try:
        return await shell.run_text(text)
    except FunctionReturn as returned:
        return returned.status
    finally:
        shell.functions.pop()
        shell.state.positional = positional


@builtin("trap")
async def _trap(shell: Shell, words: list[str]) -> int:
    if words[:1] == ["--"]:
        words = words[1:]
    if words[:1] == ["-l"]:
        await shell.process.line(" ".join(signals.NUMBERS))
        return 0
    if not words or words == ["-p"]:
        for number, text in sorted(shell.state.traps.items()):
            name = "EXIT" if number == 0 else signals.NAMES[number]
            await shell.process.line(f"trap -- {quoted(text)} {name}")
        return 0
    names = words if len(words) == 1 else words[1:]
    action = None if len(words) == 1 or words[0] == "-" else words[0]
    for name in names:
        signal = signals.parse(name)
        if signal is None:
            if name in ("ERR", "DEBUG", "RETURN") and shell.state.flavour == "bash":
                continue
            if shell.state.flavour == "dash":
                await shell.process.error(f"trap: {name}: bad trap\n")
            else:
                await shell.process.error(shell.message(f"trap: {name}: invalid signal specification"))
            return 1
        shell.set_trap(signal, action)
    return 0
