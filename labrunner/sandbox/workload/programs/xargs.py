"""`xargs`."""

from __future__ import annotations

import asyncio

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.files import reason
from labrunner.sandbox.workload.programs.inputs import text_of
from labrunner.sandbox.workload.programs.options import OptionFault, parse, wrong
from labrunner.sandbox.workload.programs.table import program
from labrunner.sandbox.workload.text import printf


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
