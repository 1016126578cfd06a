"""Line tools: head, tail, wc, cut, tr and their like."""

from __future__ import annotations

import asyncio
import codecs
import itertools
import re

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.files import file_fault, reason
from labrunner.sandbox.workload.programs.inputs import Inputs, bytes_of, text_of
from labrunner.sandbox.workload.programs.options import OptionFault, lacking, parse, wrong
from labrunner.sandbox.workload.programs.table import program
from labrunner.sandbox.workload.text import printf

_FOLLOW_SECONDS = 0.2


def _old_style(words: list[str]) -> list[str]:
    """`-20` as `-n 20`, `+3` as `-n +3`, where they are no option's value."""
    pairs = zip(["", *words], words, strict=False)
    return [
        f"-n{w.removeprefix('-')}" if re.fullmatch(r"[-+]\d+", w) and before not in ("-n", "-c", "-s") else w
        for before, w in pairs
    ]


def _count(text: str) -> tuple[str, int] | None:
    """(sign, number) with k, M suffixes."""
    found = re.fullmatch(r"([-+]?)(\d+)([bkKMG]?)B?", text)
    if not found:
        return None
    unit = {"": 1, "b": 512, "k": 1024, "K": 1024, "M": 1024**2, "G": 1024**3}[found[3]]
    return found[1], int(found[2]) * unit


@program("head")
async def head(process: Process) -> int:
    try:
        options = parse(_old_style(process.argv[1:]), "n:c:qv", {"lines": "n=", "bytes": "c=", "quiet": "q"})
    except OptionFault as error:
        return await wrong(process, error)
    by_bytes = options.flag("c")
    count = _count(options.value("c") if by_bytes else options.value("n", "10"))
    if count is None:
        return await process.fail(f"invalid number '{options.value('c' if by_bytes else 'n')}'")
    sign, number = count
    names = options.rest or ["-"]
    status = 0
    for index, name in enumerate(names):
        try:
            stream = process.stdin.retain() if name == "-" else process.open(name)
        except OSError as error:
            status = await file_fault(process, name, error)
            continue
        try:
            if (len(names) > 1 and not options.flag("q")) or options.flag("v"):
                await process.line(f"{chr(10) if index else ''}==> {'standard input' if name == '-' else name} <==")
            if sign == "-":
                data = await stream.readall()
                if by_bytes:
                    await process.write(data[:-number] if number else data)
                else:
                    lines = data.splitlines(keepends=True)
                    await process.write(b"".join(lines[: len(lines) - number]))
            elif by_bytes:
                left = number
                while left and (data := await stream.read(min(left, 65536))):
                    await process.write(data)
                    left -= len(data)
            else:
                for _ in range(number):
                    line = await stream.readline()
                    if not line:
                        break
                    await process.write(line)
        finally:
            stream.release()
    return status


@program("tail")
async def tail(process: Process) -> int:
    words = _old_style(process.argv[1:])
    try:
        options = parse(words, "n:c:fFqvs:", {"lines": "n=", "bytes": "c=", "follow": "follow=?", "quiet": "q",
                                              "retry": "retry", "pid": "pid="})  # fmt: skip
    except OptionFault as error:
        return await wrong(process, error)
    by_bytes = options.flag("c")
    count = _count(options.value("c") if by_bytes else options.value("n", "10"))
    if count is None:
        return await process.fail(f"invalid number '{options.value('c' if by_bytes else 'n')}'")
    sign, number = count
    names = options.rest or ["-"]
    status = 0
    followed: list[str] = []
    for index, name in enumerate(names):
        try:
            data = await process.stdin.readall() if name == "-" else await _read(process, name)
        except OSError as error:
            status = await file_fault(process, name, error)
            if options.flag("F", "retry"):
                followed.append(name)
            continue
        followed.append(name)
        if (len(names) > 1 and not options.flag("q")) or options.flag("v"):
            await process.line(f"{chr(10) if index else ''}==> {'standard input' if name == '-' else name} <==")
        if by_bytes:
            await process.write(data[number - 1 :] if sign == "+" else data[-number:] if number else b"")
        else:
            lines = data.splitlines(keepends=True)
            chosen = lines[max(0, number - 1) :] if sign == "+" else lines[-number:] if number else []
            await process.write(b"".join(chosen))
    if options.flag("f", "F", "follow") and followed:
        await _follow(process, [name for name in followed if name != "-"], several=len(names) > 1)
    return status


async def _read(process: Process, name: str) -> bytes:
    stream = process.open(name)
    try:
        return await stream.readall() if not name.startswith("/dev/") else b""
    finally:
        stream.release()


async def _follow(process: Process, names: list[str], *, several: bool) -> None:
    """Shows what is added, for ever."""

    def size(name: str) -> int:
        try:
            return len(process.read_file(name))
        except OSError:
            return 0

    sizes = {name: size(name) for name in names}
    if not names:
        await asyncio.Event().wait()
    last = names[-1]
    while True:
        await asyncio.sleep(_FOLLOW_SECONDS)
        for name in names:
            now = size(name)
            if now < sizes[name]:
                sizes[name] = 0
            if now > sizes[name]:
                data = process.read_file(name)[sizes[name] :]
                if several and name != last:
                    await process.write(f"\n==> {name} <==\n")
                    last = name
                await process.write(data)
                sizes[name] = now


@program("wc")
async def wc(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "lwcmL", {"lines": "l", "words": "w", "bytes": "c", "chars": "m"})
    except OptionFault as error:
        return await wrong(process, error)
    wanted = [k for k in "lwmcL" if options.flag(k)] or ["l", "w", "c"]
    inputs = Inputs(process, options.rest)
    rows: list[tuple[list[int], str]] = []
    async for name, data in inputs.whole():
        counts = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data), "m": len(data.decode("utf-8",
                                                                                                       "replace")),
                  "L": max((len(line) for line in data.splitlines()), default=0)}  # fmt: skip
        rows.append(([counts[k] for k in wanted], "" if not options.rest else name))
    if len(rows) > 1:
        rows.append(([sum(col) for col in zip(*(r for r, _ in rows), strict=True)], "total"))
    gnu = process.container.family == "debian"
    single = len(wanted) == 1 and len(rows) == 1
    for numbers, name in rows:
        if single:
            text = str(numbers[0])
        else:
            width = max(7, 1) if gnu and not options.rest else 1 if gnu else 9
            if gnu and options.rest:
                width = max(len(str(n)) for r, _ in rows for n in r)
            text = " ".join(f"{n:>{width}}" for n in numbers)
        await process.line(f"{text} {name}" if name else text)
    return inputs.status


def _ranges(text: str) -> list[tuple[int, int]]:
    """`1,3-5,7-`. Raises ValueError."""
    found = []
    for item in re.split(r"[, ]", text):
        match = re.fullmatch(r"(\d*)(-?)(\d*)", item)
        if not match or not (match[1] or match[3]):
            raise ValueError(item)
        low = int(match[1] or 1)
        high = int(match[3]) if match[3] else (1 << 30) if match[2] else low
        if low < 1 or high < low:
            raise ValueError(item)
        found.append((low, high))
    return found


@program("cut")
async def cut(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "d:f:c:b:sn", {"delimiter": "d=", "fields": "f=", "characters": "c=",
                                                         "bytes": "b=",
                                                        "only-delimited": "s", "output-delimiter": "out=",
                                                        "complement": "complement"})  # fmt: skip
    except OptionFault as error:
        return await wrong(process, error)
    kind = options.last(("f", "c", "b"))
    if not kind:
        return await process.fail("you must specify a list of bytes, characters, or fields")
    try:
        ranges = _ranges(options.value(kind))
    except ValueError:
        return await process.fail(
            f"invalid field range '{options.value(kind)}'" if kind == "f" else "invalid byte or character range"
        )
    delimiter = options.value("d", "\t")
    if len(delimiter) != 1:
        return await process.fail("the delimiter must be a single character")
    between = options.value("out") if options.flag("out") else delimiter if kind == "f" else ""
    inputs = Inputs(process, options.rest)

    def chosen(index: int) -> bool:
        return any(low <= index <= high for low, high in ranges) != options.flag("complement")

    async for _, raw in inputs.lines():
        line = text_of(raw).rstrip("\n")
        if kind == "f":
            if delimiter not in line:
                if not options.flag("s"):
                    await process.line(line)
                continue
            cells = line.split(delimiter)
        else:
            cells = list(line)
        await process.line(between.join(cell for index, cell in enumerate(cells, 1) if chosen(index)))
    return inputs.status


_TR_CLASSES = {
    "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "lower": "abcdefghijklmnopqrstuvwxyz", "digit": "0123456789",
    "space": " \t\n\r\f\v", "blank": " \t", "punct": "".join(chr(c) for c in range(33, 127) if not chr(c).isalnum()),
    "alpha": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "alnum": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "cntrl": "".join(map(chr, [*range(32), 127])), "print": "".join(map(chr, range(32, 127))),
    "xdigit": "0123456789ABCDEFabcdef", "graph": "".join(map(chr, range(33, 127))),
}  # fmt: skip


def _tr_set(text: str) -> list[str]:
    text = printf.unescape(text, stop=False, octal_zero=False)[0]
    found: list[str] = []
    at = 0
    while at < len(text):
        match = re.compile(r"\[:(\w+):\]").match(text, at)
        if match and match[1] in _TR_CLASSES:
            found.extend(_TR_CLASSES[match[1]])
            at = match.end()
        elif at + 2 < len(text) and text[at + 1] == "-" and text[at + 2] >= text[at]:
            found.extend(chr(c) for c in range(ord(text[at]), min(ord(text[at + 2]), ord(text[at]) + 70_000) + 1))
            at += 3
        else:
            found.append(text[at])
            at += 1
    return found


@program("tr")
async def tr(process: Process) -> int:
    try:
        options = parse(
            process.argv[1:], "cCdst", {"delete": "d", "complement": "c", "squeeze-repeats": "s"}, permute=False
        )
    except OptionFault as error:
        return await wrong(process, error)
    if not options.rest:
        return await lacking(process)
    first = _tr_set(options.rest[0])
    second = _tr_set(options.rest[1]) if len(options.rest) > 1 else []
    delete, squeeze, complement = options.flag("d"), options.flag("s"), options.flag("c", "C")
    if not second and not delete and not squeeze:
        return await process.fail(f"missing operand after ‘{options.rest[0]}’")
    members = set(first)
    mapping = {}
    if second and not delete and not complement:
        padded = second + [second[-1]] * (len(first) - len(second))
        for key, value in zip(first, padded, strict=False):
            mapping[key] = value
    squeezed = set(second) if second else members
    last = ""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    while data := await process.stdin.read(4096):
        out = []
        for char in decoder.decode(data):
            inside = (char in members) != complement
            if delete:
                if inside:
                    continue
            elif inside and second:
                char = mapping.get(char, second[-1]) if not complement else second[-1]
            if squeeze and char == last and ((char in squeezed) != (complement and not second)):
                continue
            out.append(char)
            last = char
        await process.write(bytes_of("".join(out)))
        await process.breathe()
    return 0


@program("tee")
async def tee(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "ai", {"append": "a"})
    except OptionFault as error:
        return await wrong(process, error)
    streams, status = [], 0
    for name in options.rest:
        try:
            streams.append(process.open(name, "a" if options.flag("a") else "w"))
        except OSError as error:
            status = await process.fail(f"{name}: {reason(error)}")
    try:
        while data := await process.stdin.read():
            await process.write(data)
            for stream in streams:
                await stream.write(data)
            await process.breathe()
    finally:
        for stream in streams:
            stream.release()
    return status


@program("nl")
async def nl(process: Process) -> int:
    number = 1
    inputs = Inputs(process, [w for w in process.argv[1:] if not w.startswith("-")])
    everything = "-ba" in process.argv
    async for _, raw in inputs.lines():
        if raw.strip() or everything:
            await process.write(f"{number:6d}\t".encode() + raw)
            number += 1
        else:
            await process.write(b"       " + raw)
    return inputs.status


@program("rev")
async def rev(process: Process) -> int:
    inputs = Inputs(process, process.argv[1:])
    async for _, raw in inputs.lines():
        await process.line(text_of(raw).rstrip("\n")[::-1])
    return inputs.status


@program("tac")
async def tac(process: Process) -> int:
    inputs = Inputs(process, process.argv[1:])
    async for _, data in inputs.whole():
        await process.write(b"".join(reversed(data.splitlines(keepends=True))))
    return inputs.status


@program("paste")
async def paste(process: Process) -> int:
    options = parse(process.argv[1:], "d:s", {"delimiters": "d=", "serial": "s"})
    between = printf.unescape(options.value("d", "\t"))[0] or "\t"
    columns = []
    async for _, data in Inputs(process, options.rest).whole():
        columns.append(text_of(data).splitlines())
    if options.flag("s"):
        for column in columns:
            await process.line(between[0].join(column))
        return 0
    for row in itertools.zip_longest(*columns, fillvalue=""):
        await process.line(between[0].join(row))
    return 0


@program("fold")
async def fold(process: Process) -> int:
    options = parse(process.argv[1:], "w:sb", {"width": "w="})
    width = max(1, int(options.value("w", "80"))) if options.value("w", "80").isdigit() else 80
    async for _, raw in Inputs(process, options.rest).lines():
        line = text_of(raw).rstrip("\n")
        for start in range(0, max(1, len(line)), width):
            await process.line(line[start : start + width])
    return 0


@program("less", "more")
async def less(process: Process) -> int:
    inputs = Inputs(process, [w for w in process.argv[1:] if not w.startswith(("-", "+"))])
    async for _, data in inputs.whole():
        await process.write(data)
    return inputs.status


@program("split")
async def split(process: Process) -> int:
    options = parse(process.argv[1:], "l:b:", {"lines": "l=", "bytes": "b="})
    prefix = options.rest[1] if len(options.rest) > 1 else "x"
    data = b""
    async for _, piece in Inputs(process, options.rest[:1]).whole():
        data += piece
    if size := _count(options.value("b")) if options.flag("b") else None:
        parts = [data[i : i + size[1]] for i in range(0, len(data), max(1, size[1]))]
    else:
        count = int(options.value("l", "1000"))
        lines = data.splitlines(keepends=True)
        parts = [b"".join(lines[i : i + count]) for i in range(0, len(lines), count)]
    for index, part in enumerate(parts[:676]):
        process.fs.write(f"{prefix}{chr(97 + index // 26)}{chr(97 + index % 26)}", part, process.cwd, process.owner)
    return 0


@program("column")
async def column(process: Process) -> int:
    options = parse(process.argv[1:], "ts:o:", {"table": "t", "separator": "s="})
    rows = []
    async for _, raw in Inputs(process, options.rest).lines():
        text = text_of(raw).rstrip("\n")
        rows.append(text.split(options.value("s")) if options.value("s") else text.split())
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows), default=0))]
    for row in rows:
        await process.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip())
    return 0


@program("jq")
async def jq(process: Process) -> int:
    from labrunner.sandbox.workload.text.jq import JqFault, run

    options = parse(process.argv[1:], "rcSsne", {"raw-output": "r", "compact-output": "c", "sort-keys": "S",
                                                 "slurp": "s",
                    "null-input": "n", "exit-status": "e", "arg": "arg="}, permute=True)  # fmt: skip
    if not options.rest:
        return await process.fail("error: no filter given", 2)
    data = b""
    inputs = Inputs(process, options.rest[1:], missing=2)
    if not options.flag("n"):
        async for _, piece in inputs.whole():
            data += piece
    try:
        for line in run(options.rest[0], text_of(data), raw=options.flag("r"), compact=options.flag("c"),
                        sort_keys=options.flag("S"), slurp=options.flag("s"), null=options.flag("n")):  # fmt: skip
            await process.line(line)
            await process.breathe()
    except JqFault as error:
        await process.error(f"jq: {error}\n")
        return error.status
    return inputs.status


@program("grep", "egrep", "fgrep")
async def grep(process: Process) -> int:
    from labrunner.sandbox.workload.programs.grep import main

    return await main(process)
