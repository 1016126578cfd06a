"""Jaeger's query API (ports 16686 and 80 of `svc/tracing`) over the spans of the sandbox's mesh; it has no web page."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from labrunner.sandbox.workload.http.server import Request, Response, serve
from labrunner.sandbox.workload.machine.process import Process

_PORTS = (4317, 4318, 9411, 14250, 14268, 14269, 16685, 16686)


async def main(process: Process) -> int:
    return await serve(process, _PORTS, _answer)


async def _answer(process: Process, request: Request) -> Response:
    from labrunner.sandbox.mesh.observe.attach import observer_of

    path, _, query = request.target.partition("?")
    if "/api/" not in path:
        text = "The sandbox has Jaeger's query API (/jaeger/api/services, /jaeger/api/traces?service=...); no page.\n"
        return Response(200, text, content_type="text/plain; charset=utf-8")
    observer = observer_of(process.container.pod.network.network)
    if observer is None:
        return Response(503, "no Envoy runs in this sandbox\n", content_type="text/plain; charset=utf-8")
    options = {name: values[-1] for name, values in parse_qs(query).items()}
    status, document = await observer.answer("api/" + path.partition("/api/")[2], options)
    return Response(status, json.dumps(document), content_type="application/json")
