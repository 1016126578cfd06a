"""The scheduler: finds each pod a node, or says why there is none.

Filters and their sentences: k8s.io/kubernetes/pkg/scheduler/framework/plugins; the summary: framework/types.go
(FitError) and preemption.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers import conditions, quantity
from labrunner.sandbox.kube.controllers.meta import (
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    with_status,
)
from labrunner.sandbox.kube.controllers.pod import is_finished
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.controllers.selectors import matches, node_term_matches

COMPONENT = "default-scheduler"
_NOT_HELPFUL = "Preemption is not helpful for scheduling"
_NO_VICTIMS = "No preemption victims found for incoming pod"
Requests = dict[str, Decimal]


class SchedulerController:
    name = "scheduler"
    watches: tuple[str, ...] = ("Pod", "Node", "PersistentVolumeClaim")

    def __init__(self) -> None:
        self._waiting: set[Key] = set()
        self._usage: dict[str, Requests] = {}
        self._placed: dict[Key, tuple[str, Requests]] = {}

    def keys(self, change: Change) -> list[Key]:
        key = key_of(change.obj)
        if change.kind != "Pod":
            return list(self._waiting)
        before = self._placed.get(key)
        gone = change.type == "DELETED" or is_finished(change.obj)
        self._account(key, None if gone else change.obj)
        if gone:
            self._waiting.discard(key)
            return list(self._waiting) if before else []
        return [] if change.obj["spec"].get("nodeName") else [key]

    def _account(self, key: Key, pod: Obj | None) -> None:
        """Keep each node's usage; `None`: the pod no longer uses anything."""
        node = pod["spec"].get("nodeName", "") if pod else ""
        if key in self._placed and self._placed[key][0] == node:
            return
        if placed := self._placed.pop(key, None):
            for name, amount in placed[1].items():
                self._usage[placed[0]][name] -= amount
        if pod and node:
            wants = requests_of(pod)
            usage = self._usage.setdefault(node, {})
            for name, amount in wants.items():
                usage[name] = usage.get(name, Decimal(0)) + amount
            self._placed[key] = (node, wants)

    def reconcile(self, api: Api, key: Key) -> float | None:
        pod = api.get("Pod", key[1], key[0])
        if pod is None or pod["spec"].get("nodeName") or is_deleting(pod) or is_finished(pod):
            self._waiting.discard(key)
            return None
        if pod["spec"].get("schedulerName", COMPONENT) != COMPONENT:
            return None
        if pod["spec"].get("schedulingGates"):
            self._refuse(api, pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
            return None
        nodes = api.objects("Node")
        if not nodes:
            self._fail(api, key, pod, "no nodes available to schedule pods")
            return None
        volumes = unbound_claim(api, pod)
        if volumes:
            summary = f"0/{len(nodes)} nodes are available: {volumes}. {_preemption(len(nodes), {})}"
            self._fail(api, key, pod, summary)
            return None
        wants, fits, reasons, hopeful = requests_of(pod), [], Counter[str](), Counter[str]()
        for node in nodes:
            refused, can_preempt = self._filter(api, pod, node, wants)
            if not refused:
                fits.append(node)
            reasons.update(refused)
            if refused:
                hopeful[_NO_VICTIMS if can_preempt else _NOT_HELPFUL] += 1
        if not fits:
            listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
            summary = f"0/{len(nodes)} nodes are available: {listed}. {_preemption(len(nodes), hopeful)}"
            self._fail(api, key, pod, summary)
            return None
        best = min(fits, key=lambda node: self._score(node, pod))
        bound = api.bind(name_of(pod), namespace_of(pod), name_of(best))
        self._waiting.discard(key)
        self._account(key, bound)
        message = f"Successfully assigned {namespace_of(pod)}/{name_of(pod)} to {name_of(best)}"
        api.record_event(bound, "Normal", "Scheduled", message, component=COMPONENT)
        return None

    def _score(self, node: Obj, pod: Obj) -> tuple[Any, ...]:
        """The emptiest node that the pod prefers."""
        usage, preferred = self._usage.get(name_of(node), {}), 0
        affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
        for term in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            if node_term_matches(term.get("preference") or {}, labels_of(node), name_of(node)):
                preferred += int(term.get("weight", 1))
        return (-preferred, usage.get("pods", Decimal(0)), usage.get("cpu", Decimal(0)), name_of(node))

    def _filter(self, api: Api, pod: Obj, node: Obj, wants: Requests) -> tuple[list[str], bool]:
        """Why the node will not do (empty: it will), and whether evicting others could help."""
        spec = pod["spec"]
        for check in _CHECKS:
            if reason := check(spec, node):
                return [reason], False
        anti = anti_affinity(api, pod, node)
        if anti:
            return [anti], anti != "node(s) didn't match pod affinity rules"
        usage = self._usage.get(name_of(node), {})
        offered = (node.get("status") or {}).get("allocatable") or {}
        short, possible = [], True
        for name, amount in wants.items():
            limit = quantity.parse(offered.get(name, 0))
            if amount and usage.get(name, Decimal(0)) + amount > limit:
                short.append("Too many pods" if name == "pods" else f"Insufficient {name}")
                possible = possible and amount <= limit
        return short, possible

    def _fail(self, api: Api, key: Key, pod: Obj, message: str) -> None:
        self._waiting.add(key)
        if self._refuse(api, pod, "Unschedulable", message):
            api.record_event(pod, "Warning", "FailedScheduling", message, component=COMPONENT)

    def _refuse(self, api: Api, pod: Obj, reason: str, message: str) -> bool:
        status = dict(pod.get("status") or {})
        current = conditions.find(status.get("conditions"), "PodScheduled")
        if current and current.get("reason") == reason and current.get("message") == message:
            return False
        status.setdefault("phase", "Pending")
        status["conditions"] = conditions.put(
            status.get("conditions"), api.now(), "PodScheduled", "False", reason, message
        )
        api.update_status(with_status(pod, status), manager="kube-scheduler")
        return True


def _preemption(nodes: int, hopeful: dict[str, int]) -> str:
    counts = hopeful or {_NOT_HELPFUL: nodes}
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    return f"no new claims to deallocate, preemption: 0/{nodes} nodes are available: {listed}."


def requests_of(pod: Obj) -> Requests:
    """What the pod needs: the sum of its containers (and sidecars) or its largest init container, and one pod slot."""
    spec = pod["spec"]
    amounts: dict[str, Decimal] = {}
    for container in spec.get("containers") or ():
        for name, amount in _requests(container).items():
            amounts[name] = amounts.get(name, Decimal(0)) + amount
    beside: dict[str, Decimal] = {}
    peak: dict[str, Decimal] = {}
    for container in spec.get("initContainers") or ():
        wants = _requests(container)
        for name, amount in wants.items():
            if container.get("restartPolicy") == "Always":
                beside[name] = beside.get(name, Decimal(0)) + amount
            peak[name] = max(peak.get(name, Decimal(0)), beside.get(name, Decimal(0)) + amount)
    result = {
        name: max(amounts.get(name, Decimal(0)) + beside.get(name, Decimal(0)), peak.get(name, Decimal(0)))
        for name in {*amounts, *beside, *peak}
    }
    for name, amount in (spec.get("overhead") or {}).items():
        result[name] = result.get(name, Decimal(0)) + quantity.parse(amount)
    return result | {"pods": Decimal(1)}


def _requests(container: dict[str, Any]) -> Requests:
    resources = container.get("resources") or {}
    merged = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantity.parse(amount) for name, amount in merged.items()}


def _unschedulable(spec: dict[str, Any], node: Obj) -> str:
    if not node["spec"].get("unschedulable"):
        return ""
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    return "" if tolerated(taint, spec.get("tolerations")) else "node(s) were unschedulable"


def _taints(spec: dict[str, Any], node: Obj) -> str:
    for taint in node["spec"].get("taints") or ():
        repels = taint.get("effect") in ("NoSchedule", "NoExecute")
        if taint["key"] == "node.kubernetes.io/unschedulable":
            continue
        if repels and not tolerated(taint, spec.get("tolerations")):
            return "node(s) had untolerated taint(s)"
    return ""


def _affinity(spec: dict[str, Any], node: Obj) -> str:
    labels = labels_of(node)
    chosen = all(labels.get(key) == value for key, value in (spec.get("nodeSelector") or {}).items())
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if chosen and required is not None:
        terms = required.get("nodeSelectorTerms") or ()
        chosen = any(node_term_matches(term, labels, name_of(node)) for term in terms)
    return "" if chosen else "node(s) didn't match Pod's node affinity/selector"


_CHECKS: tuple[Callable[[dict[str, Any], Obj], str], ...] = (_unschedulable, _taints, _affinity)


def tolerated(taint: dict[str, Any], tolerations: list[dict[str, Any]] | None) -> bool:
    """v1.Toleration.ToleratesTaint for any of them."""
    for toleration in tolerations or ():
        if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
            continue
        if toleration.get("key") and toleration["key"] != taint["key"]:
            continue
        operator = toleration.get("operator") or "Equal"
        if operator == "Exists" or (toleration.get("key") and toleration.get("value", "") == taint.get("value", "")):
            return True
    return False


def anti_affinity(api: Api, pod: Obj, node: Obj) -> str:
    """Required inter-pod affinity and anti-affinity."""
    affinity = pod["spec"].get("affinity") or {}
    rule = "requiredDuringSchedulingIgnoredDuringExecution"
    for term in (affinity.get("podAffinity") or {}).get(rule) or ():
        if not _domain_has(api, pod, node, term) and not (
            matches(term.get("labelSelector"), labels_of(pod)) and not _anywhere(api, pod, term)
        ):
            return "node(s) didn't match pod affinity rules"
    for term in (affinity.get("podAntiAffinity") or {}).get(rule) or ():
        if _domain_has(api, pod, node, term):
            return "node(s) didn't match pod anti-affinity rules"
    return ""


def _term_pods(api: Api, pod: Obj, term: dict[str, Any]) -> list[Obj]:
    found = []
    for namespace in term.get("namespaces") or [namespace_of(pod)]:
        for other in api.objects("Pod", namespace):
            placed = other["spec"].get("nodeName") and not is_finished(other)
            if placed and matches(term.get("labelSelector"), labels_of(other)):
                found.append(other)
    return found


def _anywhere(api: Api, pod: Obj, term: dict[str, Any]) -> bool:
    return bool(_term_pods(api, pod, term))


def _domain_has(api: Api, pod: Obj, node: Obj, term: dict[str, Any]) -> bool:
    key = term.get("topologyKey", "kubernetes.io/hostname")
    domain = labels_of(node).get(key)
    if domain is None:
        return False
    for other in _term_pods(api, pod, term):
        host = api.get("Node", other["spec"]["nodeName"])
        if host is not None and labels_of(host).get(key) == domain:
            return True
    return False


def unbound_claim(api: Api, pod: Obj) -> str:
    """Why the pod's claims keep it from being placed, or nothing."""
    for volume in pod["spec"].get("volumes") or ():
        source = volume.get("persistentVolumeClaim")
        name = source.get("claimName", "") if source else ""
        if volume.get("ephemeral"):
            name = f"{name_of(pod)}-{volume['name']}"
            source = volume["ephemeral"]
        if not source:
            continue
        claim = api.get("PersistentVolumeClaim", name, namespace_of(pod))
        if claim is None:
            return f'persistentvolumeclaim "{name}" not found'
        if is_deleting(claim):
            return f'persistentvolumeclaim "{name}" is being deleted'
        if not claim["spec"].get("volumeName") and not _waits_for_consumer(api, claim):
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def _waits_for_consumer(api: Api, claim: Obj) -> bool:
    storage_class = api.get("storage.k8s.io/StorageClass", claim["spec"].get("storageClassName") or "")
    return bool(storage_class) and (storage_class or {}).get("volumeBindingMode") == "WaitForFirstConsumer"
