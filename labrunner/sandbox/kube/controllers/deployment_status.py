"""A Deployment's status: counts, Available and Progressing, and when progress is overdue.

Source: k8s.io/kubernetes/pkg/controller/deployment/progress.go and sync.go (calculateStatus).
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.controllers import conditions
from labrunner.sandbox.kube.controllers.deployment_replicasets import fenceposts, observed, wanted
from labrunner.sandbox.kube.controllers.meta import name_of, seconds, timestamp

NEW_AVAILABLE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"


def counts(deployment: Obj, replica_sets: list[Obj], new: Obj | None, now: float) -> dict[str, Any]:
    """The status as the ReplicaSets say it, with Available set and every other condition kept."""
    before = deployment.get("status") or {}
    available = sum(observed(rs, "availableReplicas") for rs in replica_sets)
    replicas = sum(observed(rs, "replicas") for rs in replica_sets)
    numbers = {
        "replicas": replicas,
        "updatedReplicas": observed(new, "replicas") if new else 0,
        "readyReplicas": sum(observed(rs, "readyReplicas") for rs in replica_sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, replicas - available),
    }
    status: dict[str, Any] = {"observedGeneration": deployment["metadata"].get("generation", 1)}
    status |= {key: value for key, value in numbers.items() if value}
    status["terminatingReplicas"] = sum(observed(rs, "terminatingReplicas") for rs in replica_sets)
    if before.get("collisionCount"):
        status["collisionCount"] = before["collisionCount"]
    if available >= wanted(deployment) - fenceposts(deployment)[1]:
        verdict = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        verdict = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    status["conditions"] = put(before.get("conditions"), now, "Available", *verdict)
    return status


def put(
    entries: list[dict[str, Any]] | None, now: float, type_: str, status: str, reason: str, message: str
) -> list[dict[str, Any]]:
    """deploymentutil.SetDeploymentCondition: one that says the same stays, a changed one moves to the end."""
    current = conditions.find(entries, type_)
    if current and current["status"] == status and current.get("reason") == reason:
        return list(entries or ())
    return _renewed(entries, now, type_, status, reason, message)


def _renewed(
    entries: list[dict[str, Any]] | None, now: float, type_: str, status: str, reason: str, message: str
) -> list[dict[str, Any]]:
    changed = conditions.put(entries, now, type_, status, reason, message, lastUpdateTime=timestamp(now))
    return sorted(changed, key=lambda condition: bool(condition["type"] == type_))


def deadline(deployment: Obj) -> float | None:
    """progressDeadlineSeconds; None when progress is not watched."""
    limit = deployment["spec"].get("progressDeadlineSeconds", 600)
    return None if limit is None or int(limit) == 2**31 - 1 else float(limit)


def is_complete(deployment: Obj, status: dict[str, Any]) -> bool:
    replicas = wanted(deployment)
    return (
        status.get("updatedReplicas", 0) == replicas
        and status.get("replicas", 0) == replicas
        and status.get("availableReplicas", 0) == replicas
        and int(status.get("observedGeneration", 0)) >= int(deployment["metadata"].get("generation", 1))
    )


def with_progress(
    deployment: Obj, status: dict[str, Any], replica_sets: list[Obj], new: Obj | None, now: float
) -> dict[str, Any]:
    """The status with Progressing and ReplicaFailure as a rollout sees them."""
    entries: list[dict[str, Any]] = status["conditions"]
    if deadline(deployment) is None:
        entries = conditions.drop(entries, "Progressing")
    else:
        entries = _progressing(deployment, status, entries, new, now)
    failure = _replica_failure(replica_sets, new)
    if failure:
        entries = put(entries, now, "ReplicaFailure", failure["status"], failure["reason"], failure["message"])
    else:
        entries = conditions.drop(entries, "ReplicaFailure")
    return {**status, "conditions": entries}


def _progressing(
    deployment: Obj, status: dict[str, Any], entries: list[dict[str, Any]], new: Obj | None, now: float
) -> list[dict[str, Any]]:
    current = conditions.find(entries, "Progressing")
    who = f'ReplicaSet "{name_of(new)}"' if new else f'Deployment "{name_of(deployment)}"'
    settled = current is not None and current.get("reason") == NEW_AVAILABLE
    if settled and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        return entries
    if is_complete(deployment, status):
        return put(entries, now, "Progressing", "True", NEW_AVAILABLE, f"{who} has successfully progressed.")
    if _moved(deployment.get("status") or {}, status):
        message = f"{who} is progressing."
        return _renewed(entries, now, "Progressing", "True", "ReplicaSetUpdated", message)
    if overdue_in(deployment, current, now) == 0.0:
        return put(entries, now, "Progressing", "False", TIMED_OUT, f"{who} has timed out progressing.")
    return entries


def overdue_in(deployment: Obj, current: dict[str, Any] | None, now: float) -> float | None:
    """Seconds until the rollout counts as stuck (0: it is); None when it cannot be."""
    limit = deadline(deployment)
    if current is None or limit is None or current.get("reason") == NEW_AVAILABLE:
        return None
    if current.get("reason") == TIMED_OUT:
        return 0.0
    if current.get("reason") == "DeploymentPaused":
        return None
    return max(0.0, seconds(current.get("lastUpdateTime")) + limit + 1 - now)


def _moved(before: dict[str, Any], after: dict[str, Any]) -> bool:
    def old_pods(status: dict[str, Any]) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    grown = any(
        after.get(field, 0) > before.get(field, 0)
        for field in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return grown or old_pods(after) < old_pods(before)


def _replica_failure(replica_sets: list[Obj], new: Obj | None) -> dict[str, Any] | None:
    for rs in [new, *replica_sets] if new else replica_sets:
        failure = conditions.find((rs.get("status") or {}).get("conditions"), "ReplicaFailure")
        if failure and failure.get("status") == "True":
            return failure
    return None
