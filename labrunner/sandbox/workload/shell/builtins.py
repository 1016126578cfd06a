"""Commands that the shell runs itself."""

from __future__ import annotations

import asyncio
import errno
import posixpath
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from labrunner.sandbox.workload.filesystem.node import Directory
from labrunner.sandbox.workload.filesystem.tree import fault, may
from labrunner.sandbox.workload.machine import signals
from labrunner.sandbox.workload.machine.process import Exited, Process
from labrunner.sandbox.workload.shell import conditional
from labrunner.sandbox.workload.shell.conditional import TestFault
from labrunner.sandbox.workload.shell.executor import Shell, find_builtin
from labrunner.sandbox.workload.shell.messages import quoted
from labrunner.sandbox.workload.shell.state import (
    OPTION_LETTERS,
    OPTION_NAMES,
    FunctionReturn,
    Job,
    LoopBreak,
    LoopContinue,
    ShellFault,
    Variable,
)
from labrunner.sandbox.workload.text import printf

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


@builtin(":", "true")
async def _true(shell: Shell, words: list[str]) -> int:
    return 0


@builtin("false")
async def _false(shell: Shell, words: list[str]) -> int:
    return 1


@builtin("echo")
async def _echo(shell: Shell, words: list[str]) -> int:
    await shell.process.write(echo_text(words, shell.state.flavour))
    return 0


def echo_text(words: list[str], flavour: str) -> str:
    """What `echo` writes: dash always interprets escapes, the others with -e."""
    escapes, newline = flavour == "dash", True
    while (
        words
        and len(words[0]) > 1
        and words[0][0] == "-"
        and set(words[0][1:]) <= set("n" if flavour == "dash" else "neE")
    ):
        newline = newline and "n" not in words[0]
        for letter in words[0][1:]:
            escapes = escapes if letter == "n" else letter == "e"
        words = words[1:]
    text = " ".join(words)
    if escapes:
        text, stopped = printf.unescape(text)
        newline = newline and not stopped
    return text + ("\n" if newline else "")


@builtin("printf")
async def _printf(shell: Shell, words: list[str]) -> int:
    name = ""
    if shell.state.flavour == "bash" and words[:1] == ["-v"] and len(words) > 2:
        name, words = words[1], words[2:]
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        return await _usage(shell, "printf", "printf FORMAT [ARG]...", 2)
    try:
        text, complaints = printf.render(words[0], words[1:], shell.state.flavour)
    except printf.PrintfFault as error:
        await shell.process.error(shell.message(f"printf: {error}"))
        return 1
    if name:
        shell.state.set(name, text)
    else:
        await shell.process.write(text)
    for complaint in complaints:
        await shell.process.error(shell.message(f"printf: {complaint}"))
    return int(bool(complaints))


async def _usage(shell: Shell, name: str, usage: str, status: int) -> int:
    await shell.process.error(shell.message(f"{name}: usage: {usage}"))
    return status


async def _test_as(name: str, shell: Shell, words: list[str]) -> int:
    if name == "[":
        if not words or words[-1] != "]":
            missing = "`]'" if shell.state.flavour == "bash" else "]"
            await shell.process.error(shell.message(f"[: missing {missing}"))
            return 2
        words = words[:-1]
    try:
        return int(not conditional.test(shell.process, words))
    except TestFault as error:
        text = str(error)
        unexpected = text.endswith(": unexpected operator")
        if unexpected and shell.state.flavour == "ash":
            text = f"{words[1]}: unknown operand"
        elif unexpected and shell.state.flavour == "bash":
            text = text.replace("unexpected operator", f"{'unary' if len(words) == 2 else 'binary'} operator expected")
        elif unexpected:
            text = f"{words[0]}: unexpected operator"
        elif text == "too many arguments" and shell.state.flavour != "bash":
            text = (
                f"{words[1]}: unknown operand" if shell.state.flavour == "ash" else f"{words[0]}: unexpected operator"
            )
        if shell.state.flavour == "bash" and text.startswith("Illegal number: "):
            text = f"{text.removeprefix('Illegal number: ')}: integer expression expected"
        elif shell.state.flavour == "ash" and text.startswith("Illegal number: "):
            text = text.removeprefix("Illegal number: ")
            await shell.process.error(f"sh: {text}: bad number\n")
            return 2
        await shell.process.error(shell.message(f"{name}: {text}"))
        return 2


BUILTINS["test"] = Entry(lambda shell, words: _test_as("test", shell, words))
BUILTINS["["] = Entry(lambda shell, words: _test_as("[", shell, words))


@builtin("cd", "chdir")
async def _cd(shell: Shell, words: list[str]) -> int:
    state, process = shell.state, shell.process
    words = [w for w in words if w not in ("-L", "-P", "--")]
    target = words[0] if words else state.get("HOME") or "/"
    shown = target == "-"
    if shown:
        target = state.get("OLDPWD") or "/"
    elif not target.startswith(("/", "./", "../")) and target not in ("", ".", ".."):
        for folder in (state.get("CDPATH") or "").split(":"):
            if folder and process.fs.is_dir(posixpath.join(folder, target), process.cwd):
                target, shown = posixpath.join(folder, target), True
                break
    logical = posixpath.normpath(posixpath.join(process.cwd, target))
    try:
        if target == "":
            logical = process.cwd
        node = process.fs.node(logical, "/", owner=process.owner)
        if not isinstance(node, Directory):
            raise fault(errno.ENOTDIR, target)
        if not may(node, process.owner, 1):
            raise fault(errno.EACCES, target)
    except OSError as error:
        words_ = {"dash": f"can't cd to {target}", "ash": f"can't cd to {target}: {error.strerror}"}
        text = words_.get(state.flavour, f"{target}: {error.strerror}")
        await process.error(shell.message(f"cd: {text}"))
        return 1 if state.flavour == "bash" else 2
    state.set("OLDPWD", process.cwd)
    process.cwd = "/" if logical == "//" else logical
    state.set("PWD", process.cwd)
    if shown:
        await process.line(process.cwd)
    return 0


@builtin("pwd")
async def _pwd(shell: Shell, words: list[str]) -> int:
    await shell.process.line(shell.process.cwd)
    return 0


@builtin("export")
async def _export(shell: Shell, words: list[str]) -> int:
    return await _attribute(shell, words, "export")


@builtin("readonly")
async def _readonly(shell: Shell, words: list[str]) -> int:
    return await _attribute(shell, words, "readonly")


async def _attribute(shell: Shell, words: list[str], which: str) -> int:
    state = shell.state
    remove = "-n" in words
    words = [w for w in words if w not in ("-p", "-n", "--", "-x")]
    if not words:
        for name, variable in sorted(state.variables.items()):
            if variable.exported if which == "export" else variable.read_only:
                prefix = {"export": "declare -x", "readonly": "declare -r"}[which] if state.flavour == "bash" else which
                value = f'"{variable.value}"' if state.flavour == "bash" else f"'{variable.value}'"
                await shell.process.line(f"{prefix} {name}={value}")
        return 0
    for word in words:
        name, equals, value = word.partition("=")
        if not name.isidentifier():
            bash = state.flavour == "bash"
            text = f"`{word}': not a valid identifier" if bash else f"{name}: bad variable name"
            await shell.process.error(shell.message(f"{which}: {text}"))
            return 1 if bash else 2
        if equals:
            state.set(name, value)
        variable = state.variables.setdefault(name, Variable())
        if which == "export":
            variable.exported = not remove
        else:
            variable.read_only = True
    return 0


@builtin("unset")
async def _unset(shell: Shell, words: list[str]) -> int:
    functions = "-f" in words
    for word in words:
        if word.startswith("-"):
            continue
        if functions:
            shell.state.functions.pop(word, None)
        elif word in shell.state.variables:
            if shell.state.variables[word].read_only:
                if shell.state.flavour == "bash":
                    await shell.process.error(shell.message(f"unset: {word}: cannot unset: readonly variable"))
                    return 1
                raise ShellFault(f"unset: {shell.state.read_only(word)}", 2)
            shell.state.unset(word)
        else:
            shell.state.functions.pop(word, None)
    return 0


@builtin("set")
async def _set(shell: Shell, words: list[str]) -> int:
    state = shell.state
    if not words:
        for name, variable in sorted(state.variables.items()):
            await shell.process.line(f"{name}={quoted(variable.value)}")
        return 0
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--" or word == "-":
            state.positional = words[at + 1 :]
            return 0
        if len(word) < 2 or word[0] not in "-+":
            break
        for letter in word[1:]:
            if letter == "o":
                at += 1
                if at >= len(words):
                    for name in sorted(OPTION_NAMES):
                        await shell.process.line(f"{name:<15}\t{'on' if name in state.options else 'off'}")
                    return 0
                name = words[at]
                if name not in OPTION_NAMES:
                    raise ShellFault(f"set: {name}: invalid option name", 2)
            elif letter in OPTION_LETTERS:
                name = OPTION_LETTERS[letter]
            else:
                raise ShellFault(f"set: Illegal option -{letter}" if state.flavour == "dash" else
                                 f"set: {word[0]}{letter}: invalid option", 2)  # fmt: skip
            (state.options.add if word[0] == "-" else state.options.discard)(name)
        at += 1
    if at < len(words):
        state.positional = words[at:]
    return 0


@builtin("shopt", only=("bash",))
async def _shopt(shell: Shell, words: list[str]) -> int:
    return 0


@builtin("shift")
async def _shift(shell: Shell, words: list[str]) -> int:
    count = int(words[0]) if words and words[0].isdigit() else 1
    if count > len(shell.state.positional):
        if shell.state.flavour == "dash":
            raise ShellFault("shift: can't shift that many", 2)
        return 1
    del shell.state.positional[:count]
    return 0


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


@builtin("read")
async def _read(shell: Shell, words: list[str]) -> int:
    raw, prompt, seconds, count, silent, names, delimiter = False, "", None, 0, False, [], b"\n"
    array = ""
    at = 0
    while at < len(words) and words[at].startswith("-") and len(words[at]) > 1:
        option = words[at]
        at += 1
        for index, letter in enumerate(option[1:], 1):
            if letter == "r":
                raw = True
            elif letter == "s":
                silent = True
            elif letter in "ptnNdua":
                value = option[index + 1 :]
                if not value:
                    if at >= len(words):
                        return await _usage(shell, "read", "read [-r] [-p prompt] [-t seconds] name ...", 2)
                    value = words[at]
                    at += 1
                if letter == "p":
                    prompt = value
                elif letter == "t":
                    seconds = float(value) if value.replace(".", "", 1).isdigit() else 0.0
                elif letter in "nN":
                    count = int(value) if value.isdigit() else 0
                elif letter == "d":
                    delimiter = value[:1].encode() or b"\0"
                elif letter == "a":
                    array = value
                break
    names = words[at:]
    process = shell.process
    if not names and not array and shell.state.flavour == "dash":
        raise ShellFault("read: arg count", 2)
    if prompt and process.stdin.is_tty:
        await process.error(prompt)
    terminal = process.terminal
    if silent and terminal is not None:
        terminal.echo = False
    try:
        async with asyncio.timeout(seconds):
            line, ended = await _read_line(process, raw, count, delimiter)
    except TimeoutError:
        return 142 if shell.state.flavour == "bash" else 1
    finally:
        if silent and terminal is not None:
            terminal.echo = True
    text = line.decode("utf-8", "surrogateescape")
    if array:
        items = dict(enumerate(_fields(text, shell, 1 << 30, raw)))
        shell.state.variables[array] = Variable(items=items)
        return int(not ended)
    if not names:
        shell.state.set("REPLY", _unescaped(text) if not raw else text)
        return int(not ended)
    values = _fields(text, shell, len(names), raw)
    for index, name in enumerate(names):
        shell.state.set(name, values[index] if index < len(values) else "")
    return int(not ended)


async def _read_line(process: Process, raw: bool, count: int, delimiter: bytes) -> tuple[bytes, bool]:
    """(line without its end, whether it had one); without `raw` a backslash continues it."""
    if count:
        data = b""
        while len(data) < count:
            byte = await process.stdin.read(1)
            if not byte or byte == b"\n":
                return data, bool(byte)
            data += byte
        return data, True
    if delimiter != b"\n":
        data = b""
        while True:
            byte = await process.stdin.read(1)
            if not byte or byte == delimiter:
                return data, bool(byte)
            data += byte
    parts = b""
    while True:
        line = await process.stdin.readline()
        ended = line.endswith(b"\n")
        line = line[:-1] if ended else line
        if not raw and ended and len(line) - len(line.rstrip(b"\\")) & 1:
            parts += line[:-1]
            continue
        return parts + line, ended


def _unescaped(text: str) -> str:
    out, at = [], 0
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
        out.append(text[at])
        at += 1
    return "".join(out)


def _fields(text: str, shell: Shell, count: int, raw: bool) -> list[str]:
    """The line split at IFS; the last field takes the rest."""
    ifs = shell.state.get("IFS")
    separators = " \t\n" if ifs is None else ifs
    blanks = "".join(c for c in separators if c in " \t\n")
    fields: list[str] = []
    at = 0
    while at < len(text) and text[at] in blanks:
        at += 1
    while at < len(text):
        if len(fields) == count - 1:
            rest = text[at:]
            stripped = rest.rstrip(blanks) if blanks else rest
            if stripped and stripped[-1] in separators and not any(c in separators for c in stripped[:-1]):
                stripped = stripped[:-1].rstrip(blanks)
            fields.append(stripped if raw else _unescaped(stripped))
            break
        field = []
        while at < len(text) and text[at] not in separators:
            if text[at] == "\\" and not raw and at + 1 < len(text):
                at += 1
            field.append(text[at])
            at += 1
        fields.append("".join(field))
        hard = 0
        while at < len(text) and text[at] in separators and (text[at] in blanks or not hard):
            hard += text[at] not in blanks
            at += 1
    return fields


@builtin("local")
async def _local(shell: Shell, words: list[str]) -> int:
    if not shell.functions:
        if shell.state.flavour == "bash":
            await shell.process.error(shell.message("local: can only be used in a function"))
            return 1
        raise ShellFault("local: not in a function", 2)
    return await _declare(shell, words)


@builtin("declare", "typeset", only=("bash",))
async def _declare(shell: Shell, words: list[str]) -> int:
    state = shell.state
    options = "".join(w[1:] for w in words if w.startswith("-"))
    for word in words:
        if word.startswith(("-", "+")):
            continue
        name, equals, value = word.partition("=")
        if not name.isidentifier():
            await shell.process.error(shell.message(f"local: `{word}': not a valid identifier"))
            return 1
        if shell.functions and "g" not in options:
            hidden = shell.functions[-1]
            if name not in hidden:
                hidden[name] = state.variables.get(name)
                before = state.variables.get(name)
                state.variables[name] = Variable("", bool(before and before.exported))
                if state.flavour != "bash" and before is not None:
                    state.variables[name].value = before.value
        variable = state.variables.setdefault(name, Variable())
        if "i" in options:
            variable.integer = True
        if "a" in options and variable.items is None:
            variable.items = {}
        if equals:
            state.set(name, str(await shell.expander.number(value)) if variable.integer else value)
        variable.exported = variable.exported or "x" in options
        variable.read_only = variable.read_only or "r" in options
    return 0


@builtin("let", only=("bash", "ash"))
async def _let(shell: Shell, words: list[str]) -> int:
    value = 0
    for word in words:
        value = await shell.expander.number(word)
    return int(value == 0)


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


def _job(shell: Shell, word: str) -> Job | None:
    jobs = shell.state.jobs
    if word in ("%%", "%+", "%", ""):
        return jobs[-1] if jobs else None
    if word == "%-":
        return jobs[-2] if len(jobs) > 1 else None
    number = int(word[1:]) if word[1:].isdigit() else -1
    return next((j for j in jobs if j.number == number), None)


@builtin("wait")
async def _wait(shell: Shell, words: list[str]) -> int:
    state = shell.state
    if "-n" in words:
        running = [job.process for job in state.jobs]
        if not running:
            return 127
        waits = [asyncio.ensure_future(p.wait()) for p in running]
        done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for waiting in rest:
            waiting.cancel()
        state.jobs = [job for job in state.jobs if job.process.status is None]
        return done.pop().result()
    if not words:
        for job in list(state.jobs):
            status = await _wait_for(shell, job.process)
            if status is None:
                return 128 + 15
        state.jobs.clear()
        return 0
    status = 0
    for word in words:
        found: Process | None
        if word.startswith("%"):
            chosen = _job(shell, word)
            found = chosen.process if chosen else None
        else:
            found = next((job.process for job in state.jobs if str(job.process.pid) == word), None)
        if found is None:
            known = state.ended.get(int(word)) if word.isdigit() else None
            status = 127 if known is None else known
            if known is None and state.flavour == "bash":
                what = f"pid {word} is not a child of this shell" if word.isdigit() else f"{word}: no such job"
                await shell.process.error(shell.message(f"wait: {what}"))
            continue
        waited_ = await _wait_for(shell, found)
        if waited_ is None:
            return 128 + 15
        status = waited_
        if len(state.ended) < 1000:
            state.ended[found.pid] = status
        if found.ended_by_signal() and state.flavour != "bash":
            await shell.say_killed(found)
        state.jobs = [job for job in state.jobs if job.process is not found]
    return status


async def _wait_for(shell: Shell, child: Process) -> int | None:
    """None when a trap interrupted it."""
    waiting = asyncio.ensure_future(child.wait())
    try:
        while not waiting.done():
            await asyncio.wait((waiting,), timeout=0.1)
            if shell.pending_signals:
                await shell.run_traps()
                return None
        return waiting.result()
    finally:
        waiting.cancel()


@builtin("jobs")
async def _jobs(shell: Shell, words: list[str]) -> int:
    for index, job in enumerate(shell.state.jobs):
        mark = "+" if index == len(shell.state.jobs) - 1 else "-" if index == len(shell.state.jobs) - 2 else " "
        status = job.process.status
        state = "Running" if status is None else "Done" if status == 0 else f"Done({status})"
        await shell.process.line(f"[{job.number}]{mark}  {state:<24}{job.text}")
    shell.state.jobs = [job for job in shell.state.jobs if job.process.status is None]
    return 0


@builtin("fg")
async def _fg(shell: Shell, words: list[str]) -> int:
    job = _job(shell, words[0] if words else "")
    if job is None:
        await shell.process.error(shell.message(f"fg: {words[0] if words else 'current'}: no such job"))
        return 1
    await shell.process.line(job.text)
    job.process.background = False
    shell.state.jobs.remove(job)
    return await job.process.wait()


@builtin("bg")
async def _bg(shell: Shell, words: list[str]) -> int:
    return 0


@builtin("kill")
async def _kill(shell: Shell, words: list[str]) -> int:
    number = 15
    if words[:1] in (["-l"], ["-L"]):
        if len(words) > 1 and words[1].isdigit():
            await shell.process.line(signals.NAMES.get(int(words[1]) & 127, words[1]))
        else:
            await shell.process.line(" ".join(signals.NUMBERS))
        return 0
    if words and words[0] == "-s" and len(words) > 1:
        words = [f"-{words[1]}", *words[2:]]
    if words and words[0].startswith("-") and words[0] != "--":
        found = signals.parse(words[0][1:])
        if found is None:
            await shell.process.error(shell.message(f"kill: {words[0][1:]}: invalid signal specification"))
            return 1
        number, words = found, words[1:]
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        if shell.state.flavour == "ash":
            await shell.process.error("sh: you need to specify whom to kill\n")
            return 1
        return await _usage(shell, "kill", "kill [-s sigspec | -signum] pid", 2)
    status = 0
    for word in words:
        problem = _signal(shell, word, number)
        if problem:
            await shell.process.error(shell.message(f"kill: {problem}"))
            status = 1
    await asyncio.sleep(0)
    if shell.pending_signals:
        await shell.run_traps()
    return status


def _signal(shell: Shell, word: str, number: int) -> str:
    if word.startswith("%"):
        job = _job(shell, word)
        if job is None:
            return f"{word}: no such job"
        job.process.kill(number)
        return ""
    if not word.lstrip("-").isdigit():
        return f"{word}: arguments must be process or job IDs" if shell.state.flavour == "bash" else (
            f"Illegal number: {word}" if shell.state.flavour == "dash" else f"invalid number '{word}'")  # fmt: skip
    problem = kill_pid(shell.process, int(word), number)
    if problem.startswith("can't kill pid") and shell.state.flavour != "ash":
        reason = problem.rpartition(": ")[2]
        return f"({word}) - {reason}" if shell.state.flavour == "bash" else f"{reason}\n"
    return problem


def kill_pid(process: Process, pid: int, number: int) -> str:
    """What is wrong, or nothing. Negative: a session; -1: all but the first process."""
    everyone = process.container.processes()
    if pid == -1:
        for other in everyone:
            if other.pid != 1 and other is not process:
                other.kill(number)
        return ""
    targets = [p for p in everyone if (p.session == -pid if pid < 0 else p.pid == pid)]
    if pid == 0:
        targets = [p for p in everyone if p.session == process.session]
    if not targets:
        return f"can't kill pid {pid}: No such process"
    for target in targets:
        if process.owner.uid not in (0, target.owner.uid):
            return f"can't kill pid {pid}: Operation not permitted"
        if target.pid == 1 and number == 9:
            continue  # the kernel keeps a namespace's first process from its own
        target.kill(number)
    return ""


@builtin("umask")
async def _umask(shell: Shell, words: list[str]) -> int:
    if not words:
        await shell.process.line(f"{shell.process.umask:04o}")
    elif words[0].isdigit() and set(words[0]) <= set("01234567"):
        shell.process.umask = int(words[0], 8) & 0o777
    else:
        mode = None if words[0].isdigit() else _symbolic_mask(words[0], shell.process.umask)
        if mode is None:
            flavour = shell.state.flavour
            said = {"dash": f"Illegal number: {words[0]}", "ash": f"illegal mode: {words[0]}"}
            text = f"umask: {said.get(flavour, f'{words[0]}: octal number out of range')}"
            await shell.process.error(shell.message(text))
            return 1 if flavour == "bash" else 2
        shell.process.umask = mode
    return 0


def _symbolic_mask(text: str, mask: int) -> int | None:
    """`u=rwx,g=rx,o=` says what is allowed; the mask is the rest. None when it is no mode."""
    allowed = ~mask & 0o777
    for clause in text.split(","):
        found = re.fullmatch(r"([ugoa]*)([-+=])([rwx]*)", clause)
        if not found:
            return None
        bits = sum({"r": 4, "w": 2, "x": 1}[letter] for letter in set(found[3]))
        for who in found[1].replace("a", "ugo") or "ugo":
            shift = {"u": 6, "g": 3, "o": 0}[who]
            match found[2]:
                case "+":
                    allowed |= bits << shift
                case "-":
                    allowed &= ~(bits << shift)
                case _:
                    allowed = allowed & ~(7 << shift) | bits << shift
    return ~allowed & 0o777


@builtin("ulimit")
async def _ulimit(shell: Shell, words: list[str]) -> int:
    letters = {"-n": "1048576", "-u": "unlimited", "-c": "0", "-s": "8192", "-f": "unlimited"}
    await shell.process.line(letters.get(words[0] if words else "-f", "unlimited"))
    return 0


@builtin("times")
async def _times(shell: Shell, words: list[str]) -> int:
    await shell.process.line("0m0.000s 0m0.000s\n0m0.000s 0m0.000s")
    return 0


@builtin("hash")
async def _hash(shell: Shell, words: list[str]) -> int:
    return 0


@builtin("alias")
async def _alias(shell: Shell, words: list[str]) -> int:
    if not words:
        for name, text in sorted(shell.state.aliases.items()):
            await shell.process.line(f"{name}={quoted(text)}")
    for word in words:
        name, equals, text = word.partition("=")
        if equals:
            shell.state.aliases[name] = text
        elif name in shell.state.aliases:
            await shell.process.line(f"{name}='{shell.state.aliases[name]}'")
        else:
            await shell.process.error(shell.message(f"alias: {name} not found"))
            return 1
    return 0


@builtin("unalias")
async def _unalias(shell: Shell, words: list[str]) -> int:
    for word in words:
        shell.state.aliases.pop(word, None)
    return 0


@builtin("type")
async def _type(shell: Shell, words: list[str]) -> int:
    status = 0
    for word in words:
        if word.startswith("-"):
            continue
        text = _kind(shell, word)
        if text:
            await shell.process.line(text)
        else:
            status = 1 if shell.state.flavour == "bash" else 127
            line = f"{word}: not found"
            if shell.state.flavour == "bash":
                await shell.process.error(shell.message(f"type: {line}"))
            else:
                await shell.process.line(line)
    return status


_KEYWORDS = frozenset(
    ("if", "then", "else", "fi", "while", "do", "done", "for", "case", "esac", "until", "elif", "{", "}", "!", "in")
)


def _kind(shell: Shell, word: str) -> str:
    if word in shell.state.functions:
        return f"{word} is a shell function" if shell.state.flavour == "dash" else f"{word} is a function"
    if find_builtin(word, shell.state.flavour):
        return f"{word} is a shell builtin"
    if word in _KEYWORDS:
        return f"{word} is a shell keyword"
    path = _which(shell, word)
    return f"{word} is {path}" if path else ""


def _which(shell: Shell, word: str) -> str:
    try:
        return shell.process.container.which(
            word, shell.state.get("PATH") or "", shell.process.cwd, shell.process.owner
        )
    except OSError:
        return ""


@builtin("command", "builtin")
async def _command(shell: Shell, words: list[str]) -> int:
    if words[:1] in (["-v"], ["-V"]):
        verbose, status = words[0] == "-V", 0
        for word in words[1:]:
            if verbose:
                text = _kind(shell, word)
            elif word in shell.state.functions or find_builtin(word, shell.state.flavour) or word in _KEYWORDS:
                text = word
            else:
                text = _which(shell, word)
            if text:
                await shell.process.line(text)
            else:
                status = 127 if shell.state.flavour != "bash" else 1
        return status
    words = [w for i, w in enumerate(words) if not (i == 0 and w in ("-p", "--"))]
    if not words:
        return 0
    found = find_builtin(words[0], shell.state.flavour)
    if found is not None:
        return await found(shell, words[1:])
    try:
        child = shell.process.container.execute(
            words, parent=shell.process, env=shell.state.environment(), cwd=shell.process.cwd
        )
    except OSError as error:
        return await shell._not_started(words[0], error)
    return await shell._wait(child)


@builtin("getopts")
async def _getopts(shell: Shell, words: list[str]) -> int:
    if len(words) < 2:
        raise ShellFault("getopts: usage: getopts optstring var [arg]", 2)
    options, name = words[0], words[1]
    arguments = words[2:] or shell.state.positional
    silent = options.startswith(":")
    state = shell.state
    index = int(state.get("OPTIND") or 1)
    offset = int(state.get("_OPTOFFSET") or 1)
    if index > len(arguments) or not arguments[index - 1].startswith("-") or arguments[index - 1] == "-":
        state.set(name, "?")
        return 1
    if arguments[index - 1] == "--":
        state.set("OPTIND", str(index + 1))
        state.set(name, "?")
        return 1
    word = arguments[index - 1]
    letter = word[offset]
    offset += 1
    known = letter in options and letter != ":"
    takes = known and options[options.index(letter) + 1 :].startswith(":")
    state.unset("OPTARG")
    if takes:
        if offset < len(word):
            state.set("OPTARG", word[offset:])
            index += 1
        elif index < len(arguments):
            state.set("OPTARG", arguments[index])
            index += 2
        else:
            index += 1
            if silent:
                state.set("OPTARG", letter)
            else:
                bash = shell.state.flavour == "bash"
                text = f"{shell.state.name}: option requires an argument -- {letter}"
                await shell.process.error((text if bash else f"No arg for -{letter} option") + "\n")
            letter = ":" if silent else "?"
        offset = 1
    else:
        if not known:
            if silent:
                state.set("OPTARG", letter)
            else:
                bash = shell.state.flavour == "bash"
                text = f"{shell.state.name}: illegal option -- {letter}" if bash else f"Illegal option -{letter}"
                await shell.process.error(text + "\n")
            letter = "?"
        if offset >= len(word):
            index, offset = index + 1, 1
    state.set("OPTIND", str(index))
    state.set("_OPTOFFSET", str(offset))
    state.set(name, letter)
    return 0


@builtin("history")
async def _history(shell: Shell, words: list[str]) -> int:
    for number, text in enumerate(shell.state.history, 1):
        await shell.process.line(f"{number:5}  {text}")
    return 0


@builtin("help", only=("bash", "ash"))
async def _help(shell: Shell, words: list[str]) -> int:
    await shell.process.line("Built-in commands:\n------------------\n\t" + " ".join(sorted(BUILTINS)))
    return 0
