"""Compound commands: if, loops, case, groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labrunner.sandbox.workload.shell import conditional, messages, pattern, redirection
from labrunner.sandbox.workload.shell.state import (
    LoopBreak,
    LoopContinue,
    ShellFault,
)
from labrunner.sandbox.workload.shell.syntax import (
    ArithmeticCommand,
    ArithmeticFor,
    Case,
    Command,
    Conditional,
    For,
    Group,
    If,
    Loop,
    Sequence,
)

if TYPE_CHECKING:
    from labrunner.sandbox.workload.shell.executor import Shell


async def compound(shell: Shell, command: Command) -> int:
    try:
        saved = await redirection.redirect_here(shell, command.redirects)
    except OSError as error:
        shell.state.status = status = await redirection.redirect_failed(shell, error)
        shell._check_errexit(command, status)
        return status
    try:
        status = await run_compound(shell, command)
    finally:
        redirection.restore(shell, saved)
    shell.state.status = status
    return status


async def run_compound(shell: Shell, command: Command) -> int:
    match command:
        case Group():
            return await shell.run(command.body)
        case If():
            for condition, body in command.branches:
                if await shell._condition(condition):
                    return await shell.run(body)
            return await shell.run(command.otherwise) if command.otherwise else 0
        case Loop():
            return await while_loop(shell, command)
        case For():
            return await for_loop(shell, command)
        case ArithmeticFor():
            return await arithmetic_for(shell, command)
        case Case():
            return await case(shell, command)
        case ArithmeticCommand():
            status = int(await shell.expander.number(await arithmetic_text(shell, command.expression)) == 0)
            shell._check_errexit(command, status)
            return status
        case Conditional():
            status = await conditional.evaluate(shell, command)
            shell._check_errexit(command, status)
            return status
    raise ShellFault("cannot run this", 2)


async def arithmetic_text(shell: Shell, text: str) -> str:
    from labrunner.sandbox.workload.shell.words import WordReader

    return await shell.expander.text(WordReader(text, flavour=shell.state.flavour).here_text())


async def one_round(shell: Shell, body: Sequence) -> tuple[int, bool]:
    """(status, whether the loop goes on)."""
    shell.loops += 1
    try:
        return await shell.run(body), True
    except LoopBreak as stop:
        if stop.levels > 1 and shell.loops > 1:
            raise LoopBreak(stop.levels - 1) from None
        return shell.state.status, False
    except LoopContinue as again:
        if again.levels > 1 and shell.loops > 1:
            raise LoopContinue(again.levels - 1) from None
        return shell.state.status, True
    finally:
        shell.loops -= 1


async def while_loop(shell: Shell, command: Loop) -> int:
    status = 0
    while await shell._condition(command.condition) != command.until:
        status, more = await one_round(shell, command.body)
        if not more:
            break
        await shell.process.breathe()
    return status


async def for_loop(shell: Shell, command: For) -> int:
    values = shell.state.positional if command.words is None else await shell.expander.fields(command.words)
    status = 0
    for value in list(values):
        shell.state.set(command.name, value)
        if "xtrace" in shell.state.options and shell.state.flavour == "bash":
            shown = " ".join(messages.traced(v, "bash") for v in values)
            await shell.process.error(f"+ for {command.name} in {shown}\n")
        status, more = await one_round(shell, command.body)
        if not more:
            break
        await shell.process.breathe()
    return status


async def arithmetic_for(shell: Shell, command: ArithmeticFor) -> int:
    status = 0
    await shell.expander.number(await arithmetic_text(shell, command.start))
    while not command.condition.strip() or await shell.expander.number(await arithmetic_text(shell, command.condition)):
        status, more = await one_round(shell, command.body)
        if not more:
            break
        await shell.expander.number(await arithmetic_text(shell, command.step))
        await shell.process.breathe()
    return status


async def case(shell: Shell, command: Case) -> int:
    subject = await shell.expander.text(command.subject)
    status, falling = 0, False
    for patterns, body, terminator in command.items:
        if not falling:
            for word in patterns:
                if pattern.matches(pattern.compiled(await shell.expander.pieces(word)), subject):
                    break
            else:
                continue
        status = await shell.run(body)
        falling = terminator == ";&"
        if terminator == ";;":
            break
    return status
