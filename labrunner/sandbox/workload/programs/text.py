"""Line tools: head, tail, wc, cut, sort, uniq, tr and their like."""

from __future__ import annotations

import asyncio
import codecs
import itertools
import re
from collections import deque
from typing import Any

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.files import file_fault, reason
from labrunner.sandbox.workload.programs.inputs import Inputs, bytes_of, text_of
from labrunner.sandbox.workload.programs.options import OptionFault, Options, lacking, parse, wrong
from labrunner.sandbox.workload.programs.table import program
from labrunner.sandbox.workload.text import printf

_FOLLOW_SECONDS = 0.2
_MAX_SORT = 64 * 1024 * 1024


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


@program("sort")
async def sort(process: Process) -> int:
    words = process.argv[1:]
    try:
        options = parse(words, "nrufhk:t:o:bVgMcsziS:T:R", {"numeric-sort": "n", "reverse": "r", "unique": "u",
                                                            "key": "k=",
                        "field-separator": "t=", "ignore-case": "f", "human-numeric-sort": "h", "version-sort": "V",
                        "output": "o=", "random-sort": "R", "stable": "s"})  # fmt: skip
    except OptionFault as error:
        return await wrong(process, error, 2)
    inputs = Inputs(process, options.rest, missing=2)
    lines: list[str] = []
    size = 0
    async for _, raw in inputs.lines():
        lines.append(text_of(raw).rstrip("\n"))
        size += len(raw)
        if size > _MAX_SORT:
            return await process.fail("memory exhausted", 2)
    if inputs.status:
        return inputs.status
    keys = [_Key(text, options) for text in options.values("k")] or [_Key("1", options)]

    rows: list[tuple[list[object], str]] = []
    for line in lines:
        rows.append(([key.value(line) for key in keys], line))
        await process.breathe()
    whole = not options.flag("u", "s")
    backwards = options.flag("r") and not options.values("k")
    if options.flag("c"):
        for index, pair in enumerate(itertools.pairwise(rows), 2):
            if _sorted(list(pair), keys, whole=whole, backwards=backwards)[0] is not pair[0]:
                where = options.rest[0] if options.rest else "-"
                return await process.fail(f"{where}:{index}: disorder: {pair[1][1]}")
        return 0
    rows = _sorted(rows, keys, whole=whole, backwards=backwards)
    if options.flag("u"):
        rows = [row for index, row in enumerate(rows) if not index or rows[index - 1][0] != row[0]]
    ordered = [line for _, line in rows]
    text = "".join(f"{line}\n" for line in ordered)
    if path := options.value("o"):
        process.fs.write(path, bytes_of(text), process.cwd, process.owner)
    else:
        await process.write(text)
    return 0


def _sorted(
    rows: list[tuple[list[Any], str]], keys: list[_Key], *, whole: bool, backwards: bool
) -> list[tuple[list[Any], str]]:
    """By the first key, then the next ones, at last by the whole line: stable sorts in the opposite order."""
    found = sorted(rows, key=lambda row: row[1], reverse=backwards) if whole else list(rows)
    for number in reversed(range(len(keys))):
        found.sort(key=lambda row, number=number: row[0][number], reverse="r" in keys[number].letters)  # type: ignore[misc]
    return found


class _Key:
    """`-k 2,3nr`"""

    def __init__(self, text: str, options: Options) -> None:
        found = re.fullmatch(r"(\d+)(?:\.(\d+))?([a-zA-Z]*)(?:,(\d+)(?:\.(\d+))?([a-zA-Z]*))?", text)
        self.start = int(found[1]) if found else 1
        self.start_char = int(found[2] or 1) if found else 1
        self.end = int(found[4]) if found and found[4] else 0
        letters = (found[3] or "") + (found[6] or "") if found else ""
        given = letters or "".join(k for k in "nrfhbVgM" if options.flag(k))
        self.separator = options.value("t")
        self.letters = given
        self.whole = not options.values("k")

    def _of(self, line: str) -> str:
        if self.whole:
            return line
        if self.separator:
            cells = line.split(self.separator)
            return self.separator.join(cells[self.start - 1 : self.end or None])[self.start_char - 1 :]
        cells = re.findall(r"\s*\S+", line)
        return "".join(cells[self.start - 1 : self.end or None])

    def value(self, line: str) -> object:
        """What is compared of a line."""
        return self._value(self._of(line))

    def _value(self, text: str) -> object:
        if "b" in self.letters or not self.separator:
            text = text.lstrip() if not self.whole or set("nhgM") & set(self.letters) else text
        if "h" in self.letters:
            found = re.match(r"\s*(-?\d*\.?\d*)([KMGTP]?)", text)
            number = float(found[1]) if found and found[1] not in ("", "-", ".") else 0.0
            return " KMGTP".index(found[2] or " ") if found and not number else number * 1024.0 ** " KMGTP".index(
                (found[2] if found else "") or " ")  # fmt: skip
        if "n" in self.letters or "g" in self.letters:
            found = re.match(r"\s*(-?\d*\.?\d+)", text)
            return float(found[1]) if found else 0.0
        if "V" in self.letters:
            return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.findall(r"\d+|\D+", text)]
        if "M" in self.letters:
            months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
            return months.index(text[:3].upper()) + 1 if text[:3].upper() in months else 0
        return text.upper() if "f" in self.letters else text


@program("uniq")
async def uniq(process: Process) -> int:
    try:
        options = parse(
            process.argv[1:], "cduif:s:w:", {"count": "c", "repeated": "d", "unique": "u", "ignore-case": "i"}
        )
    except OptionFault as error:
        return await wrong(process, error)
    skip = int(options.value("f", "0") or 0)
    inputs = Inputs(process, options.rest[:1])
    previous, count = "", 0

    def key(line: str) -> str:
        text = re.sub(rf"^(?:\s*\S+){{{skip}}}", "", line) if skip else line
        return text.lower() if options.flag("i") else text

    async def flush() -> None:
        if not count or (options.flag("d") and count < 2) or (options.flag("u") and count > 1):
            return
        await process.line(f"{count:7d} {previous}" if options.flag("c") else previous)

    async for _, raw in inputs.lines():
        line = text_of(raw).rstrip("\n")
        if count and key(line) == key(previous):
            count += 1
            continue
        await flush()
        previous, count = line, 1
    await flush()
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


@program("xargs")
async def xargs(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "0n:I:rtP:d:L:s:i::", {"null": "0", "max-args": "n=", "no-run-if-empty": "r",
                        "max-procs": "P=", "delimiter": "d=", "verbose": "t"}, permute=False)  # fmt: skip
    except OptionFault as error:
        return await wrong(process, error)
    text = text_of(await process.stdin.readall())
    replace = options.value("I") or ("{}" if options.flag("i") else "")
    if options.flag("0"):
        items = [item for item in text.split("\0") if item]
    elif options.flag("d"):
        items = [i for i in text.split(printf.unescape(options.value("d"))[0] or "\n") if i.strip("\n")]
    elif replace:
        items = [line.strip() for line in text.splitlines() if line.strip()]
    else:
        items = _words(text)
    command = options.rest or ["echo"]
    size = (
        int(options.value("n") or options.value("L") or 0)
        if (options.value("n") or options.value("L") or "0").isdigit()
        else 0
    )
    batches: list[list[str]]
    if replace:
        batches = [[word.replace(replace, item) for word in command] for item in items]
    else:
        groups = [items[i : i + size] for i in range(0, len(items), size)] if size else [items] if items else []
        if not groups and not options.flag("r") and process.container.family == "debian":
            groups = [[]]
        if not groups and not options.flag("r") and process.container.family != "debian":
            groups = [[]]
        batches = [[*command, *group] for group in groups]
    width = options.value("P", "1")
    gate = asyncio.Semaphore(max(1, min(64, int(width) if width.isdigit() else 1)) if width != "0" else 64)
    status = 0

    async def one(words: list[str]) -> int:
        async with gate:
            if options.flag("t"):
                await process.error(" ".join(words) + "\n")
            try:
                return await process.call(words)
            except OSError as error:
                await process.say(f"{words[0]}: {reason(error)}")
                return 127 if isinstance(error, FileNotFoundError) else 126

    if width == "1":
        for words in batches:
            code = await one(words)
            if code in (126, 127):
                return code
            if code == 255:
                return 124
            status = 123 if code else status
        return status
    codes = await asyncio.gather(*(one(words) for words in batches))
    return 123 if any(codes) else 0


def _words(text: str) -> list[str]:
    """Blank separated, with quotes and backslashes."""
    found: list[str] = []
    current: list[str] | None = None
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if quote:
            if char == quote:
                quote = ""
            else:
                current = [*(current or []), char]
        elif char in "'\"":
            quote = char
            current = current or []
        elif char == "\\" and at < len(text):
            current = [*(current or []), text[at]]
            at += 1
        elif char in " \t\n":
            if current is not None:
                found.append("".join(current))
                current = None
        elif current is None:
            current = [char]
        else:
            current.append(char)
    if current is not None:
        found.append("".join(current))
    return found


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


@program("od", "hexdump", "xxd")
async def od(process: Process) -> int:
    kind = process.name
    flags = "".join(w[1:] for w in process.argv[1:] if w.startswith("-"))
    taking = ("-A", "-t", "-n", "-N", "-l")
    names = [w for before, w in itertools.pairwise(process.argv) if not w.startswith("-") and before not in taking]
    data = b""
    inputs = Inputs(process, names)
    async for _, piece in inputs.whole():
        data += piece
    radix = next((w[2:] or after for w, after in itertools.pairwise([*process.argv, ""]) if w.startswith("-A")), "o")
    hexadecimal = "x" in flags.replace("An", "")
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        shown = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        if kind == "xxd":
            cells = " ".join(row[i : i + 2].hex() for i in range(0, len(row), 2))
            await process.line(f"{start:08x}: {cells:<39}  {shown}")
        elif kind == "od" and hexadecimal and "1" in flags:
            await process.line(f"{_offset(start, radix)} {' '.join(f'{b:02x}' for b in row)}")
        elif kind == "hexdump" or hexadecimal:
            cells = " ".join(f"{b:02x}" for b in row[:8]) + "  " + " ".join(f"{b:02x}" for b in row[8:])
            await process.line(f"{start:08x}  {cells:<49} |{shown}|")
        elif "c" in flags:
            names_ = {0: "\\0", 7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}
            cells = " ".join(f"{names_.get(b, chr(b) if 32 <= b < 127 else f'{b:03o}'):>3}" for b in row)
            await process.line(f"{_offset(start, radix)} {cells}")
        else:
            words = " ".join(f"{int.from_bytes(row[i : i + 2], 'little'):06o}" for i in range(0, len(row), 2))
            await process.line(f"{_offset(start, radix)} {words}")
        await process.breathe()
    if kind == "od" and radix != "n":
        await process.line(_offset(len(data), radix))
    elif kind == "hexdump" and data:
        await process.line(f"{len(data):08x}")
    return inputs.status


def _offset(value: int, radix: str) -> str:
    return {"n": "", "d": f"{value:07d}", "x": f"{value:06x}"}.get(radix, f"{value:07o}")


@program("cmp")
async def cmp(process: Process) -> int:
    words = [w for w in process.argv[1:] if not w.startswith("-") or w == "-"]
    if len(words) < 2:
        return await lacking(process, 2)
    found = []
    async for _, data in Inputs(process, words[:2], missing=2).whole():
        found.append(data)
    if len(found) < 2:
        return 2
    a, b = found
    if a == b:
        return 0
    index = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if "-s" not in process.argv:
        if index < min(len(a), len(b)):
            unit = "byte" if process.container.family == "debian" else "char"
            await process.line(
                f"{words[0]} {words[1]} differ: {unit} {index + 1}, line {a.count(bytes((10,)), 0, index) + 1}"
            )
        else:
            await process.error(f"cmp: EOF on {words[0] if len(a) < len(b) else words[1]}\n")
    return 1


@program("diff")
async def diff(process: Process) -> int:
    import difflib

    words = [w for w in process.argv[1:] if not w.startswith("-") or w == "-"]
    if len(words) != 2:
        return await lacking(process, 2)
    found = []
    for word in words:
        try:
            stream = process.stdin.retain() if word == "-" else process.open(word)
        except OSError as error:
            gnu = process.container.family == "debian"
            return await process.fail(f"{word}: {reason(error)}" if gnu else f"can't stat '{word}': {reason(error)}", 2)
        try:
            found.append(text_of(await stream.readall()).splitlines(keepends=True))
        finally:
            stream.release()
    if found[0] == found[1]:
        return 0
    if any(w in ("-q", "--brief") for w in process.argv):
        await process.line(f"Files {words[0]} and {words[1]} differ")
        return 1
    if sum(map(len, found)) > 20_000:
        return await process.fail("files too large", 2)
    flags = [w for w in process.argv[1:] if w.startswith("-") and w != "-"]
    if process.container.family == "debian" and not any(f.startswith(("-u", "-U", "--unified")) for f in flags):
        lines = normal_diff(found[0], found[1])
    else:
        lines = list(difflib.unified_diff(found[0], found[1], words[0], words[1]))
    for line in lines:
        await process.write(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n")
    return 1


def normal_diff(old: list[str], new: list[str]) -> list[str]:
    """The format of `diff` without options: `2c2`, `< old`, `---`, `> new`."""
    import difflib

    def span(start: int, end: int) -> str:
        return f"{start + 1},{end}" if end - start > 1 else str(max(start + 1 if end > start else start, 0))

    out: list[str] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        out.append(f"{span(i1, i2)}{ {'replace': 'c', 'delete': 'd', 'insert': 'a'}[tag] }{span(j1, j2)}\n")
        out.extend(f"< {line}" for line in old[i1:i2])
        if tag == "replace":
            out.append("---\n")
        out.extend(f"> {line}" for line in new[j1:j2])
    return out


@program("comm")
async def comm(process: Process) -> int:
    hidden = set("".join(w[1:] for w in process.argv[1:] if re.fullmatch(r"-[123]+", w)))
    words = [w for w in process.argv[1:] if not re.fullmatch(r"-[123]+", w)]
    queues = []
    async for _, data in Inputs(process, words[:2]).whole():
        queues.append(deque(text_of(data).splitlines()))
    if len(queues) < 2:
        return 1
    a, b = queues
    while a or b:
        if a and (not b or a[0] < b[0]):
            column, line = 1, a.popleft()
        elif b and (not a or b[0] < a[0]):
            column, line = 2, b.popleft()
        else:
            column, line = 3, a.popleft()
            b.popleft()
        if str(column) not in hidden:
            indent = sum(str(c) not in hidden for c in range(1, column))
            await process.line("\t" * indent + line)
    return 0


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


@program("strings")
async def strings(process: Process) -> int:
    async for _, data in Inputs(process, [w for w in process.argv[1:] if not w.startswith("-")]).whole():
        for found in re.findall(rb"[\x20-\x7e\t]{4,}", data):
            await process.write(found + b"\n")
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
