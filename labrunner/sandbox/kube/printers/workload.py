"""Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers and ControllerRevisions."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    NONE,
    Column,
    Obj,
    Printer,
    at,
    created,
    images,
    labels_text,
    name_of,
    selector_text,
)


def _template(obj: Obj) -> tuple[str, str]:
    return images(at(obj, "spec", "template", "spec", "containers", default=()))


def _status(obj: Obj, name: str) -> int:
    return int(at(obj, "status", name, default=0))


def _desired(obj: Obj) -> int:
    return int(at(obj, "spec", "replicas", default=0))


def _deployment(obj: Obj, ages: Ages) -> list[Any]:
    selector = selector_text(at(obj, "spec", "selector"))
    return [
        name_of(obj),
        f"{_status(obj, 'readyReplicas')}/{_desired(obj)}",
        _status(obj, "updatedReplicas"),
        _status(obj, "availableReplicas"),
        ages(created(obj)),
        *_template(obj),
        {NONE: "", "<error>": "<invalid>"}.get(selector, selector),
    ]


def _replicas(obj: Obj, ages: Ages) -> list[Any]:
    return [
        name_of(obj),
        _desired(obj),
        _status(obj, "replicas"),
        _status(obj, "readyReplicas"),
        ages(created(obj)),
        *_template(obj),
    ]


def _stateful_set(obj: Obj, ages: Ages) -> list[Any]:
    ready = f"{_status(obj, 'readyReplicas')}/{_desired(obj)}"
    return [name_of(obj), ready, ages(created(obj)), *_template(obj)]


def _daemon_set(obj: Obj, ages: Ages) -> list[Any]:
    counts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    return [
        name_of(obj),
        *(_status(obj, count) for count in counts),
        labels_text(at(obj, "spec", "template", "spec", "nodeSelector")),
        ages(created(obj)),
        *_template(obj),
        selector_text(at(obj, "spec", "selector")),
    ]


def _revision(obj: Obj, ages: Ages) -> list[Any]:
    controller = NONE
    for owner in at(obj, "metadata", "ownerReferences", default=()):
        if owner.get("controller"):
            group = owner.get("apiVersion", "").rpartition("/")[0]
            kind = f"{owner.get('kind', '')}.{group}" if group else owner.get("kind", "")
            controller = f"{kind.lower()}/{owner.get('name', '')}"
    return [name_of(obj), controller, obj.get("revision", 0), ages(created(obj))]


def _replica_columns(kind: str) -> tuple[Column, ...]:
    return (
        NAME,
        Column("Desired", f"@{kind}Spec.replicas", type="integer"),
        Column("Current", f"@{kind}Status.replicas", type="integer"),
        Column("Ready", f"@{kind}Status.readyReplicas", type="integer"),
        AGE,
        CONTAINERS,
        IMAGES,
        Column("Selector", f"@{kind}Spec.selector", priority=1),
    )


PRINTERS = {
    "apps/Deployment": Printer(
        (
            NAME,
            Column("Ready", "Number of the pod with ready state"),
            Column("Up-to-date", "@apps.v1.DeploymentStatus.updatedReplicas"),
            Column("Available", "@apps.v1.DeploymentStatus.availableReplicas"),
            AGE,
            CONTAINERS,
            IMAGES,
            Column("Selector", "@apps.v1.DeploymentSpec.selector", priority=1),
        ),
        _deployment,
    ),
    "apps/ReplicaSet": Printer(
        _replica_columns("apps.v1.ReplicaSet"),
        lambda obj, ages: [*_replicas(obj, ages), selector_text(at(obj, "spec", "selector"))],
    ),
    "ReplicationController": Printer(
        _replica_columns("core.v1.ReplicationController"),
        lambda obj, ages: [*_replicas(obj, ages), labels_text(at(obj, "spec", "selector"))],
    ),
    "apps/StatefulSet": Printer(
        (NAME, Column("Ready", "Number of the pod with ready state"), AGE, CONTAINERS, IMAGES), _stateful_set
    ),
    "apps/DaemonSet": Printer(
        (
            NAME,
            Column("Desired", "@apps.v1.DaemonSetStatus.desiredNumberScheduled", type="integer"),
            Column("Current", "@apps.v1.DaemonSetStatus.currentNumberScheduled", type="integer"),
            Column("Ready", "@apps.v1.DaemonSetStatus.numberReady", type="integer"),
            Column("Up-to-date", "@apps.v1.DaemonSetStatus.updatedNumberScheduled", type="integer"),
            Column("Available", "@apps.v1.DaemonSetStatus.numberAvailable", type="integer"),
            Column("Node Selector", "@core.v1.PodSpec.nodeSelector"),
            AGE,
            CONTAINERS,
            IMAGES,
            Column("Selector", "@apps.v1.DaemonSetSpec.selector", priority=1),
        ),
        _daemon_set,
    ),
    "apps/ControllerRevision": Printer(
        (
            NAME,
            Column("Controller", "Controller of the object"),
            Column("Revision", "@apps.v1.ControllerRevision.revision"),
            AGE,
        ),
        _revision,
    ),
}
