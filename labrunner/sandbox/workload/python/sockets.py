"""`socket`, `select` and `socketserver` over the pod's network."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from labrunner.sandbox.workload.apps.tcp_echo import stream_protocol
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.network import streams_of
from labrunner.sandbox.workload.python.objects import Builtin, Class, Foreign, Instance, Native

if TYPE_CHECKING:
    from labrunner.sandbox.workload.python.modules import Library

_POLL_SECONDS = 0.02


class Connection(Foreign):
    """A connected socket. What comes is kept until it is asked for, so that `select` can tell."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__("socket")
        self._reader, self._writer = reader, writer
        self._kept = b""
        self._ended = False
        self._reading: asyncio.Task[bytes] | None = None
        calls: dict[str, Native] = {
            "recv": self.recv, "send": self.send, "sendall": self.send, "close": self.close
        }  # fmt: skip
        for name, call in calls.items():
            self.members[name] = Builtin(name, call)

    async def readable(self, seconds: float | None) -> bool:
        """Whether `recv` would answer at once."""
        if self._kept or self._ended:
            return True
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._reader.read(65536))
        await asyncio.wait((self._reading,), timeout=seconds)
        if not self._reading.done():
            return False
        try:
            self._kept = self._reading.result()
        except OSError:
            self._kept = b""
        self._reading = None
        self._ended = not self._kept
        return True

    async def recv(self, size: int) -> bytes:
        await self.readable(None)
        data, self._kept = self._kept[:size], self._kept[size:]
        return data

    async def send(self, data: bytes) -> int:
        self._writer.write(data)
        await self._writer.drain()
        return len(data)

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._writer.close()


def select_module(library: Library, process: Process) -> dict[str, Any]:
    async def select(readers: Any, writers: Any, errors: Any, timeout: float | None = None) -> tuple[Any, ...]:
        """Writing never blocks here: with somebody to write it answers at once."""
        loop = asyncio.get_running_loop()
        until = None if timeout is None else loop.time() + timeout
        writable = list(writers)
        while True:
            wait = 0.0 if writable else _POLL_SECONDS
            ready = [c for c in readers if isinstance(c, Connection) and await c.readable(wait)]
            if ready or writable or (until is not None and loop.time() >= until):
                await process.breathe()
                return ready, writable, []
            await asyncio.sleep(0)

    return {"select": Builtin("select", select)}


def socket_module(library: Library, process: Process) -> dict[str, Any]:
    machine = process.container.pod
    network = machine.network.network

    async def gethostname() -> str:
        return process.container.hostname

    async def gethostbyname(name: str) -> str:
        found = network.resolve(machine, name)
        if not found:
            raise OSError(-2, "Name or service not known")
        return found[0]

    async def create_connection(address: Any, timeout: float | None = None) -> Connection:
        host, port = address
        found = await gethostbyname(host)
        async with asyncio.timeout(timeout):
            reader, writer = await streams_of(await network.open_socket(machine, found, int(port)))
        return Connection(reader, writer)

    made: dict[str, Native] = {
        "gethostname": gethostname,
        "gethostbyname": gethostbyname,
        "create_connection": create_connection,
    }
    return {"AF_INET": 2, "SOCK_STREAM": 1, "error": OSError, "gaierror": OSError,
            **{name: Builtin(name, call) for name, call in made.items()}}  # fmt: skip


class Server(Foreign):
    """`socketserver.TCPServer`"""

    settable = frozenset(("daemon_threads", "allow_reuse_address", "timeout"))


def socketserver_module(library: Library, process: Process) -> dict[str, Any]:
    async def handled(handler: Any, connection: Connection, address: tuple[str, int], server: Server) -> None:
        interpreter = library.running()
        if isinstance(handler, Class):
            made = Instance(handler, {"request": connection, "client_address": address, "server": server})
            await interpreter.call(interpreter.attribute(made, "handle"), [], {})
        else:
            await interpreter.call(handler, [connection, address, server], {})

    async def make(address: Any, handler: Any) -> Server:
        """It listens from here on. Raises OSError when the port is taken."""
        machine = process.container.pod
        network = machine.network.network
        server = Server("TCPServer", {"server_address": address, "daemon_threads": False})

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = writer.get_extra_info("peername") or ("", 0)
            connection = Connection(reader, writer)
            task = asyncio.current_task()
            if task is not None:
                library.background.add(task)
            try:
                await handled(handler, connection, (network.plan.pod_ip(peer[0]), peer[1]), server)
            except OSError:
                pass
            finally:
                await connection.close()

        port = int(address[1])
        network.listen(machine, process.container, port, stream_protocol(accepted))

        async def serve_forever(poll_interval: float = 0.5) -> None:
            await asyncio.Event().wait()

        async def shutdown() -> None:
            network.stop_listening(machine, process.container, port)

        calls: dict[str, Native] = {
            "serve_forever": serve_forever, "shutdown": shutdown, "server_close": shutdown
        }  # fmt: skip
        for name, call in calls.items():
            server.members[name] = Builtin(name, call)
        return server

    async def nothing(self: Any) -> None:
        return None

    base = Class("BaseRequestHandler", [], {"setup": Builtin("setup", nothing), "finish": Builtin("finish", nothing)})
    servers = {name: Builtin(name, make) for name in ("TCPServer", "ThreadingTCPServer")}
    return {**servers, "BaseRequestHandler": base}
