"""PodDisruptionBudget status. Source: k8s.io/kubernetes/pkg/controller/disruption."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers import conditions
from labrunner.sandbox.kube.controllers.meta import (
    controller_of,
    is_deleting,
    key_of,
    kind_id,
    labels_of,
    namespace_of,
    uid_of,
    with_status,
)
from labrunner.sandbox.kube.controllers.pod import is_finished, is_ready
from labrunner.sandbox.kube.controllers.quantity import int_or_percent
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.controllers.selectors import matches

KIND = "policy/PodDisruptionBudget"
COMPONENT = "controllermanager"


class DisruptionController:
    name = "disruption"
    watches: tuple[str, ...] = (KIND, "Pod", "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet")

    def __init__(self) -> None:
        self._selectors: dict[str, dict[str, dict[str, Any] | None]] = {}

    def keys(self, change: Change) -> list[Key]:
        namespace, name = key_of(change.obj)
        budgets = self._selectors.get(namespace, {})
        if change.kind == KIND:
            budgets = self._selectors.setdefault(namespace, {})
            if change.type == "DELETED":
                budgets.pop(name, None)
            else:
                budgets[name] = change.obj["spec"].get("selector")
            return [(namespace, name)]
        if change.kind != "Pod":
            return [(namespace, budget) for budget in budgets]
        labels = labels_of(change.obj)
        return [(namespace, budget) for budget, selector in budgets.items() if matches(selector, labels)]

    def reconcile(self, api: Api, key: Key) -> float | None:
        budget = api.get(KIND, key[1], key[0])
        if budget is None or is_deleting(budget):
            return None
        selector = budget["spec"].get("selector")
        pods = [pod for pod in api.objects("Pod", key[0]) if matches(selector, labels_of(pod)) and not is_finished(pod)]
        expected, desired = _expected(api, budget, pods)
        healthy = sum(is_ready(pod) and not is_deleting(pod) for pod in pods)
        allowed = max(0, healthy - desired) if expected > 0 else 0
        before = budget.get("status") or {}
        verdict = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
        generation = budget["metadata"].get("generation", 1)
        status: dict[str, Any] = {
            "observedGeneration": generation,
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "conditions": conditions.put(
                before.get("conditions"), api.now(), "DisruptionAllowed", *verdict, observedGeneration=generation,
                message="",
            ),
        }  # fmt: skip
        if not pods and before.get("observedGeneration") is None:
            api.record_event(budget, "Normal", "NoPods", "No matching pods found", component=COMPONENT)
        if status != before:
            api.update_status(with_status(budget, status), manager="kube-controller-manager")
        return None


def _expected(api: Api, budget: Obj, pods: list[Obj]) -> tuple[int, int]:
    """(expectedPods, desiredHealthy)"""
    spec = budget["spec"]
    if spec.get("maxUnavailable") is not None:
        expected = _scale_of(api, pods)
        return expected, max(0, expected - int_or_percent(spec["maxUnavailable"], expected, round_up=True))
    least = spec.get("minAvailable", 1)
    if isinstance(least, int):
        return len(pods), least
    expected = _scale_of(api, pods)
    return expected, int_or_percent(least, expected, round_up=True)


def _scale_of(api: Api, pods: list[Obj]) -> int:
    """How many pods the pods' controllers want altogether."""
    wanted: dict[str, int] = {}
    for pod in pods:
        owner = _controller(api, pod)
        if owner is None:
            continue
        parent = _controller(api, owner) or owner
        replicas = parent["spec"].get("replicas")
        wanted[uid_of(parent)] = 1 if replicas is None else int(replicas)
    return sum(wanted.values())


def _controller(api: Api, obj: Obj) -> Obj | None:
    reference = controller_of(obj)
    if reference is None:
        return None
    kind = kind_id(reference["apiVersion"], reference["kind"])
    return api.get(kind, reference["name"], namespace_of(obj))
