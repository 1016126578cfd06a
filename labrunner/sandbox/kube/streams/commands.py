"""`pods/exec` and `pods/attach`: a process's streams on a session."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from aiohttp import web

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.context import Context
from labrunner.sandbox.kube.request import Attributes
from labrunner.sandbox.kube.status import bad_request
from labrunner.sandbox.kube.streams import channels, spdy, target
from labrunner.sandbox.kube.streams.channels import STDERR, STDOUT, Session, WebSocketSession
from labrunner.sandbox.workload.machine.container import ContainerMachine, exec_problem
from labrunner.sandbox.workload.machine.log import ContainerLog
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.machine.stream import Null, Pipe, Sink, Stream
from labrunner.sandbox.workload.machine.terminal import Terminal

if TYPE_CHECKING:
    from labrunner.sandbox.workload.runtime import WorkloadRuntime

_LAST_OUTPUT_SECONDS = 2.0
_DETACH_SECONDS = 0.5


async def execute(ctx: Context, runtime: WorkloadRuntime) -> web.StreamResponse:
    """`exec`"""
    path = ctx.path
    pod = target.pod_of(ctx)
    name = target.container_name(pod, path.param("container"))
    target.on_node(pod)
    command = path.query.get("command") or []
    if not command:
        raise bad_request("you must specify at least one command for the container")
    _check_streams(ctx)
    session, response = await _accept(ctx)
    instance = target.running(runtime, pod, name)
    if instance is None:
        await session.finish(channels.internal_error(target.upgrade_failed(pod, name)))
        return response
    tty, wants_input = path.flag("tty"), path.flag("stdin")
    terminal = Terminal() if tty else None
    pipe = Pipe() if wants_input and not tty else None
    out = Sink(lambda data: session.write(STDOUT, data))
    descriptors: dict[int, Stream]
    if terminal is not None:
        terminal.show_with(_shower(session), out)
        if not wants_input:
            terminal.close_input()
        descriptors = {0: terminal.stream, 1: terminal.stream.retain(), 2: terminal.stream.retain()}
    else:
        err = Sink(lambda data: session.write(STDERR, data)) if path.flag("stderr") else Null()
        descriptors = {0: pipe.reader if pipe else Null(), 1: out if path.flag("stdout") else Null(), 2: err}
    try:
        process = runtime.execute(instance, list(command), descriptors, terminal)
    except OSError as error:
        await session.finish(
            channels.internal_error(_start_failure(error, command[0], twice=session_is_translated(session)))
        )
        return response
    finally:
        for stream in descriptors.values():
            stream.release()
    await _run(session, process, instance, pipe, terminal)
    return response


def session_is_translated(session: Session) -> bool:
    """Websockets are translated to SPDY by the API server, which wraps the kubelet's error once more."""
    return isinstance(session, WebSocketSession)


def _start_failure(error: OSError, command: str, *, twice: bool) -> str:
    """containerd's sentence for a command that cannot be started."""
    import secrets

    text = (
        f"error executing command in container: failed to exec in container: failed to start exec "
        f'"{secrets.token_hex(32)}": '
        f"OCI runtime exec failed: exec failed: unable to start container process: {exec_problem(error, command)}"
    )
    return f"Internal error occurred: {text}" if twice else text


def _shower(session: Session) -> Any:
    """Shows echo at once, in order, without making the terminal wait."""
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    task: asyncio.Task[None] | None = None

    async def drain() -> None:
        with contextlib.suppress(BrokenPipeError):
            while not queue.empty():
                await session.write(STDOUT, queue.get_nowait())

    def show(data: bytes) -> None:
        nonlocal task
        queue.put_nowait(data)
        if task is None or task.done():
            task = asyncio.get_running_loop().create_task(drain())

    return show


class _ToProcess:
    """What the client sends goes to the process; when the client goes, so does what it started."""

    def __init__(
        self, pipe: Pipe | None, terminal: Terminal | None, process: Process, instance: ContainerMachine
    ) -> None:
        self._pipe, self._terminal, self._process, self._instance = pipe, terminal, process, instance

    async def data(self, data: bytes) -> None:
        if self._terminal is not None:
            self._terminal.feed(data)
        elif self._pipe is not None and self._process.status is None:
            with contextlib.suppress(BrokenPipeError):
                await self._pipe.push(data)

    def end(self) -> None:
        if self._pipe is not None:
            self._pipe.close_write()

    def resize(self, rows: int, columns: int) -> None:
        if self._terminal is not None:
            self._terminal.resize(rows, columns)

    def gone(self) -> None:
        if self._pipe is not None:
            self._pipe.close_write()
        if self._terminal is not None:
            self._terminal.hang_up()
        self._instance.kill_session(self._process.session)


async def _run(
    session: Session, process: Process, instance: ContainerMachine, pipe: Pipe | None, terminal: Terminal | None
) -> None:
    input_ = _ToProcess(pipe, terminal, process, instance)
    serving = asyncio.ensure_future(session.serve(input_))
    try:
        code = await process.wait()
        await asyncio.sleep(0)
        await session.finish(channels.exit_status(code))
    finally:
        if pipe is not None:
            pipe.close_read()
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await serving


async def attach(ctx: Context, runtime: WorkloadRuntime) -> web.StreamResponse:
    """`attach`: the first process's own streams. It always ends with Success; the exit code is in the pod's status."""
    path = ctx.path
    pod = target.pod_of(ctx)
    name = target.container_name(pod, path.param("container"))
    target.on_node(pod)
    _check_streams(ctx)
    session, response = await _accept(ctx)
    instance = target.running(runtime, pod, name)
    if instance is None:
        text = target.upgrade_failed(pod, name)
        ended = (target.status_of(pod, name).get("state") or {}).get("terminated")
        if ended:
            text = f"unable to upgrade connection: container {name} not found in pod {ctx.name}_{ctx.namespace}"
        await session.finish(channels.internal_error(text))
        return response
    container = _spec_of(pod, name)
    tap: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(64)
    instance.log.taps.append(tap)
    input_ = _ToContainer(instance, container, wanted=path.flag("stdin"))
    terminal = instance.terminal
    if terminal is not None:
        echo = _shower(session)
        terminal.show_with(echo, terminal.sink or Null())
    instance.attaching.set()
    serving = asyncio.ensure_future(session.serve(input_))
    pumping = asyncio.ensure_future(
        _pump(session, instance.log, tap, stdout=path.flag("stdout"), stderr=path.flag("stderr"))
    )
    ending = asyncio.ensure_future(instance.main.ended.wait() if instance.main else asyncio.sleep(0))
    detaching = asyncio.ensure_future(input_.detached.wait())
    try:
        await asyncio.wait((serving, ending, detaching), return_when=asyncio.FIRST_COMPLETED)
        if detaching.done() and not ending.done():  # containerd lets such a client go: its output has a moment to come
            await asyncio.wait((serving, ending), timeout=_DETACH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if ending.done() or detaching.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_OUTPUT_SECONDS):
                    while not tap.empty():
                        await asyncio.sleep(0.002)
            await asyncio.sleep(0)
            await session.finish(channels.SUCCESS)
    finally:
        instance.log.taps.remove(tap)
        while not tap.empty():
            tap.get_nowait()
        for task in (serving, pumping, ending, detaching):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await serving
    return response


async def _pump(
    session: Session, log: ContainerLog, tap: asyncio.Queue[tuple[str, bytes]], *, stdout: bool, stderr: bool
) -> None:
    """Output since we attached."""
    try:
        while True:
            stream, data = await tap.get()
            if stream == "stdout" and stdout:
                await session.write(STDOUT, data)
            elif stream == "stderr" and stderr:
                await session.write(STDERR, data)
    except BrokenPipeError:
        while True:  # keep the container from waiting for a client that is gone
            await tap.get()


class _ToContainer:
    """Input of whoever is attached; with `stdinOnce` it ends with the first of them."""

    def __init__(self, instance: ContainerMachine, container: dict[str, Any], *, wanted: bool) -> None:
        self._instance, self._container, self._wanted = instance, container, wanted
        self.detached = asyncio.Event()
        """The client's input has ended while the container's goes on."""

    async def data(self, data: bytes) -> None:
        if not self._wanted:
            return
        if self._instance.terminal is not None:
            self._instance.terminal.feed(data)
        elif self._instance.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                await self._instance.stdin.push(data)

    def end(self) -> None:
        if not self._wanted:
            return
        if not self._container.get("stdinOnce") or self._container.get("tty"):
            self.detached.set()
        if self._container.get("stdinOnce"):
            if self._instance.stdin is not None:
                self._instance.stdin.close_write()
            if self._instance.terminal is not None:
                self._instance.terminal.close_input()

    def resize(self, rows: int, columns: int) -> None:
        if self._instance.terminal is not None:
            self._instance.terminal.resize(rows, columns)

    def gone(self) -> None:
        self.end()


def _spec_of(pod: Obj, name: str) -> dict[str, Any]:
    spec = pod["spec"]
    return next(
        c
        for part in ("containers", "initContainers", "ephemeralContainers")
        for c in spec.get(part) or ()
        if c["name"] == name
    )


def _check_streams(ctx: Context) -> None:
    """With a terminal the kubelet passes over `stderr`, as everything comes on its one stream."""
    if not any(ctx.path.flag(name) for name in ("stdin", "stdout", "stderr")):
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")


def may_create(ctx: Context) -> None:
    """A websocket's GET needs the right to create, too. Raises ApiError 403."""
    path = ctx.path
    asked = Attributes("create", path.group, path.version, path.resource, path.subresource, path.namespace, path.name)
    ctx.server.authenticator.check(ctx.user, asked)


async def _accept(ctx: Context) -> tuple[Session, web.StreamResponse]:
    """Upgrade to websocket channels or to SPDY. Raises ApiError 400 when neither is asked for."""
    upgrade = ctx.http.headers.get("Upgrade", "").lower()
    if upgrade == "websocket":
        may_create(ctx)
        session = await WebSocketSession.accept(ctx.http)
        return session, session._socket
    if upgrade.startswith("spdy/3.1"):
        return await spdy.accept_command(ctx)
    raise bad_request("Upgrade request required")
