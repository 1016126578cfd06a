"""`sort`, `uniq` and `comm`."""

from __future__ import annotations

import itertools
import re
from collections import deque
from typing import Any

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.inputs import Inputs, bytes_of, text_of
from labrunner.sandbox.workload.programs.options import OptionFault, Options, parse, wrong
from labrunner.sandbox.workload.programs.table import program

_MAX_SORT = 64 * 1024 * 1024


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
