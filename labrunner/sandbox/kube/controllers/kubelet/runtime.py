"""The seam to what runs in containers, and the runtime that only plans: images' default commands and plain shell."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers.kubelet import script
from labrunner.sandbox.workload.images import Image

Container = dict[str, Any]
Exited = Callable[[int, str], None]
APP_PROBERS = "ISTIO_KUBE_APP_PROBERS"
"""Variable of a sidecar: the application's probes, by the agent's paths that stand for them."""
OCI_FAILURE = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: error during container init: exec: "
)


@dataclass(frozen=True, slots=True)
class Run:
    """What a container that has just been started will do."""

    exit_code: int | None = None
    """None: it runs until it is stopped (or until the runtime calls `exited`)."""
    after: float = 0.0
    """Real seconds until it exits."""
    ready_after: float = 0.0
    """Scaled seconds until its ports answer."""
    ports: frozenset[int] = frozenset()
    """TCP ports it listens on. Empty and `serves`: any port its container declares or its probes name."""
    serves: bool = False
    output: str = ""
    """What it has written when it exits (termination messages that fall back to logs)."""
    message: str = ""
    """Its termination message."""
    start_error: str = ""
    """The OCI runtime's sentence when it could not be started at all."""
    honours_term: bool = True


class ContainerRuntime(Protocol):
    """Runs (or pretends to run) containers. Called on the server's event loop; must not block."""

    def start(self, api: Api, pod: Obj, container: Container, image: Image, restarts: int, exited: Exited) -> Run:
        """Start it. A runtime that cannot foresee the end returns `exit_code=None` and calls `exited` then.

        `exited` takes the exit code and the termination message.
        """
        ...

    def probe(
        self, api: Api, pod: Obj, container: Container, run: Run, probe: dict[str, Any], wake: Callable[[], None]
    ) -> str | None:
        """One exec or network probe: empty when it succeeds, else the words of the Unhealthy event.

        None: the answer is not known yet; `wake` is called when it is, and the probe asked for again.
        """
        ...

    def may_change(self, pod: Obj, container: Container, probe: dict[str, Any]) -> bool:
        """Whether a probe that succeeds may fail later by itself; if not it is not run again."""
        ...

    def stop(self, pod: Obj, container: Container) -> None:
        """The container is gone: release whatever it held."""
        ...

    def terminate(self, pod: Obj, container: Container) -> None:
        """Its pod is being deleted: SIGTERM."""
        ...

    def hook(
        self, api: Api, pod: Obj, container: Container, handler: dict[str, Any], done: Callable[[bool], None]
    ) -> None:
        """Run a lifecycle handler; `done` is called later, with whether it succeeded."""
        ...


def argv_of(container: Container, image: Image) -> list[str]:
    """Command and arguments after Kubernetes' rules on ENTRYPOINT and CMD."""
    command, args = container.get("command"), container.get("args")
    if command:
        return [*command, *(args or [])]
    return [*image.entrypoint, *(args if args else image.cmd)]


class PlannedRuntime:
    """Judges by the image's table entry and, where the manifest gives a command, by reading it."""

    def start(self, api: Api, pod: Obj, container: Container, image: Image, restarts: int, exited: Exited) -> Run:
        default = not container.get("command") and not container.get("args")
        serving = Run(
            ready_after=image.start_seconds,
            ports=frozenset(image.ports),
            serves=True,
            honours_term=image.stops_at_once,
        )
        if default:
            if image.does == "serves":
                return serving
            if image.does == "waits":
                return Run()
            interactive = container.get("stdin") and image.does == "ends"
            return Run(honours_term=False) if interactive else Run(exit_code=int(image.does == "fails"))
        argv = argv_of(container, image)
        if not container.get("command") and container["args"][0] in image.tasks:
            return Run(exit_code=0)
        if not container.get("command") and image.does in ("serves", "waits"):
            return serving if image.does == "serves" else Run()
        plan = script.plan(argv, image)
        if plan.missing:
            why = "executable file not found in $PATH" if "/" not in plan.missing else "no such file or directory"
            where = "" if "/" not in plan.missing else f"stat {plan.missing}: "
            return Run(exit_code=128, start_error=f'{OCI_FAILURE}"{plan.missing}": {where}{why}')
        if plan.serves:
            return serving
        return Run(plan.exit_code, plan.seconds, output=plan.output, honours_term=plan.honours_term)

    def probe(
        self,
        api: Api,
        pod: Obj,
        container: Container,
        run: Run,
        probe: dict[str, Any],
        wake: Callable[[], None] | None = None,
    ) -> str | None:
        if "exec" in probe:
            return self._exec(probe["exec"].get("command") or [])
        ip = (pod.get("status") or {}).get("podIP", "")
        if "httpGet" in probe:
            get = probe["httpGet"]
            if original := behind_the_agent(pod, str(get.get("path", ""))):
                return (
                    "HTTP probe failed with statuscode: 500" if self.probe(api, pod, container, run, original) else ""
                )
            port = named_port(container, get.get("port"))
            host = get.get("host") or ip
            if listens(container, run, port):
                return ""
            scheme, path = get.get("scheme", "HTTP").lower(), get.get("path", "/")
            return f'Get "{scheme}://{host}:{port}{path}": dial tcp {host}:{port}: connect: connection refused'
        if "tcpSocket" in probe:
            port = named_port(container, probe["tcpSocket"].get("port"))
            host = probe["tcpSocket"].get("host") or ip
            return "" if listens(container, run, port) else f"dial tcp {host}:{port}: connect: connection refused"
        if "grpc" in probe:
            port = int(probe["grpc"].get("port") or 0)
            return (
                ""
                if listens(container, run, port)
                else (f'timeout: failed to connect service "{ip}:{port}" within 1s: context deadline exceeded')
            )
        return ""

    def _exec(self, command: list[str]) -> str:
        plan = script.plan(command, None)
        return "" if not plan.exit_code else f"command failed with exit code {plan.exit_code}"

    def may_change(self, pod: Obj, container: Container, probe: dict[str, Any]) -> bool:
        return False

    def stop(self, pod: Obj, container: Container) -> None:
        return None

    def terminate(self, pod: Obj, container: Container) -> None:
        return None

    def hook(
        self, api: Api, pod: Obj, container: Container, handler: dict[str, Any], done: Callable[[bool], None]
    ) -> None:
        api.call_later(0.0, lambda: done(True))


def behind_the_agent(pod: Obj, path: str) -> dict[str, Any] | None:
    """The probe that the mesh's agent makes of the application when it is asked for `/app-health/...`."""
    if not path.startswith("/app-health/"):
        return None
    for sidecar in [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]:
        for variable in sidecar.get("env") or ():
            if variable["name"] == APP_PROBERS:
                probe: dict[str, Any] | None = json.loads(variable.get("value") or "{}").get(path)
                return probe
    return None


def named_port(container: Container, port: Any) -> int:
    """A probe's port: a number, or the name of one of the container's ports; 0 when there is no such name."""
    if isinstance(port, int):
        return port
    for declared in container.get("ports") or ():
        if declared.get("name") == port:
            return int(declared["containerPort"])
    return int(port) if str(port).isdigit() else 0


def listens(container: Container, run: Run, port: int) -> bool:
    """Whether something answers there."""
    if not run.serves:
        return False
    return port in run.ports or (not run.ports and port > 0)
