"""`pods/portforward`: kubectl's SPDY in a websocket, plain SPDY, and the channels of the Python client.

Source: k8s.io/kubernetes/pkg/kubelet (portforward) and k8s.io/client-go/tools/portforward.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from labrunner.sandbox.kube.context import Context
from labrunner.sandbox.kube.status import bad_request
from labrunner.sandbox.kube.streams import spdy, target
from labrunner.sandbox.kube.streams.commands import may_create
from labrunner.sandbox.kube.streams.spdy import SpdyConnection, SpdyStream, TunnelCarrier

if TYPE_CHECKING:
    from labrunner.sandbox.workload.machine.pod import PodMachine
    from labrunner.sandbox.workload.network import Streams
    from labrunner.sandbox.workload.runtime import WorkloadRuntime

TUNNEL = "SPDY/3.1+portforward.k8s.io"
CHANNELS = ("v4.channel.k8s.io",)
SPDY_PROTOCOL = "portforward.k8s.io"
_CHUNK = 32 * 1024
_CONNECT_SECONDS = 5.0


async def serve(ctx: Context, runtime: WorkloadRuntime) -> web.StreamResponse:
    pod = target.pod_of(ctx)
    target.on_node(pod)
    phase = (pod.get("status") or {}).get("phase")
    upgrade = ctx.http.headers.get("Upgrade", "").lower()
    machine = runtime.find(pod)
    if phase != "Running" or machine is None:
        raise bad_request(f"unable to forward port because pod is not running. Current status={phase}")
    if upgrade == "websocket":
        may_create(ctx)
        offered = ctx.http.headers.get("Sec-WebSocket-Protocol", "")
        socket = web.WebSocketResponse(
            protocols=(TUNNEL, *CHANNELS), max_msg_size=32 * 1024 * 1024, compress=False, timeout=2.0
        )
        if TUNNEL in offered:
            await socket.prepare(ctx.http)
            await _spdy(TunnelCarrier(socket), runtime, machine)
            return socket
        ports = _ports(ctx)
        await socket.prepare(ctx.http)
        await _channels(socket, ports, runtime, machine)
        return socket
    if upgrade.startswith("spdy/3.1"):
        spdy.protocol_of(ctx.http, (SPDY_PROTOCOL,))
        carrier, response = await spdy.upgrade(ctx.http, SPDY_PROTOCOL)
        await _spdy(carrier, runtime, machine)
        return response
    raise bad_request("Upgrade request required")


async def _connect(runtime: WorkloadRuntime, machine: PodMachine, port: int) -> Streams:
    """To the port on the pod's own loopback interface. Raises OSError or TimeoutError."""
    async with asyncio.timeout(_CONNECT_SECONDS):
        return await runtime.network.connect(machine, "127.0.0.1", port)


def failure(machine: PodMachine, port: int, error: Exception) -> str:
    """containerd's words for a port that nobody listens on."""
    why = "connection refused" if isinstance(error, ConnectionRefusedError) else str(error) or "i/o timeout"
    return (
        f"error forwarding port {port} to pod {machine.uid.replace('-', '')}, uid : failed to execute portforward "
        f"in network "
        f'namespace "/var/run/netns/cni-{machine.uid}": failed to connect to localhost:{port} inside namespace '
        f'"{machine.uid.replace("-", "")}", IPv4: dial tcp4 127.0.0.1:{port}: connect: {why} IPv6 dial tcp6 '
        f"[::1]:{port}: "
        f"connect: connection refused "
    )


# SPDY


async def _spdy(carrier: spdy.Carrier, runtime: WorkloadRuntime, machine: PodMachine) -> None:
    """Pairs of streams, one for data and one for errors, matched by their request id."""
    waiting: dict[str, SpdyStream] = {}
    tasks: set[asyncio.Task[None]] = set()

    async def opened(stream: SpdyStream) -> None:
        kind, port = stream.headers.get("streamtype", ""), stream.headers.get("port", "")
        if kind not in ("error", "data") or not port.isdigit():
            await stream.reset()
            return
        request = stream.headers.get("requestid") or str(stream.number - (2 if kind == "data" else 0))
        other = waiting.pop(request, None)
        if other is None:
            waiting[request] = stream
            return
        data, error = (stream, other) if kind == "data" else (other, stream)
        task = asyncio.get_running_loop().create_task(_forward(runtime, machine, int(port), data, error))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    connection = SpdyConnection(carrier, opened)
    try:
        await connection.serve()
    finally:
        for task in tasks:
            task.cancel()
        await connection.close()


async def _forward(
    runtime: WorkloadRuntime, machine: PodMachine, port: int, data: SpdyStream, error: SpdyStream
) -> None:
    try:
        reader, writer = await _connect(runtime, machine, port)
    except (OSError, TimeoutError) as problem:
        with contextlib.suppress(BrokenPipeError):
            await error.write(failure(machine, port, problem).encode())
        await error.close()
        await data.reset()
        return

    async def outwards() -> None:
        while chunk := await data.incoming.get():
            writer.write(chunk)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def inwards() -> None:
        while chunk := await reader.read(_CHUNK):
            await data.write(chunk)
        await data.close()

    sending = asyncio.ensure_future(outwards())
    try:
        await inwards()
    except (OSError, BrokenPipeError):
        await data.reset()
    finally:
        sending.cancel()
        await error.close()
        await data.close()
        writer.close()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await sending


# channels


def _ports(ctx: Context) -> list[int]:
    """Raises ApiError 400."""
    found = []
    for text in [p for value in ctx.path.query.get("ports", []) for p in value.split(",")]:
        if not text.isdigit() or not 0 < int(text) < 65536:
            raise bad_request(f'invalid port "{text}"')
        found.append(int(text))
    if not found:
        raise bad_request('query parameter "port" is required')
    return found


async def _channels(
    socket: web.WebSocketResponse, ports: list[int], runtime: WorkloadRuntime, machine: PodMachine
) -> None:
    """Two channels per port, data and errors; each begins with the port's number."""
    for index, port in enumerate(ports):
        for channel in (2 * index, 2 * index + 1):
            await socket.send_bytes(bytes((channel,)) + struct.pack("<H", port))
    writers: dict[int, asyncio.StreamWriter] = {}
    tasks: list[asyncio.Task[None]] = []

    async def inwards(index: int, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            while chunk := await reader.read(_CHUNK):
                await socket.send_bytes(bytes((2 * index,)) + chunk)
            if all(task.done() for task in tasks if task is not asyncio.current_task()):
                await socket.close(code=1000)

    try:
        for index, port in enumerate(ports):
            try:
                reader, writers[index] = await _connect(runtime, machine, port)
            except (OSError, TimeoutError) as problem:
                await socket.send_bytes(bytes((2 * index + 1,)) + failure(machine, port, problem).encode())
                continue
            tasks.append(asyncio.ensure_future(inwards(index, reader)))
        if not writers:
            await socket.close(code=1000)
            return
        async for message in socket:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                break
            data = message.data if message.type == WSMsgType.BINARY else message.data.encode("utf-8", "surrogateescape")
            writer = writers.get(data[0] // 2) if data and data[0] % 2 == 0 else None
            if writer is not None:
                writer.write(data[1:])
                with contextlib.suppress(OSError):
                    await writer.drain()
    finally:
        for task in tasks:
            task.cancel()
        for writer in writers.values():
            writer.close()
