"""The StorageObjectInUseProtection plugin: claims and volumes get the finalizers that outlast their use.

`labrunner.sandbox.kube.controllers.protection` takes them off again.
Source: plugin/pkg/admission/storage/storageobjectinuseprotection.
"""

from __future__ import annotations

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.request import AdmissionRequest

FINALIZERS = {
    "PersistentVolumeClaim": "kubernetes.io/pvc-protection",
    "PersistentVolume": "kubernetes.io/pv-protection",
}
"""By kind id."""


def storage_protection(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
    """Adds the finalizer of its kind to what is created."""
    finalizer = FINALIZERS.get(request.kind.id)
    if finalizer is None or request.operation != "CREATE" or request.subresource:
        return obj
    finalizers = obj["metadata"].setdefault("finalizers", [])
    if finalizer not in finalizers:
        finalizers.append(finalizer)
    return obj
