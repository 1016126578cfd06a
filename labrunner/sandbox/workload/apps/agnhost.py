"""The end-to-end tests' Swiss army image: pause, netexec, serve-hostname, connect, dns-suffix."""

from __future__ import annotations

import json

from labrunner.sandbox.workload.http.server import Request, Response, serve
from labrunner.sandbox.workload.machine.process import Process, never
from labrunner.sandbox.workload.machine.stream import Collected, Null

_VERSION = "2.53"


async def main(process: Process) -> int:
    """`agnhost COMMAND [flags]`"""
    words = process.argv[1:]
    command = words[0] if words else "pause"
    flags = {}
    for index, word in enumerate(words[1:], 1):
        name, equals, value = word.lstrip("-").partition("=")
        flags[name] = value if equals else words[index + 1] if index + 1 < len(words) else "true"
    match command:
        case "pause":
            await process.line("Paused")
            process.serves = True
            return await never()
        case "netexec":
            port = flags.get("http-port", "8080")
            return await serve(process, [int(port) if port.isdigit() else 8080], netexec, access_log=_logged)
        case "serve-hostname":
            port = flags.get("port", "9376")
            return await serve(process, [int(port) if port.isdigit() else 9376], _hostname)
        case "connect":
            return await _connect(process, words[1:], flags)
        case "--version" | "version":
            await process.line(_VERSION)
            return 0
        case "dns-suffix":
            await process.line("cluster.local")
            return 0
    await process.error(f'Error: unknown command "{command}" for "app"\nRun \'app --help\' for usage.\n')
    return 1


async def _logged(process: Process, request: Request, response: Response, seconds: float) -> None:
    await process.error(f"GET {request.target}\n")


async def _hostname(process: Process, request: Request) -> Response:
    return Response(200, process.container.hostname, [], "text/plain; charset=utf-8")


async def netexec(process: Process, request: Request) -> Response:
    """/hostname /clientip /echo /shell /healthz /exit /header"""
    text = "text/plain; charset=utf-8"
    match request.path.rstrip("/") or "/":
        case "/":
            from datetime import UTC, datetime

            return Response(200, f"NOW: {datetime.now(UTC).isoformat(' ')}", [], text)
        case "/hostname" | "/hostName":
            return await _hostname(process, request)
        case "/clientip":
            return Response(200, f"{request.peer_ip}:{request.peer_port}", [], text)
        case "/echo":
            code = request.argument("code", "200")
            return Response(
                int(code) if code.isdigit() and 200 <= int(code) < 600 else 200, request.argument("msg"), [], text
            )
        case "/header":
            return Response(200, request.get(request.argument("key")), [], text)
        case "/healthz" | "/readyz":
            return Response(200, "", [], text)
        case "/exit":
            process.kill(15)
            return Response(200, "", [], text)
        case "/shell":
            collected = Collected(1 << 20)
            command = request.argument("shellCommand") or request.argument("cmd")
            child = await process.start(["sh", "-c", command], descriptors={0: Null(), 1: collected, 2: collected})
            status = await child.wait()
            answer = {"output": bytes(collected.data).decode("utf-8", "replace")}
            if status:
                answer["error"] = f"exit status {status}"
            return Response(200, json.dumps(answer), [], "application/json")
    return Response(404, "404 page not found\n", [], text)


async def _connect(process: Process, words: list[str], flags: dict[str, str]) -> int:
    import asyncio

    target = next((w for w in words if ":" in w and not w.startswith("-")), "")
    host, _, port = target.rpartition(":")
    network, machine = process.container.pod.network.network, process.container.pod
    found = network.resolve(machine, host)
    if not found or not port.isdigit():
        await process.error("DNS: lookup failed\n")
        return 1
    limit = flags.get("timeout", "5s").rstrip("s")
    try:
        async with asyncio.timeout(float(limit) if limit.replace(".", "").isdigit() else 5.0):
            _, writer = await network.connect(machine, found[0], int(port))
        writer.close()
    except TimeoutError:
        await process.error("TIMEOUT\n")
        return 1
    except ConnectionRefusedError:
        await process.error("REFUSED\n")
        return 1
    return 0
