"""A Deployment's ReplicaSets: which is new, which are old, their revisions and sizes.

Source: k8s.io/kubernetes/pkg/controller/deployment/{sync.go,util/deployment_util.go}.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers import template_hash
from labrunner.sandbox.kube.controllers.meta import (
    annotations_of,
    controller_of,
    controller_reference,
    created_at,
    fresh,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)
from labrunner.sandbox.kube.controllers.quantity import int_or_percent
from labrunner.sandbox.kube.controllers.selectors import matches
from labrunner.sandbox.kube.status import ApiError

COMPONENT = "deployment-controller"
MANAGER = "kube-controller-manager"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
}


def wanted(deployment: Obj) -> int:
    replicas = deployment["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def size(replica_set: Obj) -> int:
    replicas = replica_set["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def observed(replica_set: Obj, field: str) -> int:
    return int((replica_set.get("status") or {}).get(field) or 0)


def total(replica_sets: Iterable[Obj]) -> int:
    return sum(size(rs) for rs in replica_sets)


def is_rolling(deployment: Obj) -> bool:
    return bool((deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate") == "RollingUpdate")


def fenceposts(deployment: Obj) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in pods; never both 0."""
    replicas = wanted(deployment)
    if not is_rolling(deployment):
        return 0, 0
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = int_or_percent(rolling.get("maxSurge", "25%"), replicas, round_up=True)
    unavailable = int_or_percent(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, replicas)


def revision_of(obj: Obj) -> int:
    try:
        return int(annotations_of(obj).get(REVISION, 0))
    except ValueError:
        return 0


def owned_by(api: Api, deployment: Obj) -> list[Obj]:
    """The Deployment's ReplicaSets, oldest first: orphans that match are adopted, those that no longer do released."""
    uid, selector = uid_of(deployment), deployment["spec"].get("selector")
    found = []
    for rs in api.owned("apps/ReplicaSet", uid):
        if matches(selector, labels_of(rs)) or is_deleting(rs):
            found.append(rs)
        else:
            released = fresh(rs)
            references = [r for r in rs["metadata"]["ownerReferences"] if r.get("uid") != uid]
            released["metadata"]["ownerReferences"] = references
            api.update(released, manager=MANAGER)
    if not is_deleting(deployment):
        for rs in api.objects("apps/ReplicaSet", namespace_of(deployment)):
            if controller_of(rs) is None and not is_deleting(rs) and matches(selector, labels_of(rs)):
                adopted = fresh(rs)
                references = rs["metadata"].get("ownerReferences") or []
                adopted["metadata"]["ownerReferences"] = [*references, controller_reference(deployment)]
                found.append(api.update(adopted, manager=MANAGER))
    return sorted(found, key=lambda rs: (created_at(rs), name_of(rs)))


def find_new(deployment: Obj, replica_sets: list[Obj]) -> Obj | None:
    """The oldest ReplicaSet with the Deployment's present template."""
    template = deployment["spec"]["template"]
    return next((rs for rs in replica_sets if template_hash.equal(rs["spec"]["template"], template)), None)


def sync_revision(api: Api, deployment: Obj, new: Obj, old: list[Obj]) -> Obj:
    """Give the new ReplicaSet the highest revision and the Deployment's annotations."""
    annotations = new_annotations(deployment, new, max((revision_of(rs) for rs in old), default=0) + 1)
    min_ready = deployment["spec"].get("minReadySeconds") or 0
    if annotations == annotations_of(new) and min_ready == (new["spec"].get("minReadySeconds") or 0):
        return new
    updated = fresh(new)
    updated["metadata"]["annotations"] = annotations
    if min_ready:
        updated["spec"]["minReadySeconds"] = min_ready
    else:
        updated["spec"].pop("minReadySeconds", None)
    return api.update(updated, manager=MANAGER)


def new_annotations(deployment: Obj, new: Obj | None, revision: int) -> dict[str, str]:
    existing = dict(annotations_of(new)) if new else {}
    result = existing | {k: v for k, v in annotations_of(deployment).items() if k not in _NOT_COPIED}
    before = existing.get(REVISION, "")
    if (revision_of(new) if new else 0) < revision:
        result[REVISION] = str(revision)
        if before:
            history = existing.get(REVISION_HISTORY, "")
            result[REVISION_HISTORY] = f"{history},{before}" if history else before
    return result


def size_annotations(deployment: Obj) -> dict[str, str]:
    replicas = wanted(deployment)
    return {DESIRED: str(replicas), MAX: str(replicas + fenceposts(deployment)[0])}


def create_new(api: Api, deployment: Obj, old: list[Obj], replicas: int) -> Obj | None:
    """Create the ReplicaSet of the present template; None after a hash collision (the next look uses another hash)."""
    status = deployment.get("status") or {}
    template = deployment["spec"]["template"]
    hash_ = template_hash.compute(template, int(status.get("collisionCount") or 0))
    labelled = template_hash.labelled(template, hash_)
    selector = dict(deployment["spec"]["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), template_hash.POD_TEMPLATE_HASH: hash_}
    revision = max((revision_of(rs) for rs in old), default=0) + 1
    spec: dict[str, Any] = {"replicas": replicas, "selector": selector, "template": labelled}
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    replica_set: Obj = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)}-{hash_}",
            "namespace": namespace_of(deployment),
            "labels": dict(labelled["metadata"]["labels"]),
            "annotations": new_annotations(deployment, None, revision) | size_annotations(deployment),
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": spec,
    }
    try:
        created = api.create(replica_set, manager=MANAGER)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        existing = api.get("apps/ReplicaSet", name_of(replica_set), namespace_of(deployment))
        owner = controller_of(existing) if existing else None
        if existing and owner and owner["uid"] == uid_of(deployment) and find_new(deployment, [existing]):
            return existing
        count = int(status.get("collisionCount") or 0) + 1
        api.update_status({**deployment, "status": {**status, "collisionCount": count}}, manager=MANAGER)
        return None
    if replicas:
        _say_scaled(api, deployment, created, 0, replicas)
    return created


def scale(api: Api, deployment: Obj, replica_set: Obj, replicas: int) -> Obj:
    """Set the size and the annotations that proportional scaling reads; an event when the size changes."""
    before = size(replica_set)
    annotations = annotations_of(replica_set) | size_annotations(deployment)
    if before == replicas and annotations == annotations_of(replica_set):
        return replica_set
    updated = fresh(replica_set)
    updated["spec"]["replicas"] = replicas
    updated["metadata"]["annotations"] = annotations
    updated = api.update(updated, manager=MANAGER)
    if before != replicas:
        _say_scaled(api, deployment, updated, before, replicas)
    return updated


def _say_scaled(api: Api, deployment: Obj, replica_set: Obj, before: int, after: int) -> None:
    direction = "up" if after > before else "down"
    message = f"Scaled {direction} replica set {name_of(replica_set)} from {before} to {after}"
    api.record_event(deployment, "Normal", "ScalingReplicaSet", message, component=COMPONENT)


def clean_up(api: Api, deployment: Obj, old: list[Obj]) -> None:
    """Delete the oldest empty ReplicaSets beyond revisionHistoryLimit."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    limit = 10 if limit is None else int(limit)
    alive = sorted((rs for rs in old if not is_deleting(rs)), key=lambda rs: (revision_of(rs), created_at(rs)))
    for rs in alive[: max(0, len(alive) - limit)]:
        current = int(rs["metadata"].get("generation") or 0) <= observed(rs, "observedGeneration")
        if size(rs) == 0 and observed(rs, "replicas") == 0 and current:
            api.delete("apps/ReplicaSet", name_of(rs), namespace_of(rs))
