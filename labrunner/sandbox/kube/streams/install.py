"""Puts the handlers of pods' own subresources in the server's table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from labrunner.sandbox.kube.context import Context, Handler
from labrunner.sandbox.kube.server import ApiServer, method_not_allowed

if TYPE_CHECKING:
    from labrunner.sandbox.workload.runtime import WorkloadRuntime

Serve = Callable[[Context, "WorkloadRuntime"], Awaitable[web.StreamResponse]]


def install(server: ApiServer, runtime: WorkloadRuntime) -> None:
    """Serve log, exec, attach, portforward and proxy by this runtime."""
    from labrunner.sandbox.kube.streams import commands, logs, portforward, proxy

    def handler(serve: Serve, *verbs: str) -> Handler:
        async def handle(ctx: Context) -> web.StreamResponse:
            if verbs and ctx.verb not in verbs:
                raise method_not_allowed()
            return await serve(ctx, runtime)

        return handle

    table = server.subresources
    table["Pod", "log"] = handler(logs.serve, "get")
    table["Pod", "exec"] = handler(commands.execute, "get", "create")
    table["Pod", "attach"] = handler(commands.attach, "get", "create")
    table["Pod", "portforward"] = handler(portforward.serve, "get", "create")
    table["Pod", "proxy"] = handler(proxy.serve_pod)
    table["Service", "proxy"] = handler(proxy.serve_service)
