"""Runs a sed script on lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.machine.stream import Stream
from labrunner.sandbox.workload.programs.inputs import bytes_of, text_of
from labrunner.sandbox.workload.text.regex import Regex
from labrunner.sandbox.workload.text.sed import MAX_SPACE, MAX_STEPS, Address, Command, Script, SedFault, expand

Write = Callable[[bytes], Awaitable[None]]


class _Quit(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class Run:
    def __init__(self, process: Process, script: Script, quiet: bool, write: Write) -> None:
        self._process, self._script, self._quiet, self._write = process, script, quiet, write
        self._pattern = self._hold = ""
        self._number = 0
        self._newline = True
        self._ahead: str | None = None
        self._lines: AsyncIterator[str] | None = None
        self._after: list[str] = []
        self._previous: Regex | None = None
        self._files: dict[str, Stream] = {}

    async def records(self, lines: AsyncIterator[str]) -> int:
        """The exit status."""
        self._lines = lines
        self._ahead = await anext(lines, None)
        status = 0
        for command in self._script.commands:
            command.active = False
        restart = False
        try:
            while restart or await self._next():
                restart = await self._cycle()
                await self._process.breathe()
        except _Quit as quit_:
            status = quit_.status
        finally:
            for stream in self._files.values():
                stream.release()
        return status

    async def _next(self) -> bool:
        """The next line into the pattern space."""
        if self._ahead is None:
            return False
        raw = self._ahead
        assert self._lines is not None
        self._ahead = await anext(self._lines, None)
        self._newline = raw.endswith("\n")
        self._pattern = raw.removesuffix("\n")
        self._number += 1
        return True

    async def _put(self, text: str, *, newline: bool = True) -> None:
        await self._write(bytes_of(text + ("\n" if newline else "")))

    async def _finish(self) -> None:
        """The end of a cycle: print, then what `a` and `r` left."""
        if not self._quiet:
            await self._put(self._pattern, newline=self._newline or self._ahead is not None)
        await self._queued()

    async def _queued(self) -> None:
        for text in self._after:
            await self._write(bytes_of(text))
        self._after.clear()

    async def _cycle(self) -> bool:
        """True: start again without reading (`D`)."""
        commands = self._script.commands
        at = steps = 0
        replaced = False
        while at < len(commands):
            steps += 1
            if steps % 64 == 0:
                await self._process.breathe()
            if steps > MAX_STEPS:
                raise SedFault("too many steps")
            command = commands[at]
            at += 1
            if not self._selected(command):
                if command.name == "{":
                    at = command.target
                continue
            match command.name:
                case "{":
                    continue
                case "s":
                    if await self._substitute(command):
                        replaced = True
                case "p":
                    await self._put(self._pattern)
                case "P":
                    await self._put(self._pattern.partition("\n")[0])
                case "d":
                    await self._queued()
                    return False
                case "D":
                    _, newline, rest = self._pattern.partition("\n")
                    await self._queued()
                    if not newline:
                        return False
                    self._pattern = rest
                    return True
                case "n":
                    if self._ahead is None:
                        await self._finish()
                        raise _Quit(0)
                    await self._finish()
                    await self._next()
                case "N":
                    if self._ahead is None:
                        await self._finish()
                        raise _Quit(0)
                    before = self._pattern
                    await self._next()
                    self._pattern = f"{before}\n{self._pattern}"
                    if len(self._pattern) > MAX_SPACE:
                        raise SedFault("pattern space too large")
                case "g":
                    self._pattern = self._hold
                case "G":
                    self._pattern += "\n" + self._hold
                    if len(self._pattern) > MAX_SPACE:
                        raise SedFault("pattern space too large")
                case "h":
                    self._hold = self._pattern
                case "H":
                    self._hold += "\n" + self._pattern
                    if len(self._hold) > MAX_SPACE:
                        raise SedFault("hold space too large")
                case "x":
                    self._pattern, self._hold = self._hold, self._pattern
                case "y":
                    self._pattern = "".join(command.table.get(c, c) for c in self._pattern)
                case "a":
                    self._after.append(command.text)
                case "i":
                    await self._put(command.text, newline=False)
                case "c":
                    if command.second is None or not command.active or command.negated:
                        await self._put(command.text, newline=False)
                    return False
                case "r":
                    try:
                        self._after.append(text_of(self._process.read_file(command.file)))
                    except OSError:
                        continue
                case "w":
                    await self._to_file(command.file, self._pattern)
                case "=":
                    await self._put(str(self._number))
                case "l":
                    shown = self._pattern.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
                    await self._put(shown + "$")
                case "z":
                    self._pattern = ""
                case "q":
                    await self._finish()
                    raise _Quit(int(command.text or 0))
                case "Q":
                    raise _Quit(int(command.text or 0))
                case "b":
                    at = command.target
                case "t":
                    if replaced:
                        replaced = False
                        at = command.target
                case "T":
                    if not replaced:
                        at = command.target
                    replaced = False
        await self._finish()
        return False

    async def _to_file(self, name: str, text: str) -> None:
        if name not in self._files:
            self._files[name] = self._process.open(name, "w")
        await self._files[name].write(bytes_of(text + "\n"))

    def _matches(self, address: Address) -> bool:
        if address.last:
            return self._ahead is None
        if address.step:
            return self._number >= address.line and (self._number - address.line) % address.step == 0
        if address.line:
            return self._number == address.line
        if address.plus >= 0:
            return False
        expression = address.expression or self._previous
        if expression is None:
            return address.line == 0 and address.expression is not None
        self._previous = expression
        return expression.test(self._pattern)

    def _selected(self, command: Command) -> bool:
        if command.first is None:
            return not command.negated
        if command.second is None:
            return self._matches(command.first) != command.negated
        return self._in_range(command, command.first, command.second) != command.negated

    def _in_range(self, command: Command, first: Address, second: Address) -> bool:
        if not command.active:
            zero = first.line == 0 and first.expression is None and not first.last and not first.step
            if not zero and not self._matches(first):
                return False
            if zero and self._number != 1:
                return False
            if second.plus >= 0:
                command.until = self._number + second.plus
                command.active = second.plus > 0
                return True
            if second.line and not second.step and second.line <= self._number:
                return True
            command.active = True
            if zero and second.expression is not None and self._matches(second):
                command.active = False
            return True
        if second.plus >= 0:
            if self._number >= command.until:
                command.active = False
            return True
        if (second.line and self._number >= second.line) or (not second.line and self._matches(second)):
            command.active = False
            return not (second.line and self._number > second.line)
        return True

    async def _substitute(self, command: Command) -> bool:
        expression = command.expression or self._previous
        if expression is None:
            raise SedFault("no previous regular expression")
        self._previous = expression
        text = self._pattern
        out: list[str] = []
        at = seen = count = 0
        for found in expression.finditer(text):
            seen += 1
            if command.nth and seen < command.nth:
                continue
            out += [text[at : found.start], expand(command.replacement, found, text)]
            at = found.end
            count += 1
            if not command.every:
                break
        if not count:
            return False
        self._pattern = "".join(out) + text[at:]
        if len(self._pattern) > MAX_SPACE:
            raise SedFault("pattern space too large")
        if command.prints:
            await self._put(self._pattern)
        if command.file:
            await self._to_file(command.file, self._pattern)
        return True
