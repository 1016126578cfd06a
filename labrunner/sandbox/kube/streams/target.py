"""Finds the container that a request is about, and refuses in the API server's and the kubelet's words.

Source: k8s.io/kubernetes/pkg/registry/core/pod/strategy.go and pkg/kubelet/kubelet_pods.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.context import Context
from labrunner.sandbox.kube.status import bad_request

if TYPE_CHECKING:
    from labrunner.sandbox.workload.machine.container import ContainerMachine
    from labrunner.sandbox.workload.runtime import WorkloadRuntime


def pod_of(ctx: Context) -> Obj:
    """Raises ApiError 404."""
    return ctx.server.registry.read(ctx.stored, ctx.namespace, ctx.name)


def container_name(pod: Obj, asked: str) -> str:
    """The container meant. Raises ApiError 400 when it must be named, or is not one of the pod's."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    everyone = [
        c["name"] for part in ("initContainers", "containers", "ephemeralContainers") for c in spec.get(part) or ()
    ]
    if asked:
        if asked not in everyone:
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    mains = [c["name"] for c in spec["containers"]]
    if len(mains) == 1:
        return str(mains[0])
    inits = [c["name"] for c in spec.get("initContainers") or ()]
    text = f"a container name must be specified for pod {name}, choose one of: [{' '.join(mains)}]"
    if inits:
        text += f" or one of the init containers: [{' '.join(inits)}]"
    raise bad_request(text)


def on_node(pod: Obj) -> None:
    """Raises ApiError 400 for a pod that is not scheduled."""
    if not pod["spec"].get("nodeName"):
        raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")


def not_over(pod: Obj) -> None:
    """Raises ApiError 400 as kubectl words it for a pod that has completed."""
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise bad_request(f"cannot exec into a container in a completed pod; current phase is {phase}")


def running(runtime: WorkloadRuntime, pod: Obj, name: str) -> ContainerMachine | None:
    """The machine of a container, if it runs."""
    machine = runtime.find(pod)
    instance = machine.containers.get(name) if machine else None
    return instance if instance is not None and not instance.stopped else None


def status_of(pod: Obj, name: str) -> dict[str, Any]:
    """The container's status; empty when there is none."""
    status = pod.get("status") or {}
    for part in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for entry in status.get(part) or ():
            if entry["name"] == name:
                return dict(entry)
    return {}


def upgrade_failed(pod: Obj, name: str) -> str:
    """What the kubelet says to a stream that it cannot open."""
    return f'unable to upgrade connection: container not found ("{name}")'
