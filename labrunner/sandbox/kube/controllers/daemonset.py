"""DaemonSet: one pod on each node that will have it.

Source: k8s.io/kubernetes/pkg/controller/daemon (daemon_controller.go, update.go).
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers import revisions
from labrunner.sandbox.kube.controllers.claims import Orphans, claimed_pods
from labrunner.sandbox.kube.controllers.meta import (
    created_at,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    owner_key,
    with_status,
)
from labrunner.sandbox.kube.controllers.pod import (
    available_in,
    create_for,
    delete_for,
    from_template,
    is_finished,
    is_ready,
    phase_of,
)
from labrunner.sandbox.kube.controllers.quantity import int_or_percent
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.controllers.scheduler import tolerated
from labrunner.sandbox.kube.controllers.selectors import node_term_matches

COMPONENT = "daemonset-controller"
_ALWAYS_TOLERATED = [
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/pid-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"},
]


class DaemonSetController:
    name = "daemonset"
    watches: tuple[str, ...] = ("apps/DaemonSet", "Pod", "Node")

    def __init__(self) -> None:
        self._orphans = Orphans()
        self._all: set[Key] = set()

    def keys(self, change: Change) -> list[Key]:
        if change.kind == "apps/DaemonSet":
            self._orphans.note_owner(change, change.obj["spec"].get("selector"))
            key = key_of(change.obj)
            (self._all.discard if change.type == "DELETED" else self._all.add)(key)
            return [key]
        if change.kind == "Node":
            same = change.old is not None and _node_face(change.old) == _node_face(change.obj)
            return [] if same else list(self._all)
        return owner_key(change.obj, "apps/DaemonSet") + self._orphans.note_pod(change)

    def reconcile(self, api: Api, key: Key) -> float | None:
        owner = api.get("apps/DaemonSet", key[1], key[0])
        if owner is None:
            return None
        pods = claimed_pods(api, owner, owner["spec"].get("selector"), self._orphans)
        revision, history = revisions.current(api, owner)
        hash_ = revisions.hash_of(revision)
        nodes = api.objects("Node")
        by_node: dict[str, list[Obj]] = {}
        for pod in pods:
            by_node.setdefault(target_node(pod), []).append(pod)
        should = {name_of(node): runs_on(owner, node) for node in nodes}
        if not is_deleting(owner):
            self._manage(api, owner, by_node, should, hash_)
            self._roll(api, owner, by_node, should, hash_)
            hashes = {labels_of(pod).get(revisions.HASH_LABEL) for pod in pods}
            live = {name_of(r) for r in history if revisions.hash_of(r) in hashes} | {name_of(revision)}
            revisions.truncate(api, owner, history, live)
        by_node = {}
        for pod in claimed_pods(api, owner, owner["spec"].get("selector"), self._orphans):
            by_node.setdefault(target_node(pod), []).append(pod)
        return self._write_status(api, owner, by_node, should, hash_)

    def _manage(self, api: Api, owner: Obj, by_node: dict[str, list[Obj]], should: dict[str, bool], hash_: str) -> None:
        for node, wanted in should.items():
            pods = by_node.get(node, [])
            if not wanted:
                for pod in pods:
                    if not is_deleting(pod):
                        delete_for(api, owner, pod, component=COMPONENT)
                continue
            for pod in pods:
                if phase_of(pod) == "Failed" and not is_deleting(pod):
                    message = (
                        f"Found failed daemon pod {key_of(pod)[0]}/{name_of(pod)} on node {node}, will try to kill it"
                    )
                    api.record_event(owner, "Warning", "FailedDaemonPod", message, component=COMPONENT)
                    delete_for(api, owner, pod, component=COMPONENT)
            running = [pod for pod in pods if not is_finished(pod) and not is_deleting(pod)]
            for pod in sorted(running, key=created_at)[1:]:
                delete_for(api, owner, pod, component=COMPONENT)
            if not pods:
                create_for(api, owner, _pod(owner, node, hash_), component=COMPONENT)

    def _roll(self, api: Api, owner: Obj, by_node: dict[str, list[Obj]], should: dict[str, bool], hash_: str) -> None:
        strategy = owner["spec"].get("updateStrategy") or {}
        if strategy.get("type", "RollingUpdate") != "RollingUpdate":
            return
        wanted = [node for node, yes in should.items() if yes]
        limit = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1)
        most = max(1, int_or_percent(limit, len(wanted), round_up=True))
        outdated, unavailable = [], 0
        for node in wanted:
            alive = [pod for pod in by_node.get(node, []) if not is_finished(pod)]
            usable = [pod for pod in alive if is_ready(pod) and not is_deleting(pod)]
            if not usable:
                unavailable += 1
            outdated += [
                pod for pod in alive if labels_of(pod).get(revisions.HASH_LABEL) != hash_ and not is_deleting(pod)
            ]
        for pod in sorted(outdated, key=is_ready):
            if is_ready(pod):
                if unavailable >= most:
                    return
                unavailable += 1
            delete_for(api, owner, pod, component=COMPONENT)

    def _write_status(
        self, api: Api, owner: Obj, by_node: dict[str, list[Obj]], should: dict[str, bool], hash_: str
    ) -> float | None:
        desired = current = missed = ready = available = updated = 0
        min_ready, waits = int(owner["spec"].get("minReadySeconds") or 0), []
        for node, wanted in should.items():
            pods = [pod for pod in by_node.get(node, []) if not is_finished(pod)]
            desired += wanted
            if pods and not wanted:
                missed += 1
            if pods and wanted:
                current += 1
                oldest = min(pods, key=created_at)
                wait = available_in(oldest, min_ready, api.now())
                waits.append(wait)
                ready += is_ready(oldest)
                available += wait == 0.0
                updated += labels_of(oldest).get(revisions.HASH_LABEL) == hash_
        status: dict[str, Any] = {
            "currentNumberScheduled": current,
            "numberMisscheduled": missed,
            "desiredNumberScheduled": desired,
            "numberReady": ready,
            "observedGeneration": owner["metadata"].get("generation", 1),
        }
        numbers = {
            "updatedNumberScheduled": updated,
            "numberAvailable": available,
            "numberUnavailable": desired - available,
        }
        status |= {k: v for k, v in numbers.items() if v}
        if status != owner.get("status"):
            api.update_status(with_status(owner, status), manager="kube-controller-manager")
        later = [wait for wait in waits if wait]
        return min(later) if later else None


def _node_face(node: Obj) -> tuple[Any, ...]:
    return labels_of(node), node["spec"]


def runs_on(owner: Obj, node: Obj) -> bool:
    """Whether the node should have this daemon: name, selector, affinity and taints."""
    spec = (owner["spec"].get("template") or {}).get("spec") or {}
    labels = labels_of(node)
    if spec.get("nodeName") and spec["nodeName"] != name_of(node):
        return False
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None:
        terms = required.get("nodeSelectorTerms") or ()
        if not any(node_term_matches(term, labels, name_of(node)) for term in terms):
            return False
    tolerations = [*(spec.get("tolerations") or ()), *_ALWAYS_TOLERATED]
    return all(
        tolerated(taint, tolerations)
        for taint in node["spec"].get("taints") or ()
        if taint.get("effect") in ("NoSchedule", "NoExecute")
    )


def target_node(pod: Obj) -> str:
    """The node a daemon pod is on or meant for."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for match in term.get("matchFields") or ():
            return str(match["values"][0])
    return ""


def _pod(owner: Obj, node: str, hash_: str) -> Obj:
    pod = from_template(owner["spec"]["template"], owner)
    pod["metadata"].setdefault("labels", {})[revisions.HASH_LABEL] = hash_
    spec = pod["spec"]
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    affinity = {**(spec.get("affinity") or {})}
    on_node = dict(affinity.get("nodeAffinity") or {})
    required = on_node.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    given: list[dict[str, Any]] = required.get("nodeSelectorTerms") or [{}]
    terms = [{**term, "matchFields": [field]} for term in given]
    on_node["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
    spec["affinity"] = affinity | {"nodeAffinity": on_node}
    spec["tolerations"] = [*(spec.get("tolerations") or ()), *_ALWAYS_TOLERATED]
    return pod
