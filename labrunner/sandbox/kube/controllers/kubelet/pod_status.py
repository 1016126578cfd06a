"""A pod's status as its kubelet writes it: phase, conditions, container statuses, QoS class.

Source: k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go (getPhase) and pkg/kubelet/status/generate.go.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.controllers import conditions, quantity
from labrunner.sandbox.kube.controllers.kubelet.record import Record, State, Worker, is_sidecar
from labrunner.sandbox.kube.controllers.kubelet.runtime import Container
from labrunner.sandbox.kube.controllers.meta import timestamp

_OWN_CONDITIONS = {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}


def render(pod: Obj, worker: Worker, host_ip: str, now: float) -> dict[str, Any]:
    """The whole status; conditions of others (readiness gates, disruption targets) are kept."""
    before = pod.get("status") or {}
    spec = pod["spec"]
    status: dict[str, Any] = {}
    generation = pod["metadata"].get("generation")
    if generation:
        status["observedGeneration"] = generation
    status["phase"] = (worker.evicted and "Failed") or phase(pod, worker)
    status["conditions"] = _conditions(pod, worker, status["phase"], now)
    if worker.evicted:
        status["reason"], status["message"] = worker.evicted
    status["hostIP"], status["hostIPs"] = host_ip, [{"ip": host_ip}]
    ip = host_ip if spec.get("hostNetwork") else worker.ip
    if ip:
        status["podIP"], status["podIPs"] = ip, [{"ip": ip}]
    status["startTime"] = timestamp(worker.started_at)
    for part, key in (
        ("initContainers", "initContainerStatuses"),
        ("containers", "containerStatuses"),
        ("ephemeralContainers", "ephemeralContainerStatuses"),
    ):
        if spec.get(part):
            status[key] = [_container(container, worker.record(container["name"])) for container in spec[part]]
            for entry in status[key] if part == "ephemeralContainers" else ():
                entry["ready"] = False  # readiness is of no account there
                entry.pop("started")
    status["qosClass"] = qos_class(pod)
    for key in ("nominatedNodeName", "resize"):
        if before.get(key):
            status[key] = before[key]
    return status


def _container(container: Container, record: Record) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": record.name,
        "state": _stamped(record.state()),
        "lastState": _stamped({"terminated": record.last}) if record.last else {},
        "ready": record.ready,
        "restartCount": record.restarts,
        "image": record.image or container.get("image", ""),
        "imageID": record.image_id,
        "started": record.started,
    }
    if record.container_id:
        entry["containerID"] = record.container_id
    resources = container.get("resources") or {}
    if record.running_since is not None:
        entry["resources"] = resources
        if resources.get("requests"):
            entry["allocatedResources"] = resources["requests"]
    mounts = [
        {k: v for k, v in mount.items() if k in ("name", "mountPath", "readOnly")}
        | ({"recursiveReadOnly": "Disabled"} if mount.get("readOnly") else {})
        for mount in container.get("volumeMounts") or ()
    ]
    if mounts:
        entry["volumeMounts"] = mounts
    return entry


def _stamped(state: State) -> State:
    return {
        kind: {k: timestamp(v) if k.endswith("At") else v for k, v in detail.items()} for kind, detail in state.items()
    }


def phase(pod: Obj, worker: Worker) -> str:
    spec = pod["spec"]
    policy = spec.get("restartPolicy", "Always")
    for container in spec.get("initContainers") or ():
        record = worker.record(container["name"])
        if is_sidecar(container):
            if not record.started and not record.has_ended() and record.last is None:
                return "Pending"
        elif record.terminated is None or record.terminated["exitCode"] != 0:
            failed = record.terminated is not None and policy == "Never"
            return "Failed" if failed else "Pending"
    running = stopped = succeeded = 0
    for container in spec.get("containers") or ():
        record = worker.record(container["name"])
        if record.running_since is not None:
            running += 1
        elif ended := record.terminated or record.last:
            stopped += 1
            succeeded += ended["exitCode"] == 0
        else:
            return "Pending"
    if running:
        return "Running"
    if policy == "Always" and worker.stopping_since is None:
        return "Running"
    if stopped == succeeded:
        return "Succeeded"
    return "Failed" if policy == "Never" or worker.stopping_since is not None else "Running"


def _conditions(pod: Obj, worker: Worker, phase_: str, now: float) -> list[dict[str, Any]]:
    before = (pod.get("status") or {}).get("conditions") or []
    generation = pod["metadata"].get("generation")
    extra = {"observedGeneration": generation} if generation else {}
    entries = list(before)

    def put(type_: str, ok: bool, reason: str = "", message: str = "") -> None:
        nonlocal entries
        entries = conditions.put(
            entries, now, type_, "True" if ok else "False", reason if not ok or reason == "PodCompleted" else "",
            message if not ok else "", **extra,
        )  # fmt: skip

    done = phase_ in ("Succeeded", "Failed")
    put("PodReadyToStartContainers", bool(worker.ip) and not done)
    incomplete = [c["name"] for c in pod["spec"].get("initContainers") or () if not _init_done(c, worker)]
    if phase_ == "Succeeded":
        put("Initialized", True, "PodCompleted")
    else:
        put("Initialized", not incomplete, "ContainersNotInitialized",
            f"containers with incomplete status: [{' '.join(incomplete)}]")  # fmt: skip
    unready = [
        c["name"]
        for c in [*(pod["spec"].get("initContainers") or ()), *(pod["spec"].get("containers") or ())]
        if (is_sidecar(c) or c in pod["spec"]["containers"]) and not worker.record(c["name"]).ready
    ]
    why = ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    if done:
        why = ("PodCompleted" if phase_ == "Succeeded" else "PodFailed", "")
    ready = not unready and not done
    gates = [g["conditionType"] for g in pod["spec"].get("readinessGates") or ()]
    closed = [g for g in gates if not conditions.is_true(before, g)]
    if ready and closed:
        words = "; ".join(
            f'the status of pod readiness gate "{g}" is not "True", but '
            f"{(conditions.find(before, g) or {'status': 'False'})['status']}"
            if conditions.find(before, g)
            else f'corresponding condition of pod readiness gate "{g}" does not exist.'
            for g in closed
        )
        put("Ready", False, "ReadinessGatesNotReady", words)
    else:
        put("Ready", ready, *why)
    put("ContainersReady", ready, *why)
    put("PodScheduled", True)
    order = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
    own = {c["type"]: c for c in entries if c["type"] in _OWN_CONDITIONS}
    others = [c for c in entries if c["type"] not in _OWN_CONDITIONS]
    return [*others, *(own[type_] for type_ in order)]


def _init_done(container: Container, worker: Worker) -> bool:
    record = worker.record(container["name"])
    if is_sidecar(container):
        return record.started
    return record.terminated is not None and record.terminated["exitCode"] == 0


def qos_class(pod: Obj) -> str:
    """Guaranteed, Burstable or BestEffort. Source: pkg/apis/core/v1/helper/qos."""
    guaranteed, anything = True, False
    for container in [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]:
        resources = container.get("resources") or {}
        limits = {k: quantity.parse(v) for k, v in (resources.get("limits") or {}).items() if k in ("cpu", "memory")}
        requests = {
            k: quantity.parse(v) for k, v in (resources.get("requests") or {}).items() if k in ("cpu", "memory")
        }
        requests = {**limits, **requests}
        anything = anything or any(requests.values()) or any(limits.values())
        guaranteed = guaranteed and set(limits) == {"cpu", "memory"} and requests == limits
    if not anything:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"
