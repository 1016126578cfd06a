"""`pods/proxy` and `services/proxy`: one HTTP request passed on by the API server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from labrunner.sandbox.kube import body
from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.context import Context
from labrunner.sandbox.kube.status import ApiError, bad_request
from labrunner.sandbox.kube.streams import target
from labrunner.sandbox.workload.http.client import HttpFault, exchange

if TYPE_CHECKING:
    from labrunner.sandbox.workload.runtime import WorkloadRuntime

_HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-authorization",
                "proxy-authenticate", "content-length", "authorization", "host", "accept-encoding"}  # fmt: skip
_SECONDS = 30.0


async def serve_pod(ctx: Context, runtime: WorkloadRuntime) -> web.StreamResponse:
    """`/pods/[scheme:]name[:port]/proxy/path`"""
    scheme, name, port = _parts(ctx.name)
    pod = ctx.server.registry.read(ctx.stored, ctx.namespace, name)
    if not port:
        ports = [
            p for c in pod["spec"]["containers"] for p in c.get("ports") or () if p.get("protocol", "TCP") == "TCP"
        ]
        port = str(ports[0]["containerPort"]) if ports else "80"
    number = _number(pod, port)
    return await _passed(ctx, runtime, pod, number, scheme)


async def serve_service(ctx: Context, runtime: WorkloadRuntime) -> web.StreamResponse:
    """`/services/[scheme:]name[:port]/proxy/path`"""
    scheme, name, port = _parts(ctx.name)
    service = ctx.server.registry.read(ctx.stored, ctx.namespace, name)
    ports = service["spec"].get("ports") or []
    entry = next(
        (p for p in ports if port in (str(p["port"]), p.get("name") or "")), ports[0] if ports and not port else None
    )
    if entry is None:
        raise ApiError(503, "ServiceUnavailable", f'no service port "{port}" found for service "{name}"')
    found = runtime.network.endpoints(service, entry.get("name") or "", int(entry["port"]))
    pods = [(pod, p) for ip, p in found if (pod := runtime.network.pod_at(ip)) is not None]
    if not pods:
        raise ApiError(503, "ServiceUnavailable", f'no endpoints available for service "{name}"')
    pod, number = pods[0]
    return await _passed(ctx, runtime, pod, number, scheme)


def _parts(text: str) -> tuple[str, str, str]:
    """(scheme, name, port) of `name`, `name:port` or `scheme:name:port`."""
    pieces = text.split(":")
    match pieces:
        case [name]:
            return "http", name, ""
        case [name, port]:
            return "http", name, port
        case [scheme, name, port] if scheme in ("http", "https", ""):
            return scheme or "http", name, port
    raise bad_request(f'invalid pod request "{text}"')


def _number(pod: Obj, port: str) -> int:
    if port.isdigit():
        return int(port)
    for container in pod["spec"]["containers"]:
        for entry in container.get("ports") or ():
            if entry.get("name") == port:
                return int(entry["containerPort"])
    raise bad_request(f'invalid port "{port}"')


async def _passed(ctx: Context, runtime: WorkloadRuntime, pod: Obj, port: int, scheme: str) -> web.StreamResponse:
    target.on_node(pod)
    machine = runtime.find(pod)
    ip = (pod.get("status") or {}).get("podIP", "")
    request = ctx.http
    query = request.path_qs.partition("?")[2]
    path = "/" + quote(ctx.path.rest, safe="/:@!$&'()*+,;=~-._") + ("?" + query if query else "")
    headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _HOP_HEADERS]
    data = await body.read(request)
    prefix = "error trying to reach service: "
    if machine is None or not ip:
        raise ApiError(503, "ServiceUnavailable", f"{prefix}dial tcp {ip}:{port}: connect: connection refused")
    try:
        async with asyncio.timeout(_SECONDS):
            answer = await exchange(
                lambda: runtime.network.connect(machine, ip, port), request.method, path,
                [("Host", f"{ip}:{port}"), *headers], data, tls=scheme == "https",
            )  # fmt: skip
    except ConnectionRefusedError:
        raise ApiError(
            503, "ServiceUnavailable", f"{prefix}dial tcp {ip}:{port}: connect: connection refused"
        ) from None
    except TimeoutError:
        raise ApiError(503, "ServiceUnavailable", f"{prefix}dial tcp {ip}:{port}: i/o timeout") from None
    except (OSError, HttpFault) as error:
        raise ApiError(503, "ServiceUnavailable", f"{prefix}{error}") from None
    kept = [(k, v) for k, v in answer.headers if k.lower() not in _HOP_HEADERS]
    response = web.Response(body=answer.body, status=answer.status)
    response.headers.popall("Content-Type", None)
    for name, value in kept:
        response.headers.add(name, value)
    return response
