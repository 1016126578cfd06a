"""Which server a program stands for. A new one is a line here, a handler in a module beside this one."""

from __future__ import annotations

import importlib
from typing import Any

from labrunner.sandbox.kube.controllers.kubelet.runtime import Run
from labrunner.sandbox.workload.images import Image
from labrunner.sandbox.workload.machine.process import Process, Program, never

_APPS: dict[str, str] = {
    "nginx": "nginx:main",
    "docker-entrypoint.sh": "entrypoint:docker",
    "entrypoint.sh": "entrypoint:main",
    "httpd": "httpd:main",
    "httpd-foreground": "httpd:main",
    "apache2-foreground": "httpd:php",
    "go-httpbin": "httpbin:main",
    "gunicorn": "httpbin:python",
    "tcp-echo": "tcp_echo:main",
    "http-echo": "echo:http_echo",
    "echo-server": "echo:echo_server",
    "agnhost": "agnhost:main",
    "podinfo": "podinfo:main",
    "python": "python:main",
    "python3": "python:main",
    "postgres": "postgres:main",
    "hello": "echo:hello_world",
    "fortio": "echo:fortio",
    "kubectl": "kubectl:main",
    "pilot-discovery": "istio:discovery",
    "coredns": "coredns:main",
    "apachectl": "httpd:main",
}
"""Name of a program -> `module:function` below this package."""
_OF_IMAGES = {"quote": "samples:quote", "echoserver": "echo:echoserver"}
"""The same by the last part of an image's name."""


def program(name: str) -> Program | None:
    """The server that this program is."""
    where = _APPS.get(name)
    found: Program | None = _loaded(where) if where else None
    return found


def _loaded(where: str) -> Any:
    """`module:function` below this package, or None where there is no such module."""
    module, _, function = where.partition(":")
    try:
        return getattr(importlib.import_module(f"labrunner.sandbox.workload.apps.{module}"), function)
    except ModuleNotFoundError:
        return None


def of_image(image: Image) -> Program | None:
    """The server of an image that has a program of its own in no path (`docker.io/istio/examples-bookinfo-...`)."""
    name = image.repository.rpartition("/")[2]
    if name.startswith("examples-bookinfo-"):
        of = _loaded("bookinfo:of")
        found: Program | None = of(name.removeprefix("examples-bookinfo-")) if of else None
        return found
    if image.repository.endswith("jaegertracing/all-in-one"):
        jaeger: Program | None = _loaded("jaeger:main")
        return jaeger
    if (service := _loaded("orders:of")(name)) is not None:
        found = service
        return found
    where = _OF_IMAGES.get(name)
    if where is None and ("google-samples" in image.repository or "azuredocs" in image.repository):
        where = "samples:main"
    server: Program | None = _loaded(where) if where else None
    return server


def stand_in(planned: Run, container: dict[str, Any], image: Image) -> Program:
    """What runs where a command cannot really run: it ends, waits or serves as planned."""

    async def main(process: Process) -> int:
        import asyncio

        if planned.output:
            await process.write(planned.output)
        process.serves = planned.honours_term
        if planned.exit_code is not None:
            await asyncio.sleep(planned.after)
            return planned.exit_code
        if planned.serves:
            from labrunner.sandbox.workload.apps import generic

            return await generic.serve(process, container, planned.ports)
        return await never()

    return main
