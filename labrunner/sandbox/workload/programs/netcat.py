"""`nc`, as busybox and as OpenBSD have it, and `telnet`."""

from __future__ import annotations

import asyncio
import contextlib
import re

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.network import Streams
from labrunner.sandbox.workload.programs.network import network_of
from labrunner.sandbox.workload.programs.options import OptionFault, Options, parse, wrong
from labrunner.sandbox.workload.programs.table import program


@program("nc", "telnet")
async def nc(process: Process) -> int:
    words = process.argv[1:]
    try:
        options = parse(words, "w:p:lzvknue:i:s:q:c46dhNX:x:ro:t", permute=True)
    except OptionFault as error:
        return await wrong(process, error)
    if options.flag("l"):
        return await _listen(process, options)
    rest = options.rest
    if len(rest) < 2 and process.name == "telnet" and rest:
        rest = [rest[0], "23"]
    if len(rest) < 2:
        return await wrong(process, OptionFault("", missing=True))
    host, *ports = rest
    found = network_of(process).resolve(process.container.pod, host)
    gnu = _openbsd(process)
    if not found:
        text = (
            f'getaddrinfo for host "{host}" port {ports[0]}: Name or service not known'
            if gnu
            else f"bad address '{host}'"
        )
        return await process.fail(text)
    if options.flag("u"):
        return 0
    status = 0
    for port in [p for text in ports for p in _ports(text)]:
        status = await _connect(process, options, host, found[0], port, gnu)
    return status


def _openbsd(process: Process) -> bool:
    return process.container.family == "debian" or "netshoot" in process.container.image


def _ports(text: str) -> list[int]:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if not found:
        return []
    return list(range(int(found[1]), min(int(found[2] or found[1]), int(found[1]) + 1000) + 1))


async def _connect(process: Process, options: Options, host: str, address: str, port: int, gnu: bool) -> int:
    wait = float(options.value("w")) if options.value("w").isdigit() else None
    shown = f"{host} ({address}:{port})"
    verbose = options.flag("v")
    try:
        async with asyncio.timeout(wait):
            reader, writer = await network_of(process).connect(process.container.pod, address, port)
    except TimeoutError:
        if gnu:
            if verbose:
                await process.error(
                    f"nc: connect to {host} ({address}) port {port} (tcp) timed out: Operation now in progress\n"
                )
            return 1
        return await process.fail(f"{shown}: Operation timed out" if verbose or not options.flag("z") else "timed out")
    except OSError as error:
        if gnu:
            if verbose:
                await process.error(f"nc: connect to {host} ({address}) port {port} (tcp) failed: {error.strerror}\n")
            return 1
        if verbose or not options.flag("z"):
            await process.say(f"can't connect to remote host ({address}): {error.strerror}" if not verbose else
                              f"{shown}: {error.strerror}")  # fmt: skip
        return 1
    if verbose:
        await process.error(
            f"Connection to {host} ({address}) {port} port [tcp/*] succeeded!\n" if gnu else f"{shown} open\n"
        )
    if process.name == "telnet":
        await process.line(f"Connected to {host}")
    if options.flag("z"):
        writer.close()
        return 0
    return await _relay(process, (reader, writer), wait)


async def _relay(process: Process, streams: Streams, wait: float | None) -> int:
    """Both ways, until the peer closes or stays silent for `wait` seconds after our input ended."""
    reader, writer = streams

    async def outwards() -> None:
        while data := await process.stdin.read():
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    sending = asyncio.ensure_future(outwards())
    status = 0
    try:
        while True:
            try:
                async with asyncio.timeout(wait):
                    data = await reader.read(65536)
            except TimeoutError:
                if sending.done():
                    break
                continue
            if not data:
                break
            await process.write(data)
    except OSError:
        status = 1
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await sending
        writer.close()
    return status


async def _listen(process: Process, options: Options) -> int:
    """`nc -l -p PORT [-k] [-e PROGRAM]`"""
    port_text = options.value("p") or next((w for w in reversed(options.rest) if w.isdigit()), "")
    if not port_text.isdigit() or not 0 < int(port_text) < 65536:
        return await process.fail("bad port" if port_text else "missing port with option -l")
    port = int(port_text)
    machine, network = process.container.pod, network_of(process)
    waiting: asyncio.Queue[Streams] = asyncio.Queue()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await waiting.put((reader, writer))

    def factory() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=1 << 18), accepted)

    owner = object()
    try:
        network.listen(machine, owner, port, factory)
    except OSError:
        return await process.fail("bind: Address already in use")
    if options.flag("v"):
        await process.error(
            f"listening on [::]:{port} ...\n" if not _openbsd(process) else f"Listening on 0.0.0.0 {port}\n"
        )
    process.serves = True
    try:
        while True:
            streams = await waiting.get()
            if options.flag("v"):
                peer = streams[1].get_extra_info("peername") or ("", 0)
                await process.error(f"connect to [::ffff:{machine.network_ip()}]:{port} from "
                                    f"[::ffff:{network.plan.pod_ip(peer[0])}]:{peer[1]}\n")  # fmt: skip
            if options.flag("e"):
                command = [options.value("e"), *options.rest]
                await _served(process, streams, [w for w in command if w != port_text])
            else:
                await _relay(process, streams, None)
            if not options.flag("k"):
                return 0
    finally:
        network.stop_listening(machine, owner)


async def _served(process: Process, streams: Streams, command: list[str]) -> None:
    """A program on a connection."""
    from labrunner.sandbox.workload.machine.stream import Pipe, Sink

    reader, writer = streams
    pipe = Pipe()

    async def send(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def receive() -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await pipe.push(data)
        pipe.close_write()

    out = Sink(send)
    receiving = asyncio.ensure_future(receive())
    try:
        await process.call(command, descriptors={0: pipe.reader, 1: out, 2: process.descriptors[2]})
    except OSError as error:
        await process.say(f"can't execute '{command[0]}': {error.strerror}")
    finally:
        receiving.cancel()
        writer.close()
