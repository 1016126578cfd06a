"""Claims that pods still use and volumes that are still bound wait with their deletion.

Source: k8s.io/kubernetes/pkg/controller/volume/pvcprotection and pvprotection.
"""

from __future__ import annotations

from labrunner.sandbox.kube.admission.storage_protection import FINALIZERS
from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.meta import fresh, is_deleting, key_of, name_of, namespace_of
from labrunner.sandbox.kube.controllers.pod import is_finished
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.controllers.volumes import claims_of

_CLAIM, _VOLUME = "PersistentVolumeClaim", "PersistentVolume"


class StorageProtectionController:
    """Takes the protecting finalizer off what is being deleted and no longer used."""

    name = "storage-protection"
    watches: tuple[str, ...] = (_CLAIM, _VOLUME, "Pod")

    def keys(self, change: Change) -> list[Key]:
        if change.kind == "Pod":
            if change.type == "DELETED" or is_finished(change.obj):
                return [(namespace_of(change.obj), claim) for claim in claims_of(change.obj)]
            return []
        return [key_of(change.obj)] if is_deleting(change.obj) and change.type != "DELETED" else []

    def reconcile(self, api: Api, key: Key) -> float | None:
        kind = _CLAIM if key[0] else _VOLUME
        obj = api.get(kind, key[1], key[0])
        finalizer = FINALIZERS[kind]
        if obj is None or not is_deleting(obj) or finalizer not in (obj["metadata"].get("finalizers") or ()):
            return None
        if _claim_used(api, obj) if kind == _CLAIM else _volume_used(obj):
            return None
        freed = fresh(obj)
        freed["metadata"]["finalizers"] = [f for f in obj["metadata"]["finalizers"] if f != finalizer]
        api.update(freed, manager="kube-controller-manager")
        return None


def _claim_used(api: Api, claim: Obj) -> bool:
    """By any pod that has not ended, whether or not it runs yet on a node."""
    pods = api.objects("Pod", namespace_of(claim))
    return any(name_of(claim) in claims_of(pod) and not is_finished(pod) for pod in pods)


def _volume_used(volume: Obj) -> bool:
    return (volume.get("status") or {}).get("phase") == "Bound"
