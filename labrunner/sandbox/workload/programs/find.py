"""`find`"""

from __future__ import annotations

import posixpath
import time
from collections.abc import Awaitable, Callable

from labrunner.sandbox.workload.filesystem.node import Directory, File, Node, Symlink
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.files import walk
from labrunner.sandbox.workload.shell import pattern

Test = Callable[[str, Node], Awaitable[bool]]
_TAKES = {"name", "iname", "path", "wholename", "type", "maxdepth", "mindepth", "size", "mtime", "mmin", "newer",
          "user",
          "perm"}  # fmt: skip


class _Fault(Exception):
    pass


async def main(process: Process) -> int:
    words = process.argv[1:]
    tops = []
    while words and not words[0].startswith(("-", "!", "(")):
        tops.append(words.pop(0))
    limits = {"maxdepth": 1 << 30, "mindepth": 0}
    try:
        expression = _Expression(process, words, limits)
        test = expression.whole()
    except _Fault as error:
        return await process.fail(str(error))
    status = 0
    for top in tops or ["."]:
        try:
            process.fs.node(top, process.cwd, follow=False, owner=process.owner)
        except OSError as error:
            quoted = f"‘{top}’" if process.container.family == "debian" else top
            status = await process.fail(f"{quoted}: {error.strerror}")
            continue
        paths = list(walk(process, top))
        if expression.deepest_first:
            paths.reverse()
        base = 0 if top == "/" else top.rstrip("/").count("/") + 1
        for path in paths:
            depth = 0 if path == top else path.rstrip("/").count("/") + 1 - base
            if not limits["mindepth"] <= depth <= limits["maxdepth"]:
                continue
            try:
                node = process.fs.node(path, process.cwd, follow=False)
            except OSError:
                continue
            if await test(path, node) and not expression.acts:
                await process.line(path)
            await process.breathe()
    for words_ in expression.batches:
        status = await process.call(words_) or status
    return status


class _Expression:
    def __init__(self, process: Process, words: list[str], limits: dict[str, int]) -> None:
        self.process, self.words, self.limits = process, words, limits
        self.acts = self.deepest_first = False
        self.batches: list[list[str]] = []

    def whole(self) -> Test:
        if not self.words:
            return _always
        test = self._either()
        if self.words:
            raise _Fault(f"paths must precede expression: `{self.words[0]}'")
        return test

    def _either(self) -> Test:
        tests = [self._both()]
        while self.words[:1] in (["-o"], ["-or"]):
            self.words.pop(0)
            tests.append(self._both())

        async def test(path: str, node: Node) -> bool:
            for one in tests:
                if await one(path, node):
                    return True
            return False

        return tests[0] if len(tests) == 1 else test

    def _both(self) -> Test:
        tests = [self._one()]
        while self.words and self.words[0] not in ("-o", "-or", ")"):
            if self.words[0] in ("-a", "-and"):
                self.words.pop(0)
            tests.append(self._one())

        async def test(path: str, node: Node) -> bool:
            for one in tests:
                if not await one(path, node):
                    return False
            return True

        return tests[0] if len(tests) == 1 else test

    def _one(self) -> Test:
        if not self.words:
            raise _Fault("expected an expression")
        word = self.words.pop(0)
        if word in ("!", "-not"):
            inner = self._one()

            async def negated(path: str, node: Node) -> bool:
                return not await inner(path, node)

            return negated
        if word == "(":
            inner = self._either()
            if not self.words or self.words.pop(0) != ")":
                raise _Fault("invalid expression; expected to find a ')'")
            return inner
        name = word.removeprefix("-")
        value = ""
        if name in _TAKES:
            if not self.words:
                raise _Fault(f"missing argument to `{word}'")
            value = self.words.pop(0)
        return self._primary(word, name, value)

    def _primary(self, word: str, name: str, value: str) -> Test:
        process = self.process
        match name:
            case "maxdepth" | "mindepth":
                self.limits[name] = int(value) if value.isdigit() else 0
                return _always
            case "name":
                return _when(lambda path, node: pattern.fnmatch(value, posixpath.basename(path.rstrip("/")) or "/"))
            case "iname":
                return _when(lambda path, node: pattern.fnmatch(value.lower(), posixpath.basename(path).lower()))
            case "path" | "wholename":
                return _when(lambda path, node: pattern.fnmatch(value, path))
            case "type":
                kinds = {"f": File, "d": Directory, "l": Symlink}
                wanted = kinds.get(value)
                return _when(lambda path, node: wanted is not None and isinstance(node, wanted))
            case "size":
                unit = {"k": 1024, "M": 1024**2, "G": 1024**3, "c": 1}.get(value[-1:], 512)
                count = _Count(value.rstrip("kMGcb"))
                return _when(lambda path, node: count.holds(-(-node.size // unit)))
            case "mtime" | "mmin":
                count, unit = _Count(value), 86400 if name == "mtime" else 60
                return _when(lambda path, node: count.holds(int((time.time() - node.mtime) // unit)))
            case "newer":
                than = process.fs.node(value, process.cwd).mtime
                return _when(lambda path, node: node.mtime > than)
            case "user":
                uid = process.container.owner_of(value).uid
                return _when(lambda path, node: node.uid == uid)
            case "perm":
                bits = int(value.lstrip("-/") or "0", 8)
                return _when(lambda path, node: node.mode & bits == bits if value[0] == "-" else node.mode == bits)
            case "empty":
                return _when(lambda path, node: not (node.children() if isinstance(node, Directory) else node.size))
            case "print":
                self.acts = True
                return self._printing("\n")
            case "print0":
                self.acts = True
                return self._printing("\0")
            case "delete":
                self.acts = self.deepest_first = True
                return self._deleting
            case "exec" | "ok":
                self.acts = True
                return self._executing()
            case "depth":
                self.deepest_first = True
                return _always
            case "prune" | "xdev" | "mount" | "follow":
                return _always
        raise _Fault(f"unrecognized: {word}" if process.container.family != "debian" else f"unknown predicate `{word}'")

    def _printing(self, end: str) -> Test:
        async def test(path: str, node: Node) -> bool:
            await self.process.write(path + end)
            return True

        return test

    async def _deleting(self, path: str, node: Node) -> bool:
        try:
            self.process.fs.remove(path, self.process.cwd, self.process.owner)
        except OSError as error:
            await self.process.say(f"{path}: {error.strerror}")
            return False
        return True

    def _executing(self) -> Test:
        command = []
        while self.words and self.words[0] not in (";", "+"):
            command.append(self.words.pop(0))
        if not self.words:
            raise _Fault("missing argument to `-exec'")
        if self.words.pop(0) == "+":
            batch = [w for w in command if w != "{}"]
            self.batches.append(batch)

            async def collect(path: str, node: Node) -> bool:
                batch.append(path)
                return True

            return collect

        async def test(path: str, node: Node) -> bool:
            words = [w.replace("{}", path) for w in command]
            try:
                return await self.process.call(words) == 0
            except OSError as error:
                await self.process.say(f"{words[0]}: {error.strerror}")
                return False

        return test


class _Count:
    """`5`, `+5` (more) or `-5` (less)."""

    def __init__(self, text: str) -> None:
        self.sign = text[:1] if text[:1] in "+-" else ""
        digits = text.lstrip("+-")
        if not digits.isdigit():
            raise _Fault(f"invalid number '{text}'")
        self.number = int(digits)

    def holds(self, value: int) -> bool:
        if self.sign == "+":
            return value > self.number
        return value < self.number if self.sign == "-" else value == self.number


async def _always(path: str, node: Node) -> bool:
    return True


def _when(test: Callable[[str, Node], object]) -> Test:
    async def wrapped(path: str, node: Node) -> bool:
        return bool(test(path, node))

    return wrapped
