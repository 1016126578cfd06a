"""Small tools of every base image: stty, nice, link, expand, dos2unix and their like, and `busybox` itself."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs import usage
from labrunner.sandbox.workload.programs.basic import run
from labrunner.sandbox.workload.programs.files import reason
from labrunner.sandbox.workload.programs.inputs import Inputs
from labrunner.sandbox.workload.programs.options import OptionFault, lacking, parse, wrong
from labrunner.sandbox.workload.programs.table import lookup, program

_MAX_FACTORED = 10**12


@program("busybox")
async def busybox(process: Process) -> int:
    """`busybox APPLET ...`; alone it says what it has."""
    words = process.argv[1:]
    if not words or words[0] in ("--help", "--list"):
        names = [n for n in process.fs.listing("/bin") if lookup(n) is not None]
        if words[:1] == ["--list"]:
            await process.write("".join(f"{name}\n" for name in names))
            return 0
        await process.line(
            f"{usage.BANNER}\n\nUsage: busybox [function [arguments]...]\n\nCurrently defined functions:"
        )
        await process.line(f"\t{', '.join(names)}")
        return 0
    found = lookup(words[0]) if re.fullmatch(r"[\w\[.-]+", words[0]) and process.fs.exists(f"/bin/{words[0]}") else None
    if found is None:
        await process.error(f"{words[0]}: applet not found\n")
        return 127
    process.argv = words
    return await found(process)


@program("stty")
async def stty(process: Process) -> int:
    """The terminal's size and whether it echoes."""
    terminal = process.terminal if process.stdin.is_tty else None
    if terminal is None:
        gnu = process.container.family == "debian"
        return await process.fail(f"{chr(39) * gnu}standard input{chr(39) * gnu}: Inappropriate ioctl for device")
    for word in process.argv[1:]:
        if word == "size":
            await process.line(f"{terminal.rows} {terminal.columns}")
        elif word in ("echo", "-echo"):
            terminal.echo = word == "echo"
        elif word in ("sane", "cooked", "-raw"):
            terminal.raw, terminal.echo = False, True
        elif word == "raw":
            terminal.raw = True
    if process.argv[1:] in ([], ["-a"]):
        size = f"; rows {terminal.rows}; columns {terminal.columns}; line = 0;" if process.argv[1:] else "; line = 0;"
        await process.line(f"speed 38400 baud{size}\n{'' if terminal.echo else '-echo'}".rstrip("\n"))
    return 0


@program("nice", "ionice")
async def nice(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "n:c:", permute=False)
    except OptionFault as error:
        return await wrong(process, error)
    if not options.rest:
        await process.line("0")
        return 0
    return await run(process, options.rest)


@program("unlink")
async def unlink(process: Process) -> int:
    if len(process.argv) != 2:
        return await lacking(process)
    path = process.argv[1]
    try:
        process.fs.remove(path, process.cwd, process.owner)
    except OSError as error:
        gnu = process.container.family == "debian"
        words = f"cannot unlink '{path}'" if gnu else f"can't remove file '{path}'"
        return await process.fail(f"{words}: {reason(error)}")
    return 0


@program("factor")
async def factor(process: Process) -> int:
    status = 0
    for word in process.argv[1:]:
        if not word.isdigit() or not 1 <= int(word) <= _MAX_FACTORED:
            status = await process.fail(f"invalid number '{word}'")
            continue
        left, divisor, found = int(word), 2, []
        while divisor * divisor <= left:
            while left % divisor == 0:
                found.append(divisor)
                left //= divisor
            divisor += 1
            if divisor % 4096 == 0:
                await process.breathe()
        await process.line(" ".join([f"{word}:", *map(str, found), *([str(left)] if left > 1 else [])]))
    return status


@program("shuf")
async def shuf(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "i:n:e")
    except OptionFault as error:
        return await wrong(process, error)
    first, _, last = options.value("i").partition("-")
    status = 0
    if options.flag("i"):
        if not (first.isdigit() and last.isdigit() and 0 <= int(last) - int(first) < 1_000_000):
            return await process.fail(f"bad range '{options.value('i')}'")
        lines = [f"{n}\n".encode() for n in range(int(first), int(last) + 1)]
    elif options.flag("e"):
        lines = [f"{word}\n".encode("utf-8", "surrogateescape") for word in options.rest]
    else:
        inputs = Inputs(process, options.rest)
        lines = [line if line.endswith(b"\n") else line + b"\n" async for _, line in inputs.lines()]
        status = inputs.status
    random.shuffle(lines)
    count = options.value("n")
    await process.write(b"".join(lines[: int(count)] if count.isdigit() else lines))
    return status


@program("expand", "unexpand", "dos2unix", "unix2dos")
async def lines_changed(process: Process) -> int:
    """Filters of single lines; the DOS ones change files in place, as they do."""
    names = [w for w in process.argv[1:] if not w.startswith("-")]
    change: dict[str, Callable[[bytes], bytes]] = {
        "expand": lambda line: line.expandtabs(8),
        "unexpand": lambda line: re.sub(rb"^(?: {8})+", lambda m: b"\t" * (len(m[0]) // 8), line),
        "dos2unix": lambda line: line.replace(b"\r\n", b"\n"),
        "unix2dos": lambda line: line.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    }
    changed = change[process.name]
    inputs = Inputs(process, names)
    if names and process.name in ("dos2unix", "unix2dos"):
        async for name, data in inputs.whole():
            process.fs.write(name, changed(data), process.cwd, process.owner)
        return inputs.status
    async for _, line in inputs.lines():
        await process.write(changed(line))
    return inputs.status
