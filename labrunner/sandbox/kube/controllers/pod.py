"""What controllers ask of a pod: is it ready, available, finished; and how one is made from a template.

Source: k8s.io/kubernetes/pkg/api/v1/pod and pkg/controller/controller_utils.go.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers import conditions
from labrunner.sandbox.kube.controllers.meta import controller_reference, is_deleting, name_of, namespace_of, seconds
from labrunner.sandbox.kube.status import ApiError

Template = dict[str, Any]


def phase_of(pod: Obj) -> str:
    return str((pod.get("status") or {}).get("phase", "Pending"))


def is_finished(pod: Obj) -> bool:
    return phase_of(pod) in ("Succeeded", "Failed")


def is_active(pod: Obj) -> bool:
    """Counts towards replicas: neither finished nor being deleted."""
    return not is_finished(pod) and not is_deleting(pod)


def is_ready(pod: Obj) -> bool:
    return conditions.is_true((pod.get("status") or {}).get("conditions"), "Ready")


def available_in(pod: Obj, min_ready_seconds: int, now: float) -> float | None:
    """Seconds until the pod counts as available (0: it does), None while it is not ready."""
    ready = conditions.find((pod.get("status") or {}).get("conditions"), "Ready")
    if not ready or ready.get("status") != "True":
        return None
    return max(0.0, seconds(ready.get("lastTransitionTime")) + min_ready_seconds - now) if min_ready_seconds else 0.0


def is_available(pod: Obj, min_ready_seconds: int, now: float) -> bool:
    return available_in(pod, min_ready_seconds, now) == 0.0


def from_template(template: Template, owner: Obj, *, name: str = "") -> Obj:
    """The pod an owner creates: its template's metadata and spec, a generated name and the owner reference."""
    source = template.get("metadata") or {}
    metadata: dict[str, Any] = {"namespace": namespace_of(owner), "ownerReferences": [controller_reference(owner)]}
    if name:
        metadata["name"] = name
    else:
        metadata["generateName"] = f"{name_of(owner)}-"
    for part in ("labels", "annotations"):
        if source.get(part):
            metadata[part] = dict(source[part])
    if source.get("finalizers"):
        metadata["finalizers"] = list(source["finalizers"])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": dict(template.get("spec") or {})}


def create_for(api: Api, owner: Obj, pod: Obj, *, component: str) -> Obj:
    """Create a pod and say so on its owner: SuccessfulCreate, or FailedCreate and the refusal again."""
    try:
        created = api.create(pod, manager="kube-controller-manager")
    except ApiError as error:
        if error.reason != "AlreadyExists" and not _is_terminating(error):
            api.record_event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}", component=component)
        raise
    api.record_event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name_of(created)}", component=component)
    return created


def delete_for(api: Api, owner: Obj, pod: Obj, *, component: str) -> None:
    """Delete a pod and say so on its owner."""
    api.delete("Pod", name_of(pod), namespace_of(pod))
    api.record_event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}", component=component)


def _is_terminating(error: ApiError) -> bool:
    return any(cause.reason == "NamespaceTerminating" for cause in error.causes) or "being terminated" in error.message
