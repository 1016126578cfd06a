"""CoreDNS: its log lines and its health port; names are answered by `labrunner.sandbox.workload.dns`."""

from __future__ import annotations

from labrunner.sandbox.workload.http.server import Request, Response, serve
from labrunner.sandbox.workload.machine.process import Process


async def main(process: Process) -> int:
    await process.write(".:53\nCoreDNS-1.12.1\nlinux/amd64, go1.24.1, 707c7c1\n")

    async def answer(server: Process, request: Request) -> Response:
        known = {8080: "/health", 8181: "/ready", 9153: "/metrics"}
        return (
            Response(200, "OK", [], "text/plain")
            if request.path == known.get(request.port)
            else Response(404, "404 page not found\n")
        )

    return await serve(process, [8080, 8181, 9153], answer)
