"""`sed` and `awk` as programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from labrunner.sandbox.workload.machine.process import Process, waited
from labrunner.sandbox.workload.machine.stream import Collected, Pipe, Stream
from labrunner.sandbox.workload.programs.files import file_fault, reason
from labrunner.sandbox.workload.programs.inputs import Inputs, bytes_of, text_of
from labrunner.sandbox.workload.programs.options import OptionFault, parse, wrong
from labrunner.sandbox.workload.programs.sed_run import Run
from labrunner.sandbox.workload.programs.table import program
from labrunner.sandbox.workload.text import printf
from labrunner.sandbox.workload.text.awk import Awk
from labrunner.sandbox.workload.text.awk_syntax import AwkFault
from labrunner.sandbox.workload.text.regex import RegexFault
from labrunner.sandbox.workload.text.sed import Script, SedFault


@program("sed")
async def sed(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "nEre:f:i::suz", {"quiet": "n", "silent": "n", "regexp-extended": "E",
                        "expression": "e=", "file": "f=", "in-place": "i=?", "separate": "s", "null-data": "z",
                        "posix": "posix"})  # fmt: skip
    except OptionFault as error:
        return await wrong(process, error)
    texts: list[str] = []
    try:
        for name, value in options.given:
            if name == "e":
                texts.append(value)
            elif name == "f":
                texts.append(text_of(process.read_file(value)).rstrip("\n"))
    except OSError as error:
        return await process.fail(f"couldn't open file {value}: {reason(error)}")
    rest = list(options.rest)
    if not texts:
        if not rest:
            await process.error("Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...\n")
            return 1
        texts.append(rest.pop(0))
    try:
        script = Script("\n".join(texts), extended=options.flag("E", "r"))
    except SedFault as error:
        text = str(error)
        if process.container.family != "debian":
            text = text.partition(": ")[2] or text
        return await process.fail(text)
    quiet = options.flag("n") or script.quiet
    if not options.flag("i"):
        inputs = Inputs(process, rest, missing=2 if process.container.family == "debian" else 1)
        run = Run(process, script, quiet, process.write)
        try:
            status = await run.records(_lines(inputs))
        except RegexFault as error:
            return await process.fail(str(error))
        return status or inputs.status
    status = 0
    for name in rest:
        collected = Collected(64 * 1024 * 1024)
        inputs = Inputs(process, [name])
        run = Run(process, script, quiet, collected.write)
        code = await run.records(_lines(inputs))
        if inputs.status:
            status = inputs.status
            continue
        if options.value("i"):
            process.fs.write(name + options.value("i"), process.read_file(name), process.cwd, process.owner)
        try:
            process.fs.write(name, bytes(collected.data), process.cwd, process.owner)
        except OSError as error:
            gnu = process.container.family == "debian"
            folder = name.rpartition("/")[0] or "."
            text = f"couldn't open temporary file {folder}/sedXXXXXX: {reason(error)}" if gnu else (
                f"can't create temp file '{name}XXXXXX': {reason(error)}")  # fmt: skip
            return await process.fail(text, 4 if gnu else 1)
        status = code or status
    return status


async def _lines(inputs: Inputs) -> AsyncIterator[str]:
    async for _, raw in inputs.lines():
        yield text_of(raw)


@program("awk")
async def awk(process: Process) -> int:
    try:
        options = parse(
            process.argv[1:], "F:v:f:W:", {"field-separator": "F=", "assign": "v=", "file": "f="}, permute=False
        )
    except OptionFault as error:
        return await wrong(process, error)
    rest = list(options.rest)
    try:
        texts = [text_of(process.read_file(path)) for path in options.values("f")]
    except OSError as error:
        return await process.fail(f"{options.values('f')[0]}: {reason(error)}", 2)
    if not texts:
        if not rest:
            await process.error("Usage: awk [OPTIONS] [AWK_PROGRAM] [FILE]...\n")
            return 1
        texts = [rest.pop(0)]
    variables = {}
    for word in options.values("v"):
        name, _, value = word.partition("=")
        variables[name] = printf.unescape(value, stop=False)[0]
    separator = printf.unescape(options.value("F"), stop=False)[0] if options.flag("F") else None
    if separator == "t":
        separator = "\t"
    port = _Port(process)
    try:
        machine = Awk("\n".join(texts), port, separator, variables, ["awk", *rest], process.env)
        status = await machine.run(_records(process, rest, machine, port))
    except AwkFault as error:
        return await process.fail(str(error), 2 if process.container.family == "debian" else 1)
    except RegexFault as error:
        return await process.fail(str(error), 2)
    finally:
        await port.finish()
    return status or port.status


async def _records(process: Process, names: list[str], machine: Awk, port: _Port) -> AsyncIterator[tuple[str, str]]:
    files = [n for n in names if "=" not in n or "/" in n.partition("=")[0]]
    pending = list(names) if files else [*names, "-"]
    for name in pending:
        variable, equals, value = name.partition("=")
        if equals and variable.isidentifier():
            machine.globals[variable] = value
            continue
        try:
            stream = process.stdin.retain() if name == "-" else process.open(name)
        except OSError as error:
            port.status = 2
            await file_fault(process, name, error)
            continue
        try:
            shown = "" if name == "-" else name
            separator = str(machine.globals["RS"])
            if separator == "\n":
                while raw := await stream.readline():
                    yield shown, text_of(raw).removesuffix("\n")
            else:
                text = text_of(await stream.readall())
                parts = text.strip("\n").split("\n\n") if separator == "" else text.split(separator[0])
                for index, part in enumerate(parts):
                    if part.rstrip("\n") or index < len(parts) - 1:
                        yield shown, part.removesuffix("\n") if index == len(parts) - 1 else part
        finally:
            stream.release()


class _Port:
    """Files and commands of an awk program."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._streams: dict[str, Stream] = {}
        self._children: dict[str, asyncio.Task[int]] = {}
        self._readers: dict[str, list[str]] = {}
        self.status = 0

    async def write(self, text: str, how: str, target: str) -> None:
        if not how:
            await self._process.write(bytes_of(text))
            return
        stream = self._streams.get(target)
        if stream is None:
            if how == "|":
                pipe = Pipe()
                child = self._process.container.execute(
                    ["sh", "-c", target], parent=self._process,
                    descriptors={**self._process.descriptors, 0: pipe.reader},
                )  # fmt: skip
                pipe.reader.release()
                self._children[target] = asyncio.ensure_future(waited(child))
                stream = pipe.writer
            else:
                stream = self._process.open(target, "w" if how == ">" else "a")
            self._streams[target] = stream
        await stream.write(bytes_of(text))

    async def getline(self, kind: str, source: str) -> str | None:
        if source not in self._readers:
            if kind == "file":
                try:
                    data = text_of(self._process.read_file(source)) if source != "-" else text_of(
                        await self._process.stdin.readline())  # fmt: skip
                except OSError:
                    return None
            else:
                collected = Collected()
                await self._process.call(["sh", "-c", source], descriptors={**self._process.descriptors, 1: collected})
                data = text_of(bytes(collected.data))
            self._readers[source] = data.splitlines()
        lines = self._readers[source]
        return lines.pop(0) if lines else None

    async def system(self, command: str) -> int:
        return await self._process.call(["sh", "-c", command])

    async def close(self, name: str) -> int:
        self._readers.pop(name, None)
        if stream := self._streams.pop(name, None):
            stream.release()
        if child := self._children.pop(name, None):
            return await child
        return 0

    async def breathe(self) -> None:
        await self._process.breathe()

    async def finish(self) -> None:
        for name in list(self._streams):
            await self.close(name)
