"""The order, payment, inventory and notification services of the production mesh lab: each calls the next.

What they are called and whom they call is declared in `SERVICES`.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from labrunner.sandbox.workload.apps.bookinfo import forwarded
from labrunner.sandbox.workload.http.fetch import FetchFault, fetch
from labrunner.sandbox.workload.http.server import Request, Response, serve
from labrunner.sandbox.workload.machine.process import Process, Program

JSON = "application/json"
SERVICES: dict[str, tuple[str, tuple[str, ...]]] = {
    "order": ("orders", ("payment", "notification")),
    "payment": ("payments", ("inventory",)),
    "inventory": ("inventory", ()),
    "notification": ("notifications", ()),
    "notify": ("notifications", ()),
}
"""Service -> (its resource below /api/v1/, whom it calls)."""


def of(name: str) -> Program | None:
    """The server of an image `.../order-service`, `payment-service` and so on."""
    service = name.removesuffix("-service").removesuffix("-svc")
    if service not in SERVICES:
        return None

    async def main(process: Process) -> int:
        port = process.env.get("PORT", "8080")
        await process.line(json.dumps({"level": "info", "msg": f"{service}-service listening", "port": port}))

        async def answer(inside: Process, request: Request) -> Response:
            return await _answer(inside, request, service)

        return await serve(process, [int(port) if port.isdigit() else 8080], answer, access_log=_logged)

    return main


async def _logged(process: Process, request: Request, response: Response, seconds: float) -> None:
    await process.line(json.dumps({"level": "info", "method": request.method, "path": request.target,
                                   "status": response.status,
                                   "client": request.peer_ip, "ms": round(seconds * 1000, 1)}))  # fmt: skip


def _url(process: Process, callee: str) -> str:
    variable = f"{callee.upper()}_SERVICE_URL"
    return process.env.get(variable, f"http://{callee}-service:8080").rstrip("/")


async def _answer(process: Process, request: Request, service: str) -> Response:
    resource, callees = SERVICES[service]
    if request.path in ("/health", "/healthz", "/ready", "/readyz"):
        return Response(200, json.dumps({"status": "UP", "service": f"{service}-service"}), [], JSON)
    found = re.fullmatch(rf"/api/v1/{resource}(?:/([\w-]+))?", request.path)
    if request.path == "/" or found:
        body: dict[str, Any] = {"service": f"{service}-service", "pod": process.container.hostname}
        if found:
            body["id"] = found[1] or str(uuid.uuid4())[:8]
            body["method"] = request.method
            if request.method == "POST" or "chain" in request.query:
                body["calls"] = {callee: await _call(process, request, callee) for callee in callees}
        failed = any(not call.get("ok") for call in body.get("calls", {}).values())
        return Response(502 if failed else 201 if request.method == "POST" else 200, json.dumps(body), [], JSON)
    return Response(404, json.dumps({"error": "not found", "path": request.path}), [], JSON)


async def _call(process: Process, request: Request, callee: str) -> dict[str, Any]:
    resource, _ = SERVICES[callee]
    try:
        answer = await fetch(
            process, f"{_url(process, callee)}/api/v1/{resource}", "POST", forwarded(request), seconds=5.0
        )
    except (FetchFault, OSError, TimeoutError) as error:
        return {"ok": False, "error": str(error) or type(error).__name__}
    return {"ok": answer.status < 400, "status": answer.status}
