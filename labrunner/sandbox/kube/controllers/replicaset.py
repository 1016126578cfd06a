"""ReplicaSet and ReplicationController: as many pods as were asked for.

Source: k8s.io/kubernetes/pkg/controller/replicaset (replica_set.go, replica_set_utils.go) and controller_utils.go
(ActivePodsWithRanks).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers import conditions
from labrunner.sandbox.kube.controllers.claims import Orphans, claimed_pods
from labrunner.sandbox.kube.controllers.meta import (
    annotations_of,
    created_at,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    owner_key,
    seconds,
    with_status,
)
from labrunner.sandbox.kube.controllers.pod import (
    Template,
    available_in,
    create_for,
    delete_for,
    from_template,
    is_active,
    is_finished,
    is_ready,
    phase_of,
)
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.controllers.selectors import matches
from labrunner.sandbox.kube.status import ApiError

BURST = 500
"""Most pods created or deleted in one look."""
_PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


class ReplicaSetController:
    name = "replicaset"
    component = "replicaset-controller"
    kind = "apps/ReplicaSet"
    watches: tuple[str, ...] = ("apps/ReplicaSet", "Pod")

    def __init__(self) -> None:
        self._orphans = Orphans()

    def keys(self, change: Change) -> list[Key]:
        if change.kind == self.kind:
            self._orphans.note_owner(change, self.selector(change.obj))
            return [key_of(change.obj)]
        found = owner_key(change.obj, self.kind) + self._orphans.note_pod(change)
        if change.old is not None and (before := owner_key(change.old, self.kind)) != found:
            found = [*found, *before]
        return found

    def selector(self, owner: Obj) -> dict[str, Any] | None:
        selector: dict[str, Any] | None = owner["spec"].get("selector")
        return selector

    def template(self, owner: Obj) -> Template:
        template: Template = owner["spec"].get("template") or {}
        return template

    def reconcile(self, api: Api, key: Key) -> float | None:
        owner = api.get(self.kind, key[1], key[0])
        if owner is None:
            return None
        selector = self.selector(owner)
        pods = claimed_pods(api, owner, selector, self._orphans)
        failure: ApiError | None = None
        if not is_deleting(owner):
            try:
                pods = self._manage(api, owner, pods)
            except ApiError as error:
                failure = error
                pods = claimed_pods(api, owner, selector, self._orphans)
        wait = self._write_status(api, owner, pods, failure)
        if failure is not None:
            raise failure
        return wait

    def _manage(self, api: Api, owner: Obj, pods: list[Obj]) -> list[Obj]:
        active = [pod for pod in pods if is_active(pod)]
        want = owner["spec"].get("replicas")
        difference = len(active) - (1 if want is None else int(want))
        if difference < 0:
            template = self.template(owner)
            created = [
                create_for(api, owner, from_template(template, owner), component=self.component)
                for _ in range(min(-difference, BURST))
            ]
            return [*pods, *created]
        if difference > 0:
            chosen = to_delete(active, difference)
            for pod in chosen[:BURST]:
                delete_for(api, owner, pod, component=self.component)
            return claimed_pods(api, owner, self.selector(owner), self._orphans)
        return pods

    def _write_status(self, api: Api, owner: Obj, pods: list[Obj], failure: ApiError | None) -> float | None:
        before = owner.get("status") or {}
        now, min_ready = api.now(), int(owner["spec"].get("minReadySeconds") or 0)
        active = [pod for pod in pods if is_active(pod)]
        waits = [available_in(pod, min_ready, now) for pod in active]
        wanted_labels = (self.template(owner).get("metadata") or {}).get("labels") or {}
        numbers = {
            "fullyLabeledReplicas": sum(matches({"matchLabels": wanted_labels}, labels_of(pod)) for pod in active),
            "readyReplicas": sum(is_ready(pod) for pod in active),
            "availableReplicas": sum(wait == 0.0 for wait in waits),
        }
        status: dict[str, Any] = {"replicas": len(active)} | {k: v for k, v in numbers.items() if v}
        status["observedGeneration"] = owner["metadata"].get("generation", 1)
        if self.kind == "apps/ReplicaSet":
            status["terminatingReplicas"] = sum(is_deleting(pod) and not is_finished(pod) for pod in pods)
        entries = conditions.drop(before.get("conditions"), "ReplicaFailure")
        if failure is not None and conditions.find(before.get("conditions"), "ReplicaFailure"):
            entries = list(before["conditions"])
        elif failure is not None:
            entries = conditions.put(
                before.get("conditions"), now, "ReplicaFailure", "True", "FailedCreate", failure.message
            )
        if entries:
            status["conditions"] = entries
        if status != before:
            api.update_status(with_status(owner, status), manager="kube-controller-manager")
        later = [wait for wait in waits if wait]
        return min(later) if later else None


class ReplicationControllerController(ReplicaSetController):
    name = "replication"
    component = "replication-controller"
    kind = "ReplicationController"
    watches: tuple[str, ...] = ("ReplicationController", "Pod")

    def selector(self, owner: Obj) -> dict[str, Any] | None:
        return {"matchLabels": owner["spec"].get("selector") or {}}


def to_delete(pods: list[Obj], count: int) -> list[Obj]:
    """The pods whose loss costs least: unscheduled, not ready, doubled on a node, young."""
    per_node = Counter(pod["spec"].get("nodeName", "") for pod in pods)

    def cost(pod: Obj) -> int:
        try:
            return int(annotations_of(pod).get(_DELETION_COST, 0))
        except ValueError:
            return 0

    def rank(pod: Obj) -> tuple[Any, ...]:
        status = pod.get("status") or {}
        ready = conditions.find(status.get("conditions"), "Ready")
        since = seconds(ready.get("lastTransitionTime")) if ready and is_ready(pod) else 0.0
        restarts = max((c.get("restartCount", 0) for c in status.get("containerStatuses") or ()), default=0)
        return (
            bool(pod["spec"].get("nodeName")),
            _PHASE_ORDER.get(phase_of(pod), 0),
            is_ready(pod),
            cost(pod),
            -per_node[pod["spec"].get("nodeName", "")],
            -since,
            -restarts,
            -created_at(pod),
            name_of(pod),
        )

    return sorted(pods, key=rank)[:count]
