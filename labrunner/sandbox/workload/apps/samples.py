"""Sample applications: google-samples' hello-app, AKS's hello world, Emissary's quote service."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

from labrunner.sandbox.workload.http.server import Request, Response, serve
from labrunner.sandbox.workload.machine.process import Process

_QUOTES = (
    "Abstraction is ever present.", "A late night does not make any sense.",
    "A principal idea is omnipresent, much like candy.",
    "Nihilism gambles with lives, happiness, and even destiny itself!",
    "The light at the end of the tunnel is interdependent "
    "on the relatedness of motivation, subcultures, and management.", "Utter nonsense is a storyteller without equal.",
    "Non-locality is the driver of truth. By summoning, we vibrate.", "Last night without thinking you may have lived.",
)  # fmt: skip
_SERVER_NAMES = (
    "humble-blueberry-o2v493st",
    "inane-cherry-s2cdrb4v",
    "gargantuan-kiwi-1l8nmrxc",
    "idle-cranberry-8tbb6iks",
)


async def main(process: Process) -> int:
    image = process.container.image
    if "azuredocs" in image or "aks-helloworld" in image:
        return await serve(process, [80], _aks, server_name="nginx/1.13.7")
    return await serve(process, [8080], _hello)


async def _hello(process: Process, request: Request) -> Response:
    version = process.container.image.rpartition(":")[2]
    number = version if version[:1].isdigit() else "1.0"
    text = f"Hello, world!\nVersion: {number}.0\nHostname: {process.container.hostname}\n"
    return Response(200, text, [], "text/plain; charset=utf-8")


async def _aks(process: Process, request: Request) -> Response:
    title = process.env.get("TITLE", "Welcome to Azure Container Service (AKS)")
    return Response(200, f"<!DOCTYPE html>\n<html>\n<head>\n    <title>{title}</title>\n</head>\n<body>\n"
                    f"    <div id=\"logo\">{title}</div>\n</body>\n</html>\n", [],
                    "text/html; charset=utf-8")  # fmt: skip


async def quote(process: Process) -> int:
    """datawire/quote: a JSON quote at `/`."""
    server = random.choice(_SERVER_NAMES)

    async def answer(inside: Process, request: Request) -> Response:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
        if request.path in ("/", "/get-quote", "/get-quote/"):
            body = {"server": server, "quote": random.choice(_QUOTES), "time": now}
            return Response(200, json.dumps(body, indent=4), [], "application/json")
        if request.path == "/health":
            return Response(200, "Healthy\n", [], "text/plain; charset=utf-8")
        if request.path.startswith("/debug"):
            headers = {k: [v] for k, v in request.headers}
            body_ = {"server": server, "time": now, "method": request.method, "host": request.host, "proto": "HTTP/1.1",
                     "url": {"path": request.path}, "remoteaddr": f"{request.peer_ip}:{request.peer_port}",
                     "headers": headers}  # fmt: skip
            return Response(200, json.dumps(body_, indent=4), [], "application/json")
        return Response(404, "404 page not found\n", [], "text/plain; charset=utf-8")

    return await serve(process, [8080, 8443], answer)
