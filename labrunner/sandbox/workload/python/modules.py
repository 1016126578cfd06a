"""The modules that programs may import: what of them the pod's own process, files and network can answer."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import posixpath
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from labrunner.sandbox.workload.http.fetch import FetchFault, fetch
from labrunner.sandbox.workload.http.server import phrase
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.machine.signals import NUMBERS
from labrunner.sandbox.workload.python import sockets
from labrunner.sandbox.workload.python.objects import Builtin, Foreign, Module, ProgramExit

if TYPE_CHECKING:
    from labrunner.sandbox.workload.python.interpreter import Interpreter

VERSION = "3.13.7"
_MAX_TEXT = 4 * 1024 * 1024


class Library:
    """Finds modules for one process; `background` are the tasks that its threads became."""

    def __init__(self, process: Process, argv: list[str]) -> None:
        self._process, self._argv = process, argv
        self.interpreter: Interpreter | None = None
        self.background: set[asyncio.Task[None]] = set()
        self._made: dict[str, Module] = {}

    def find(self, name: str) -> Module:
        """Raises ModuleNotFoundError in Python's words."""
        if name not in self._made:
            make = _MODULES.get(name)
            if make is None:
                raise ModuleNotFoundError(f"No module named '{name}'")
            self._made[name] = Module(name, make(self, self._process))
        return self._made[name]

    @property
    def argv(self) -> list[str]:
        return self._argv

    def running(self) -> Interpreter:
        assert self.interpreter is not None
        return self.interpreter


def function(name: str, call: Callable[..., Awaitable[Any]]) -> Builtin:
    return Builtin(name, call)


def simple(name: str, plain: Callable[..., Any]) -> Builtin:
    """A function that needs no waiting."""

    async def call(*given: Any, **named: Any) -> Any:
        return plain(*given, **named)

    return Builtin(name, call)


def _sys(library: Library, process: Process) -> dict[str, Any]:
    async def leave(status: Any = None) -> None:
        raise ProgramExit(status)

    def shown(data: bytes) -> str:
        return data.decode("utf-8", "replace")

    async def read(size: int = -1) -> str:
        return shown(await process.stdin.readall(_MAX_TEXT) if size < 0 else await process.stdin.read(size))

    async def readline() -> str:
        return shown(await process.stdin.readline())

    async def following() -> str | None:
        return shown(line) if (line := await process.stdin.readline()) else None

    async def readlines() -> list[str]:
        return [shown(line) for line in (await process.stdin.readall(_MAX_TEXT)).splitlines(keepends=True)]

    def output(descriptor: int) -> Foreign:
        async def write(text: str) -> int:
            await process.write(str(text), descriptor)
            return len(text)

        members = {"write": Builtin("write", write), "flush": simple("flush", lambda: None), "descriptor": descriptor}
        return Foreign("_io.TextIOWrapper", members)

    reading = {"read": read, "readline": readline, "readlines": readlines, "__iter__": following}
    return {
        "argv": library.argv, "exit": function("exit", leave), "version": f"{VERSION} (main) [GCC 14.2.0]",
        "version_info": (3, 13, 7, "final", 0), "platform": "linux", "executable": "/usr/local/bin/python3",
        "stdin": Foreign("_io.TextIOWrapper", {name: Builtin(name, call) for name, call in reading.items()}),
        "stdout": output(1), "stderr": output(2), "maxsize": (1 << 63) - 1, "path": ["", "/usr/local/lib/python3.13"],
    }  # fmt: skip


def _time(library: Library, process: Process) -> dict[str, Any]:
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(max(0.0, float(seconds)))

    return {
        "sleep": function("sleep", sleep), "time": simple("time", time.time),
        "monotonic": simple("monotonic", time.monotonic), "perf_counter": simple("perf_counter", time.perf_counter),
        "strftime": simple("strftime", lambda layout, *_: time.strftime(layout[:1000], time.gmtime())),
        "ctime": simple("ctime", lambda: time.asctime(time.gmtime())),
    }  # fmt: skip


def _os(library: Library, process: Process) -> dict[str, Any]:
    fs = process.fs

    def listing(path: str = ".") -> list[str]:
        return list(fs.listing(path, process.cwd, process.owner))

    def remove(path: str) -> None:
        fs.remove(path, process.cwd, process.owner)

    def mkdir(path: str, mode: int = 0o777, exist_ok: bool = False) -> None:
        if not (exist_ok and fs.is_dir(path, process.cwd)):
            fs.mkdir(path, process.cwd, process.owner)

    path = Module("posixpath", {
        "exists": simple("exists", lambda p: fs.exists(p, process.cwd)),
        "isdir": simple("isdir", lambda p: fs.is_dir(p, process.cwd)),
        "isfile": simple("isfile", lambda p: fs.exists(p, process.cwd) and not fs.is_dir(p, process.cwd)),
        "join": simple("join", posixpath.join), "basename": simple("basename", posixpath.basename),
        "dirname": simple("dirname", posixpath.dirname),
        "abspath": simple("abspath", lambda p: posixpath.normpath(posixpath.join(process.cwd, p))),
    })  # fmt: skip
    return {
        "environ": dict(process.env), "getenv": simple("getenv", lambda n, d=None: process.env.get(n, d)),
        "getpid": simple("getpid", lambda: process.pid), "getcwd": simple("getcwd", lambda: process.cwd),
        "getuid": simple("getuid", lambda: process.owner.uid), "listdir": simple("listdir", listing),
        "remove": simple("remove", remove), "mkdir": simple("mkdir", mkdir), "makedirs": simple("makedirs", mkdir),
        "path": path, "name": "posix", "sep": "/", "linesep": "\n",
    }  # fmt: skip


def _json(library: Library, process: Process) -> dict[str, Any]:
    def dumps(value: Any, indent: Any = None, sort_keys: bool = False, **_: Any) -> str:
        indent = min(indent, 16) if isinstance(indent, int) else indent
        return json.dumps(value, indent=indent, sort_keys=sort_keys)

    async def load(file: Any) -> Any:
        interpreter = library.running()
        return json.loads(await interpreter.call(interpreter.attribute(file, "read"), [], {}))

    return {"loads": simple("loads", json.loads), "dumps": simple("dumps", dumps), "load": function("load", load),
            "JSONDecodeError": ValueError}  # fmt: skip


def _math(library: Library, process: Process) -> dict[str, Any]:
    plain = (
        "sqrt",
        "floor",
        "ceil",
        "log",
        "log2",
        "log10",
        "sin",
        "cos",
        "tan",
        "exp",
        "hypot",
        "gcd",
        "isnan",
        "fabs",
    )
    return {"pi": math.pi, "e": math.e, "inf": math.inf, **{name: simple(name, getattr(math, name)) for name in plain}}


def _random(library: Library, process: Process) -> dict[str, Any]:
    return {name: simple(name, getattr(random, name)) for name in ("random", "randint", "choice", "uniform", "shuffle")}


def _base64(library: Library, process: Process) -> dict[str, Any]:
    names = ("b64encode", "b64decode", "urlsafe_b64encode", "urlsafe_b64decode")
    return {name: simple(name, getattr(base64, name)) for name in names}


def _platform(library: Library, process: Process) -> dict[str, Any]:
    answers = {"python_version": VERSION, "system": "Linux", "machine": "x86_64", "node": process.container.hostname}
    return {name: simple(name, lambda answer=answer: answer) for name, answer in answers.items()}


def _signal(library: Library, process: Process) -> dict[str, Any]:
    def install(number: int, handler: Any) -> None:
        loop = asyncio.get_running_loop()

        def got(signal: int) -> None:
            task = loop.create_task(_called(library, handler, [signal, None]))
            library.background.add(task)

        process.handlers[number] = got

    return {"signal": simple("signal", install), **{f"SIG{name}": number for name, number in NUMBERS.items()}}


async def _called(library: Library, what: Any, given: list[Any]) -> None:
    try:
        await library.running().call(what, given, {})
    except ProgramExit as exit_:
        library.running().process.kill(15 if exit_.value else 9)


def _threading(library: Library, process: Process) -> dict[str, Any]:
    current = Thread("MainThread")

    async def thread(*, target: Any = None, name: str = "Thread-1", args: Any = (), kwargs: Any = None,
                     daemon: bool = False) -> Thread:  # fmt: skip
        made = Thread(name)

        async def start() -> None:
            async def run() -> None:
                if target is not None:
                    await library.running().call(target, list(args), dict(kwargs or {}))

            task = asyncio.get_running_loop().create_task(run())
            made.task = task
            library.background.add(task)

        async def join(timeout: float | None = None) -> None:
            if made.task is not None:
                await asyncio.wait((made.task,), timeout=timeout)

        made.members |= {"start": Builtin("start", start), "join": Builtin("join", join),
                         "is_alive": simple("is_alive", lambda: bool(made.task and not made.task.done()))}  # fmt: skip
        return made

    return {"Thread": function("Thread", thread), "current_thread": simple("current_thread", lambda: current)}


class Thread(Foreign):
    """A thread of the program: a task of the sandbox's loop."""

    settable = frozenset(("name", "daemon"))

    def __init__(self, name: str) -> None:
        super().__init__("Thread", {"name": name, "daemon": False})
        self.task: asyncio.Task[None] | None = None


def _request(library: Library, process: Process) -> dict[str, Any]:
    async def urlopen(url: str, data: bytes | None = None, timeout: float = 30.0) -> Foreign:
        try:
            answer = await fetch(process, url, "POST" if data is not None else "GET", (), data or b"", seconds=timeout)
        except FetchFault as error:
            raise OSError(f"<urlopen error [Errno -2] {error}>") from None
        if answer.status >= 400:
            raise OSError(f"HTTP Error {answer.status}: {phrase(answer.status)}")
        members = {"read": simple("read", lambda: answer.body), "status": answer.status, "code": answer.status,
                   "close": simple("close", lambda: None)}  # fmt: skip
        return Foreign("HTTPResponse", members)

    return {"urlopen": function("urlopen", urlopen)}


_MODULES: dict[str, Callable[[Library, Process], dict[str, Any]]] = {
    "sys": _sys, "time": _time, "os": _os, "json": _json, "math": _math, "random": _random, "base64": _base64,
    "platform": _platform, "signal": _signal, "threading": _threading, "urllib": lambda library, process: {},
    "urllib.request": _request, "socket": sockets.socket_module, "select": sockets.select_module,
    "socketserver": sockets.socketserver_module,
    "os.path": lambda library, process: _os(library, process)["path"].names,
}  # fmt: skip
