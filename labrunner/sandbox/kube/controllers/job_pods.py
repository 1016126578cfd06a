"""A Job's pods: how they are made, their indexes, and the compressed lists of indexes in statuses.

Source: k8s.io/kubernetes/pkg/controller/job/indexed_job_utils.go.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.controllers.meta import annotations_of, name_of, seconds, uid_of
from labrunner.sandbox.kube.controllers.pod import from_template
from labrunner.sandbox.kube.request import Options

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"


def identity_labels(job: Obj) -> dict[str, str]:
    """Labels that the API server puts on a Job's template, and the selector's share of them."""
    uid, name = uid_of(job), name_of(job)
    return {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }


def generate_selector(job: Obj) -> Obj:
    """The Job with selector and template labels, as the API server gives one that does not bring its own."""
    spec = dict(job["spec"])
    if spec.get("manualSelector"):
        return job
    template = dict(spec.get("template") or {})
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **identity_labels(job)}
    template["metadata"] = metadata
    spec["template"] = template
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid_of(job)}}
    return {**job, "spec": spec}


def prepare(job: Obj, old: Obj | None, options: Options) -> Obj:
    """For the registry: a new Job gets its selector."""
    del options
    return job if old is not None else generate_selector(job)


def pod_for(job: Obj, index: int | None) -> Obj:
    pod = from_template(job["spec"]["template"], job)
    metadata = pod["metadata"]
    if not job["spec"].get("manualSelector"):
        metadata["labels"] = {**(metadata.get("labels") or {}), **identity_labels(job)}
    metadata["finalizers"] = [*(metadata.get("finalizers") or ()), TRACKING]
    if index is not None:
        metadata["generateName"] = f"{name_of(job)}-{index}-"
        metadata["annotations"] = {**(metadata.get("annotations") or {}), INDEX: str(index)}
        metadata["labels"][INDEX] = str(index)
        spec = pod["spec"]
        spec["hostname"] = f"{name_of(job)}-{index}"
        for part in ("initContainers", "containers"):
            if spec.get(part):
                spec[part] = [_with_index(container) for container in spec[part]]
    return pod


def _with_index(container: dict[str, Any]) -> dict[str, Any]:
    if any(v.get("name") == "JOB_COMPLETION_INDEX" for v in container.get("env") or ()):
        return container
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    return {
        **container,
        "env": [*(container.get("env") or ()), {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}],
    }


def completion_index(pod: Obj) -> int | None:
    value = annotations_of(pod).get(INDEX, "")
    return int(value) if value.isdigit() else None


def finished_at(pod: Obj) -> float:
    """When its last container ended."""
    return max(
        (
            seconds((c.get("state") or {}).get("terminated", {}).get("finishedAt"))
            for c in (pod.get("status") or {}).get("containerStatuses") or ()
        ),
        default=0.0,
    )


def parse_indexes(text: str) -> set[int]:
    """`0,2-4` is {0, 2, 3, 4}."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            found |= set(range(int(first), int(last or first) + 1))
    return found


def format_indexes(indexes: set[int]) -> str:
    """The inverse: runs of three or more are written as ranges, as the server does."""
    parts: list[str] = []
    run: list[int] = []
    for index in [*sorted(indexes), -1]:
        if run and index == run[-1] + 1:
            run.append(index)
            continue
        if run:
            parts.append(
                f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" if len(run) > 2 else f"{run[0]},{run[1]}"
            )
        run = [index]
    return ",".join(parts)
