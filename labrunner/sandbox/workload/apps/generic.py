"""A server for images whose own one is not pretended: every port that the manifest names answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labrunner.sandbox.kube.controllers.kubelet.runtime import named_port
from labrunner.sandbox.workload.http.server import Request, Response
from labrunner.sandbox.workload.http.server import serve as serve_http
from labrunner.sandbox.workload.machine.process import Process


async def serve(process: Process, container: dict[str, Any], ports: Iterable[int]) -> int:
    """HTTP on the ports of the image, the manifest and its probes."""
    found = set(ports)
    for declared in container.get("ports") or ():
        if declared.get("protocol", "TCP") == "TCP":
            found.add(int(declared["containerPort"]))
    for which in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container.get(which) or {}
        for kind in ("httpGet", "tcpSocket", "grpc"):
            if kind in probe:
                found.add(named_port(container, probe[kind].get("port")))
    return await serve_http(process, sorted(p for p in found if 0 < p < 65536), _answer)


async def _answer(process: Process, request: Request) -> Response:
    name = process.container.pod.name
    return Response(200, f"{process.container.image} on {name}\n", content_type="text/plain; charset=utf-8")
