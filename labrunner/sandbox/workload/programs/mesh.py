"""`pilot-agent`: the proxy's admin pages and metrics, through exec and on the sidecar's own ports."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from labrunner.sandbox.workload.http.server import Request, Response, serve
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.table import program

_PORTS = (15000, 15001, 15006, 15020, 15021, 15090)
_TEXT = "text/plain; charset=UTF-8"


@program("pilot-agent")
async def pilot_agent(process: Process) -> int:
    match process.argv[1:]:
        case ["proxy", *_]:
            return await serve(process, _PORTS, _answer)
        case ["request", method, path, *_]:
            answer = await ask(process, method, path)
            await process.write(answer.data())
            return 0 if answer.status < 400 else 1
        case ["request", *_]:
            await process.error("Error: accepts 2 arg(s), like `pilot-agent request GET stats`\n")
            return 1
        case ["version", *_]:
            await process.line(f"version {process.container.image.rpartition(':')[2]}")
            return 0
        case ["istio-iptables" | "istio-clean-iptables" | "wait", *_]:
            return 0
        case [other, *_]:
            await process.error(f'Error: unknown command "{other}" for "pilot-agent"\n')
            return 1
    await process.line("Istio Pilot agent runs in the sidecar or gateway container and bootstraps Envoy.")
    return 0


async def _answer(process: Process, request: Request) -> Response:
    return await ask(process, request.method, request.target)


async def ask(process: Process, method: str, target: str) -> Response:
    """One page of the admin interface (or of the agent's ports), for this pod's proxy only."""
    from labrunner.sandbox.mesh.observe.attach import observer_of

    path, _, query = target.lstrip("/").partition("?")
    if path in ("healthz/ready", "ready"):
        return Response(200, "LIVE\n", content_type=_TEXT)
    if path.startswith("app-health/"):
        return Response(200, "", content_type=_TEXT)
    pod = process.container.pod
    observer = observer_of(pod.network.network)
    if observer is None:
        return Response(503, "no Envoy runs in this sandbox\n", content_type=_TEXT)
    observer.refresh()
    key = f"{pod.name}.{pod.namespace}"
    options = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    text = await observer.admin(key, path, options)
    if text is None:
        return Response(404, f"invalid path. admin commands are:\n{_HELP}", content_type=_TEXT)
    if isinstance(text, str):
        return Response(200, text, content_type=_TEXT)
    return Response(200, _json(text), content_type="application/json")


def _json(document: Any) -> str:
    return json.dumps(document, indent=1) + "\n"


_HELP = "  /certs\n  /clusters\n  /config_dump\n  /listeners\n  /ready\n  /stats\n  /stats/prometheus\n"
