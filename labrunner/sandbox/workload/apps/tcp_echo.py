"""istio/tcp-echo-server: answers each line with a prefix. Source: istio samples/tcp-echo/src/main.go."""

from __future__ import annotations

import asyncio
import contextlib

from labrunner.sandbox.workload.machine.process import Process, never
from labrunner.sandbox.workload.network import Handler, ProtocolFactory


async def main(process: Process) -> int:
    """`tcp-echo PORT[,PORT...] PREFIX`"""
    if len(process.argv) < 3:
        await process.error(f"Usage: {process.argv[0]} <port> <prefix>\n")
        return 1
    ports = [p.strip() for p in process.argv[1].split(",")]
    prefix = process.argv[2]
    machine, network = process.container.pod, process.container.pod.network.network
    for port in ports:
        if not port.isdigit():
            await process.error(f"error creating listener: listen tcp: address tcp/{port}: unknown port\n")
            return 1

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _talk(process, reader, writer, prefix)

        network.listen(machine, process.container, int(port), stream_protocol(handle))
        await process.line(f"listening on [::]:{port}, prefix: {prefix}")
    process.serves = True
    with contextlib.suppress(asyncio.CancelledError):
        await never()
    return 0


def stream_protocol(handle: Handler) -> ProtocolFactory:
    """A protocol factory from a handler of streams."""

    def factory() -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(limit=1 << 20)
        return asyncio.StreamReaderProtocol(reader, handle)

    return factory


async def _talk(process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, prefix: str) -> None:
    try:
        while data := await reader.readline():
            text = data.decode("utf-8", "replace")
            if not data.endswith(b"\n"):
                break
            await process.line(f"request: {text.rstrip()}")
            answer = f"{prefix} {text}"
            await process.line(f"response: {answer.rstrip()}")
            writer.write(answer.encode())
            await writer.drain()
    except (OSError, ValueError):
        return
    finally:
        writer.close()
