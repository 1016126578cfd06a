"""One process in a container: arguments, environment, descriptors, signals, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from labrunner.sandbox.workload.filesystem.node import Device, Directory, File
from labrunner.sandbox.workload.filesystem.tree import FileSystem, Owner, fault, may
from labrunner.sandbox.workload.machine import signals
from labrunner.sandbox.workload.machine.stream import FileStream, Null, Repeating, Stream

if TYPE_CHECKING:
    from labrunner.sandbox.workload.machine.container import ContainerMachine
    from labrunner.sandbox.workload.machine.terminal import Terminal

log = logging.getLogger(__name__)

Program = Callable[["Process"], Coroutine[Any, Any, int]]
"""What runs in a process; returns its exit status."""

_SLICE = 0.004
"""Seconds a process may compute before others get their turn."""
_BURST = 0.25
"""Seconds of computing after which it is slowed down to a share of one processor."""


class Exited(Exception):
    """Ends the process with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status & 0xFF


class Process:
    """What a program is given. `status` is set once it has ended."""

    def __init__(
        self,
        container: ContainerMachine,
        pid: int,
        argv: list[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        descriptors: Mapping[int, Stream],
        owner: Owner,
        parent: Process | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        self.container, self.pid, self.argv = container, pid, argv
        self.env = dict(env)
        self.cwd, self.owner, self.parent, self.terminal = cwd, owner, parent, terminal
        self.descriptors = {number: stream.retain() for number, stream in descriptors.items()}
        self.session: int = parent.session if parent else pid
        self.background: bool = parent.background if parent else False
        self.started = time.time()
        self.cpu = 0.0
        self.umask: int = parent.umask if parent else 0o022
        self.status: int | None = None
        self.handlers: dict[int, Callable[[int], None]] = {}
        """By signal number; called instead of ending the process."""
        self.ignored: set[int] = set(parent.ignored) if parent else set()
        self.serves = False
        """It handles SIGTERM itself even as process 1."""
        self.ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._killed = 0
        self._slice_start = 0.0
        self._spent = 0.0

    @property
    def name(self) -> str:
        """The last part of argv[0], as programs call themselves in messages."""
        return os.path.basename(self.argv[0]).removeprefix("-") if self.argv else ""

    @property
    def fs(self) -> FileSystem:
        return self.container.fs

    # input and output

    @property
    def stdin(self) -> Stream:
        return self.descriptors.get(0) or Null()

    async def write(self, data: bytes | str, descriptor: int = 1) -> None:
        """To a descriptor. Raises OSError EBADF when it is closed."""
        stream = self.descriptors.get(descriptor)
        if stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        await stream.write(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)

    async def line(self, text: str) -> None:
        await self.write(text + "\n")

    async def say(self, message: str) -> None:
        """On standard error, after the program's name."""
        await self.error(f"{self.name}: {message}\n")

    async def error(self, text: str) -> None:
        """On standard error, as it is."""
        if 2 in self.descriptors:
            await self.write(text, 2)

    async def fail(self, message: str, status: int = 1) -> int:
        """Say it and return the status."""
        await self.say(message)
        return status

    def open(self, path: str, how: str = "r") -> Stream:
        """`how`: r, w, a, or + (read and write without truncating). Raises OSError."""
        device = self._device(path)
        if device is not None:
            return device
        if how == "r":
            node = self.fs.node(self._own(path), self.cwd, owner=self.owner)
            if isinstance(node, Directory):
                raise fault(errno.EISDIR, path)
            if not isinstance(node, File) or not may(node, self.owner, 4):
                raise fault(errno.EACCES, path)
            return FileStream(self.fs, node)
        node = self.fs.open_file(path, self.cwd, self.owner, create=True, mode=0o666 & ~self.umask)
        if how == "w":
            self.fs.set_data(node, b"")
        return FileStream(self.fs, node, append=how == "a")

    def _device(self, path: str) -> Stream | None:
        """The stream of a device; those of one's own descriptors are duplicated."""
        absolute = os.path.normpath(os.path.join(self.cwd, path))
        if absolute.startswith("/proc/1/fd/") and absolute[11:] in ("1", "2"):
            init = self.container.main
            stream = init.descriptors.get(int(absolute[11:])) if init else None
            if stream is not None:
                return stream.retain()
        if absolute.startswith(("/dev/fd/", "/proc/self/fd/")):
            digits = absolute.rpartition("/")[2]
            stream = self.descriptors.get(int(digits)) if digits.isdigit() else None
            if stream is None:
                raise fault(errno.ENOENT, path)
            return stream.retain()
        if not absolute.startswith("/dev/"):
            try:
                node = self.fs.node(path, self.cwd)
            except OSError:
                return None
        else:
            node = self.fs.node(path, self.cwd)
        if not isinstance(node, Device):
            return None
        match node.kind:
            case "null":
                return Null()
            case "zero":
                return Repeating(bytes)
            case "full":
                return Repeating(bytes, full=True)
            case "random":
                return Repeating(os.urandom)
            case "tty":
                if self.terminal is None:
                    raise fault(errno.ENXIO, path)
                return self.terminal.stream.retain()
        number = {"stdin": 0, "stdout": 1, "stderr": 2}[node.kind]
        stream = self.descriptors.get(number)
        if stream is None:
            raise fault(errno.ENOENT, path)
        return stream.retain()

    def read_file(self, path: str) -> bytes:
        return self.fs.read(self._own(path), self.cwd, self.owner)

    def _own(self, path: str) -> str:
        """`/proc/self` is whoever looks."""
        return f"/proc/{self.pid}{path[10:]}" if path.startswith("/proc/self/") else path

    # time

    async def breathe(self) -> None:
        """To be called in loops: lets others run, and slows down what computes without end."""
        now = time.perf_counter()
        took = now - self._slice_start
        if took < _SLICE:
            return
        if took > 4 * _SLICE:  # it was waiting for something in between
            self._spent = max(0.0, self._spent - took)
        else:
            self._spent += took
            self.cpu += took
        await asyncio.sleep(took * 3 if self._spent > _BURST else 0)
        self._slice_start = time.perf_counter()

    # life

    def run(self, program: Program) -> None:
        """Start it on the loop."""
        self._task = asyncio.get_running_loop().create_task(self._main(program), name=f"pid {self.pid}")
        self._task.add_done_callback(self._never_ran)

    def _never_ran(self, task: asyncio.Task[None]) -> None:
        """A task that is cancelled before its first step runs nothing, not even its `finally`."""
        if self.status is None:
            self._finish(128 + (self._killed or 9))

    async def _main(self, program: Program) -> None:
        status = 255
        try:
            status = await program(self)
        except Exited as exit_:
            status = exit_.status
        except asyncio.CancelledError:
            status = 128 + (self._killed or 9)
        except BrokenPipeError:
            status = 128 + signals.NUMBERS["PIPE"]
        except OSError as error:
            status = 1
            await self._last_words(f"{self.name}: {error.strerror or error}\n")
        except RecursionError:
            status = 139
            await self._last_words("Segmentation fault (core dumped)\n")
        except Exception:
            # The edge of a pretended process: a fault of ours is logged, told, and ends this process alone.
            log.exception("program %s failed", self.argv[:3])
            await self._last_words(f"{self.name}: internal error of the sandbox, see its log\n")
        finally:
            self._finish(status)

    async def _last_words(self, text: str) -> None:
        try:
            await self.error(text)
        except OSError:
            log.debug("nobody heard: %s", text)

    def _finish(self, status: int) -> None:
        self.status = status & 0xFF
        for stream in self.descriptors.values():
            stream.release()
        self.descriptors.clear()
        self.ended.set()
        self.container.reap(self)

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        await self.ended.wait()
        assert self.status is not None
        return self.status

    def kill(self, number: int) -> None:
        """Deliver a signal."""
        if self.status is not None or number == 0:
            return
        if number != 9:
            if number in self.ignored:
                return
            if handler := self.handlers.get(number):
                handler(number)
                return
            if number in signals.IGNORED_BY_DEFAULT:
                return
            if self.pid == 1 and not (self.serves and number in (2, 3, 15)):
                return
        self._killed = self._killed or number
        if self.serves and number in (2, 3, 15):
            self._graceful()
        elif self._task is not None:
            self._task.cancel()

    def _graceful(self) -> None:
        """A server ends with status 0 when told to."""
        if self._task is not None:
            self._killed = -128
            self._task.cancel()

    def ended_by_signal(self) -> bool:
        return self._killed > 0

    async def start(self, argv: list[str], **changes: Any) -> Process:
        """Start a program as a child, found as execvp does. Raises OSError when there is none or no room."""
        return self.container.execute(argv, parent=self, **changes)

    async def call(self, argv: list[str], **changes: Any) -> int:
        """Run a child and wait for it; it is killed when this process is."""
        child = self.container.execute(argv, parent=self, **changes)
        return await waited(child)


async def waited(child: Process) -> int:
    """Wait for a child that must not outlive whoever waits."""
    try:
        return await child.wait()
    except asyncio.CancelledError:
        child.kill(9)
        raise


async def never() -> int:
    """Waits until it is cancelled."""
    await asyncio.Event().wait()
    return 0
