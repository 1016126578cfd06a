"""`read`."""

from __future__ import annotations

import asyncio

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.shell.executor import Shell
from labrunner.sandbox.workload.shell.registry import builtin, usage
from labrunner.sandbox.workload.shell.state import (
    ShellFault,
    Variable,
)


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
                        return await usage(shell, "read", "read [-r] [-p prompt] [-t seconds] name ...", 2)
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
