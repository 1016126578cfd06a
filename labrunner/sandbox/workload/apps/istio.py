"""The mesh's own programs as far as they are seen from inside: log lines, and ports that answer."""

from __future__ import annotations

from datetime import UTC, datetime

from labrunner.sandbox.workload.http.server import Request, Response, serve
from labrunner.sandbox.workload.machine.process import Process


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


async def discovery(process: Process) -> int:
    """istiod"""
    await process.error("".join(f"{stamp()}\tinfo\t{text}\n" for text in (
        "FLAG: --monitoringAddr=\":15014\"", "initializing Istiod admin server",
        "Starting HTTPS service at [::]:15017", "starting secure gRPC discovery service at [::]:15012",
        "starting gRPC discovery service at [::]:15010", "All controllers has been synced",
    )))  # fmt: skip

    async def answer(server: Process, request: Request) -> Response:
        if request.path in ("/ready", "/healthz", "/version"):
            return Response(200, "", [], "text/plain; charset=utf-8")
        return Response(404, "404 page not found\n", [], "text/plain; charset=utf-8")

    return await serve(process, [8080, 15014], answer)
