"""`grep`"""

from __future__ import annotations

from collections import deque

from labrunner.sandbox.workload.filesystem.node import Directory, File
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.files import reason, walk
from labrunner.sandbox.workload.programs.inputs import text_of
from labrunner.sandbox.workload.programs.options import OptionFault, Options, parse, wrong
from labrunner.sandbox.workload.shell.pattern import fnmatch
from labrunner.sandbox.workload.text import regex
from labrunner.sandbox.workload.text.regex import Regex, RegexFault

_LONG = {"extended-regexp": "E", "fixed-strings": "F", "ignore-case": "i", "invert-match": "v", "count": "c",
         "only-matching": "o", "quiet": "q", "silent": "q", "line-number": "n", "files-with-matches": "l",
         "files-without-match": "L", "no-messages": "s", "recursive": "r", "word-regexp": "w", "line-regexp": "x",
         "regexp": "e=", "file": "f=", "max-count": "m=", "after-context": "A=", "before-context": "B=",
         "context": "C=",
         "with-filename": "H", "no-filename": "h", "color": "color=?", "colour": "color=?", "perl-regexp": "P",
         "include": "include=", "exclude": "exclude=", "line-buffered": "buffered", "text": "a"}  # fmt: skip


async def main(process: Process) -> int:
    words = process.argv[1:]
    try:
        options = parse(words, "EFGPivcoqnlLsrRwxe:f:m:A:B:C:HhazZT", _LONG)
    except OptionFault as error:
        return await wrong(process, error, 2)
    patterns = options.values("e")
    rest = list(options.rest)
    try:
        for path in options.values("f"):
            patterns += text_of(process.read_file(path)).splitlines()
    except OSError as error:
        return await process.fail(f"{path}: {reason(error)}", 2)
    if not options.flag("e", "f"):
        if not rest:
            await process.error("Usage: grep [OPTION]... PATTERNS [FILE]...\nTry 'grep --help' for more information.\n")
            return 2
        patterns = rest.pop(0).split("\n")
    else:
        patterns = [p for text in patterns for p in text.split("\n")]
    try:
        search = _Search(process, options, patterns)
    except RegexFault as error:
        return await process.fail(str(error), 2)
    recursive = options.flag("r", "R")
    names = rest or (["."] if recursive else ["-"])
    several = (len(names) > 1 or recursive or options.flag("H")) and not options.flag("h")
    status = 0
    for name in names:
        paths = [name]
        if recursive and name != "-":
            paths = [p for p in walk(process, name) if _is_file(process, p) and _wanted(options, p)] or (
                [name] if not process.fs.exists(name, process.cwd) else [])  # fmt: skip
        for path in paths:
            try:
                await search.file(path, several)
            except OSError as error:
                if not options.flag("s"):
                    await process.say(f"{path}: {reason(error)}")
                status = 2
            if search.found and options.flag("q"):
                return 0
    return status if status and not (search.found and options.flag("q")) else int(not search.found)


def _is_file(process: Process, path: str) -> bool:
    try:
        return isinstance(process.fs.node(path, process.cwd, follow=False), File)
    except OSError:
        return False


def _wanted(options: Options, path: str) -> bool:
    name = path.rpartition("/")[2]
    includes, excludes = options.values("include"), options.values("exclude")
    return (not includes or any(fnmatch(i, name) for i in includes)) and not any(fnmatch(e, name) for e in excludes)


class _Search:
    def __init__(self, process: Process, options: Options, patterns: list[str]) -> None:
        self.process, self.options = process, options
        fixed = options.last(("F", "E", "G", "P")) == "F" or (process.name == "fgrep" and not options.flag("E"))
        extended = options.flag("E", "P") or process.name == "egrep"
        self.expressions: list[Regex] = []
        for text in patterns:
            if options.flag("P"):
                text = text.replace("(?i)", "").replace("\\K", "").replace("(?:", "(")
            if options.flag("x"):
                text = ("^(" + text + ")$") if extended else "^\\(" + text + "\\)$"
                if fixed:
                    text, fixed, extended = "^(" + regex.escape(patterns[0]) + ")$", False, True
            self.expressions.append(regex.compile_(text, extended=extended, ignore_case=options.flag("i"), fixed=fixed))
        self.found = False
        self.limit = int(options.value("m")) if options.value("m").isdigit() else None
        context = options.value("C", "0")
        self.after = int(options.value("A", context)) if options.value("A", context).isdigit() else 0
        self.before = int(options.value("B", context)) if options.value("B", context).isdigit() else 0

    def _matches(self, line: str) -> bool:
        if self.options.flag("w"):
            return any(True for e in self.expressions for m in e.finditer(line) if _is_word(line, m.start, m.end))
        return any(e.test(line) for e in self.expressions)

    async def file(self, name: str, several: bool) -> None:
        process, options = self.process, self.options
        if name != "-" and isinstance(process.fs.node(name, process.cwd, owner=process.owner), Directory):
            if process.container.family == "debian":
                await process.error(f"grep: {name}: Is a directory\n")
            return
        stream = process.stdin.retain() if name == "-" else process.open(name)
        shown_name = "(standard input)" if name == "-" else name
        prefix = f"{shown_name}:" if several else ""
        count, number = 0, 0
        waiting: deque[tuple[int, str]] = deque(maxlen=self.before)
        left, last_shown = 0, 0
        try:
            while raw := await stream.readline():
                number += 1
                line = text_of(raw).rstrip("\n")
                hit = self._matches(line) != options.flag("v")
                if hit:
                    count += 1
                    self.found = True
                    if options.flag("q"):
                        return
                    if options.flag("l", "L"):
                        break
                    if not options.flag("c"):
                        if (self.before or self.after) and last_shown and number - len(waiting) > last_shown + 1:
                            await process.line("--")
                        for at, earlier in waiting:
                            await self._show(several, shown_name, at, earlier, "-")
                        waiting.clear()
                        await self._hit(prefix, number, line)
                        last_shown, left = number, self.after
                    if self.limit is not None and count >= self.limit:
                        break
                elif left and not options.flag("c"):
                    await self._show(several, shown_name, number, line, "-")
                    last_shown, left = number, left - 1
                elif self.before:
                    waiting.append((number, line))
                await process.breathe()
        finally:
            stream.release()
        if options.flag("c"):
            await process.line(f"{prefix}{count}")
        elif (options.flag("l") and count) or (options.flag("L") and not count):
            await process.line(shown_name)

    async def _show(self, several: bool, name: str, number: int, line: str, mark: str) -> None:
        text = f"{name}{mark}" if several else ""
        text += f"{number}{mark}" if self.options.flag("n") else ""
        await self.process.line(text + line)

    async def _hit(self, prefix: str, number: int, line: str) -> None:
        text = prefix + (f"{number}:" if self.options.flag("n") else "")
        if not self.options.flag("o"):
            await self.process.line(text + line)
            return
        if self.options.flag("v"):
            return
        spans = sorted({(m.start, m.end) for e in self.expressions for m in e.finditer(line) if m.end > m.start})
        if self.options.flag("w"):
            spans = [span for span in spans if _is_word(line, *span)]
        at = 0
        for start, end in spans:
            if start >= at:
                await self.process.line(text + line[start:end])
                at = end


def _is_word(line: str, start: int, end: int) -> bool:
    def word(index: int) -> bool:
        return 0 <= index < len(line) and (line[index].isalnum() or line[index] == "_")

    return not word(start - 1) and not word(end)
