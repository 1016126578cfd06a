"""stefanprodan/podinfo"""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime

from labrunner.sandbox.workload.http.server import Request, Response, serve
from labrunner.sandbox.workload.machine.process import Process

VERSION = "6.9.2"
JSON = "application/json; charset=utf-8"


async def main(process: Process) -> int:
    """`./podinfo [--port=9898]`"""
    port = "9898"
    for word in process.argv[1:]:
        if word.startswith("--port="):
            port = word.partition("=")[2]
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    await process.line(json.dumps({"level": "info", "ts": stamp, "caller": "podinfo/main.go:155",
                                   "msg": "Starting podinfo",
                                   "version": VERSION, "revision": "e86405a8674ecab990d0a389824c7ebbd82973b5",
                                   "port": port}))  # fmt: skip
    state = {"ready": True, "alive": True}

    async def answer(server: Process, request: Request) -> Response:
        return await _answer(server, request, state)

    return await serve(process, [int(port) if port.isdigit() else 9898, 9797], answer)


def _json(data: object, status: int = 200) -> Response:
    return Response(status, json.dumps(data, indent=2), [("X-Content-Type-Options", "nosniff")], JSON)


async def _answer(process: Process, request: Request, state: dict[str, bool]) -> Response:
    path = request.path
    if path in ("/", "/api/info"):
        message = process.env.get("PODINFO_UI_MESSAGE", f"greetings from podinfo v{VERSION}")
        return _json({"hostname": process.container.hostname, "version": VERSION,
                      "revision": "e86405a8674ecab990d0a389824c7ebbd82973b5", "color": "#34577c", "logo":
                      "https://raw.githubusercontent.com/stefanprodan/podinfo/gh-pages/cuddle_clap.gif",
                      "message": message,
                      "goos": "linux", "goarch": "amd64", "runtime": "go1.25.0", "num_goroutine": "8",
                      "num_cpu": "4"})  # fmt: skip
    if path == "/healthz":
        return _json({"status": "OK"}) if state["alive"] else Response(503)
    if path == "/readyz":
        return _json({"status": "OK"}) if state["ready"] else Response(503)
    if path in ("/readyz/enable", "/readyz/disable"):
        state["ready"] = path.endswith("enable")
        return Response(202)
    if path == "/version":
        return _json({"commit": "e86405a8674ecab990d0a389824c7ebbd82973b5", "version": VERSION})
    if path == "/headers":
        return _json({k: [v] for k, v in sorted(request.headers)})
    if path == "/echo":
        return Response(202, request.body, [], JSON)
    if path == "/env":
        return _json([f"{k}={v}" for k, v in process.env.items()])
    if found := re.fullmatch(r"/status/(\d{3})", path):
        return _json({"status": int(found[1])}, int(found[1]) if 200 <= int(found[1]) < 600 else 200)
    if found := re.fullmatch(r"/delay/(\d{1,3})", path):
        await asyncio.sleep(int(found[1]))
        return _json({"delay": int(found[1])})
    if path == "/panic":
        process.kill(9)
        return Response(abort=True)
    return Response(404, "404 page not found\n", [], "text/plain; charset=utf-8")
