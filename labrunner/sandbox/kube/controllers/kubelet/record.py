"""What the kubelet remembers of a pod and its containers, and how that is read back from a status after a restart."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from typing import Any

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.controllers.kubelet.runtime import Container, Run
from labrunner.sandbox.kube.controllers.meta import seconds, uid_of

State = dict[str, Any]
FIRST_BACK_OFF, LONGEST_BACK_OFF = 10.0, 300.0
"""Seconds; doubled at each failure. Source: pkg/kubelet/kubelet.go."""


@dataclass
class Record:
    """One container: its state as statuses show it, and what the kubelet plans with it."""

    name: str
    waiting: tuple[str, str] = ("ContainerCreating", "")
    """(reason, message), while it neither runs nor has ended."""
    running_since: float | None = None
    terminated: State | None = None
    last: State | None = None
    restarts: int = 0
    image: str = ""
    image_id: str = ""
    container_id: str = ""
    started: bool = False
    ready: bool = False
    run: Run | None = None
    pulled: bool = False
    pull_failures: int = 0
    crashes: int = 0
    retry_at: float = 0.0
    """When a back-off ends; 0 when none is running."""
    probes: dict[str, ProbeRecord] = field(default_factory=dict)
    attempt: int = 0
    """Counts starts, so that timers of an earlier run mean nothing to a later one."""
    hook_failed: bool = False
    """The postStart handler of this run did not succeed."""

    def has_ended(self) -> bool:
        return self.terminated is not None

    def state(self) -> State:
        if self.running_since is not None:
            return {"running": {"startedAt": self.running_since}}
        if self.terminated is not None:
            return {"terminated": self.terminated}
        reason, message = self.waiting
        return {"waiting": {"reason": reason, **({"message": message} if message else {})}}

    def wait(self, reason: str, message: str = "") -> None:
        """Show as waiting; what ended before becomes `lastState`."""
        if self.terminated is not None:
            self.last, self.terminated = self.terminated, None
        self.waiting = (reason, message)


@dataclass
class ProbeRecord:
    """One probe's run of results."""

    due_at: float = 0.0
    failures: int = 0
    successes: int = 0
    settled: bool = False
    """Its outcome will not change by itself."""


@dataclass
class Worker:
    """One pod on its node."""

    uid: str
    records: dict[str, Record] = field(default_factory=dict)
    ip: str = ""
    started_at: float = 0.0
    mounted: bool = False
    mount_failures: int = 0
    mount_problem: str = ""
    mount_at: float = 0.0
    stopping_since: float | None = None
    passed: set[str] = field(default_factory=set)
    """Timers that went off."""
    pending: set[str] = field(default_factory=set)
    hooks: set[str] = field(default_factory=set)
    """Containers whose preStop handler is at work."""
    evicted: tuple[str, str] | None = None
    """(reason, message) of a pod that the kubelet ended."""

    def record(self, name: str) -> Record:
        return self.records.setdefault(name, Record(name))


def containers_of(pod: Obj) -> list[tuple[str, Container]]:
    """(list name, container) of all containers, in starting order."""
    spec = pod["spec"]
    return [
        (part, container)
        for part in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(part) or ()
    ]


def is_sidecar(container: Container) -> bool:
    return container.get("restartPolicy") == "Always"


def new_container_id() -> str:
    return f"containerd://{random.getrandbits(256):064x}"


def image_id(repository: str, reference: str) -> str:
    return f"{repository}@sha256:{hashlib.sha256(reference.encode()).hexdigest()}"


def restore(pod: Obj) -> Worker:
    """The worker of a pod that ran before this process started."""
    status = pod.get("status") or {}
    worker = Worker(uid_of(pod), started_at=seconds(status.get("startTime")), ip=status.get("podIP", ""))
    worker.mounted = bool(worker.ip)
    for part in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for entry in status.get(part) or ():
            worker.records[entry["name"]] = _restored(entry)
    return worker


def _restored(entry: dict[str, Any]) -> Record:
    state = entry.get("state") or {}
    record = Record(
        entry["name"],
        restarts=int(entry.get("restartCount") or 0),
        image=entry.get("image", ""),
        image_id=entry.get("imageID", ""),
        container_id=entry.get("containerID", ""),
        started=bool(entry.get("started")),
        ready=bool(entry.get("ready")),
        last=_times((entry.get("lastState") or {}).get("terminated")),
    )
    record.crashes = record.restarts
    record.attempt = record.restarts + 1
    if "running" in state:
        record.running_since = seconds(state["running"].get("startedAt"))
        record.pulled = True
    elif "terminated" in state:
        record.terminated = _times(state["terminated"])
    elif "waiting" in state:
        record.waiting = (state["waiting"].get("reason", ""), state["waiting"].get("message", ""))
        if record.last is not None and record.waiting[0] == "CrashLoopBackOff":
            record.terminated, record.last = record.last, None
    return record


def _times(state: State | None) -> State | None:
    if not state:
        return None
    return {k: seconds(v) if k.endswith("At") else v for k, v in state.items()}
