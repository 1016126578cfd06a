"""Pods. Source: printPod in pkg/printers/internalversion/printers.go."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages, epoch
from labrunner.sandbox.kube.printers.printer import (
    AGE,
    NAME,
    NONE,
    Column,
    Obj,
    Printer,
    at,
    condition_status,
    created,
    deleting,
    images,
    labels_text,
    name_of,
)

_COLUMNS = (
    NAME,
    Column("Ready", "The aggregate readiness state of this pod for accepting traffic."),
    Column("Status", "The aggregate status of the containers in this pod."),
    Column(
        "Restarts",
        "The number of times the containers in this pod have been restarted and when the last container in this pod "
        "has restarted.",
    ),
    AGE,
    Column("IP", "@core.v1.PodStatus.podIP", priority=1),
    Column("Node", "@core.v1.PodSpec.nodeName", priority=1),
    Column("Nominated Node", "@core.v1.PodStatus.nominatedNodeName", priority=1),
    Column("Readiness Gates", "@core.v1.PodSpec.readinessGates", priority=1),
)


class _Restarts:
    """How often containers restarted, and when last."""

    def __init__(self) -> None:
        self.count = 0
        self.last: str | None = None

    def add(self, status: Obj) -> None:
        self.count += status.get("restartCount", 0)
        finished = at(status, "lastState", "terminated", "finishedAt")
        if finished and (self.last is None or (epoch(finished) or 0) > (epoch(self.last) or 0)):
            self.last = finished

    def text(self, ages: Ages) -> str:
        return f"{self.count} ({ages(self.last)} ago)" if self.count and self.last else str(self.count)


def _exit(terminated: Obj) -> str:
    """What a terminated container without a reason is called."""
    if signal := terminated.get("signal"):
        return f"Signal:{signal}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _initialization(pod: Obj, sidecars: set[str]) -> tuple[str, int, _Restarts, _Restarts]:
    """What keeps the pod from starting ("" when nothing does), sidecars ready, restarts of all and of sidecars."""
    everything, of_sidecars = _Restarts(), _Restarts()
    ready = 0
    for index, status in enumerate(at(pod, "status", "initContainerStatuses", default=())):
        everything.add(status)
        is_sidecar = status.get("name") in sidecars
        if is_sidecar:
            of_sidecars.add(status)
        terminated, waiting = at(status, "state", "terminated"), at(status, "state", "waiting", "reason", default="")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if is_sidecar and status.get("started"):
            ready += bool(status.get("ready"))
            continue
        if terminated is not None:
            reason = terminated.get("reason") or _exit(terminated)
        elif waiting and waiting != "PodInitializing":
            reason = waiting
        else:
            reason = f"{index}/{len(at(pod, 'spec', 'initContainers', default=()))}"
        return f"Init:{reason}", ready, everything, of_sidecars
    return "", ready, everything, of_sidecars


def _cells(pod: Obj, ages: Ages) -> list[Any]:
    spec, status = at(pod, "spec", default={}), at(pod, "status", default={})
    phase = status.get("phase", "")
    reason = status.get("reason") or phase
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    init = spec.get("initContainers") or ()
    sidecars = {container.get("name") for container in init if container.get("restartPolicy") == "Always"}
    total = len(spec.get("containers") or ()) + len(sidecars)

    initializing, ready, restarts, of_sidecars = _initialization(pod, sidecars)
    reason = initializing or reason
    if not initializing or condition_status(pod, "Initialized") == "True":
        restarts = of_sidecars
        running, failure = False, ""
        for container in reversed(status.get("containerStatuses") or ()):
            restarts.add(container)
            state = container.get("state") or {}
            terminated, waiting = state.get("terminated"), at(state, "waiting", "reason", default="")
            if waiting:
                reason = waiting
            elif terminated is not None:
                reason = terminated.get("reason") or _exit(terminated)
                failure = reason if terminated.get("exitCode") else failure
            elif container.get("ready") and state.get("running") is not None:
                running = True
                ready += 1
        if reason == "Completed":
            if running and condition_status(pod, "Ready") == "True":
                reason = "Running"
            else:
                reason = failure or ("NotReady" if running else reason)

    if deleting(pod):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            reason = "Terminating"
    ips = status.get("podIPs") or ()
    return [
        name_of(pod),
        f"{ready}/{total}",
        reason,
        restarts.text(ages),
        ages(created(pod)),
        (ips[0].get("ip") if ips else status.get("podIP")) or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _readiness_gates(pod),
    ]


def _readiness_gates(pod: Obj) -> str:
    gates = at(pod, "spec", "readinessGates", default=())
    if not gates:
        return NONE
    return f"{sum(condition_status(pod, gate.get('conditionType', '')) == 'True' for gate in gates)}/{len(gates)}"


_FINISHED = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}


def _conditions(pod: Obj) -> list[dict[str, str]]:
    phase = at(pod, "status", "phase", default="")
    message = _FINISHED.get(phase)
    return [{"type": "Completed", "status": "True", "reason": phase, "message": message}] if message else []


def _template_cells(obj: Obj, ages: Ages) -> list[Any]:
    containers = at(obj, "template", "spec", "containers", default=())
    return [name_of(obj), *images(containers), labels_text(at(obj, "template", "metadata", "labels"))]


PRINTERS = {
    "Pod": Printer(_COLUMNS, _cells, _conditions),
    "PodTemplate": Printer(
        (
            NAME,
            Column("Containers", "Names of each container in the template."),
            Column("Images", "Images referenced by each container in the template."),
            Column("Pod Labels", "The labels for the pod template."),
        ),
        _template_cells,
    ),
}
