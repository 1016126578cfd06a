"""PersistentVolumeClaims and PersistentVolumes: binding, provisioning, reclaiming; the storage classes of AKS.

Source: k8s.io/kubernetes/pkg/controller/volume/persistentvolume and the Azure disk CSI driver.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers import quantity
from labrunner.sandbox.kube.controllers.meta import (
    annotations_of,
    fresh,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
    with_status,
)
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.controllers.selectors import matches

CLASS = "storage.k8s.io/StorageClass"
COMPONENT = "persistentvolume-controller"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_MANAGER = "kube-controller-manager"
_PROVISION_SECONDS = 1.5
_CLASSES = (
    ("default", "disk.csi.azure.com", {"skuname": "StandardSSD_LRS"}, "WaitForFirstConsumer", True),
    ("managed-csi", "disk.csi.azure.com", {"skuname": "StandardSSD_LRS"}, "WaitForFirstConsumer", False),
    ("managed-csi-premium", "disk.csi.azure.com", {"skuname": "Premium_LRS"}, "WaitForFirstConsumer", False),
    ("azurefile-csi", "file.csi.azure.com", {"skuName": "Standard_LRS"}, "Immediate", False),
)


def ensure_storage_classes(api: Api) -> None:
    """The classes an AKS cluster comes with."""
    for name, provisioner, parameters, mode, default in _CLASSES:
        if api.get(CLASS, name) is not None:
            continue
        metadata: dict[str, Any] = {"name": name}
        if default:
            metadata["annotations"] = {DEFAULT_CLASS: "true"}
        api.create(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": metadata,
                "provisioner": provisioner,
                "parameters": parameters,
                "reclaimPolicy": "Delete",
                "volumeBindingMode": mode,
                "allowVolumeExpansion": True,
            },
            manager="addon-manager",
        )


class PersistentVolumeController:
    name = "persistentvolume-binder"
    watches: tuple[str, ...] = ("PersistentVolumeClaim", "PersistentVolume", "Pod")

    def __init__(self) -> None:
        self._waiting: set[Key] = set()
        self._ready: set[str] = set()
        self._provisioning: set[str] = set()
        self._enqueue: Callable[[Key], None] = lambda key: None

    def paced_by(self, enqueue: Callable[[Key], None]) -> None:
        self._enqueue = enqueue

    def keys(self, change: Change) -> list[Key]:
        if change.kind == "PersistentVolumeClaim":
            if change.type == "DELETED":
                self._waiting.discard(key_of(change.obj))
                volume = change.obj["spec"].get("volumeName", "")
                return [("pv", volume)] if volume else []
            return [key_of(change.obj)]
        if change.kind == "PersistentVolume":
            return [("pv", name_of(change.obj)), *self._waiting] if change.type != "DELETED" else []
        if not self._waiting or not change.obj["spec"].get("nodeName"):
            return []
        mine = {(namespace_of(change.obj), claim) for claim in claims_of(change.obj)}
        return [key for key in self._waiting if key in mine]

    def reconcile(self, api: Api, key: Key) -> float | None:
        if key[0] == "pv":
            self._sync_volume(api, key[1])
            return None
        claim = api.get("PersistentVolumeClaim", key[1], key[0])
        if claim is None or is_deleting(claim):
            self._waiting.discard(key)
            return None
        if claim["spec"].get("volumeName"):
            self._bind(api, claim, claim["spec"]["volumeName"])
            return None
        claim = self._with_class(api, claim)
        name = claim["spec"].get("storageClassName", "")
        if volume := self._match(api, claim, name):
            self._bind(api, claim, name_of(volume))
            return None
        self._waiting.add(key)
        storage_class = api.get(CLASS, name) if name else None
        if storage_class is None:
            self._say_stuck(api, claim, name)
            return None
        if storage_class.get("provisioner") == "kubernetes.io/no-provisioner":
            return None
        if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer" and not self._consumer(api, claim):
            message = "waiting for first consumer to be created before binding"
            self._say_once(api, claim, "Normal", "WaitForFirstConsumer", message)
            return None
        self._provision(api, key, claim, storage_class)
        return None

    def _with_class(self, api: Api, claim: Obj) -> Obj:
        if claim["spec"].get("storageClassName") is not None:
            return claim
        for storage_class in api.objects(CLASS):
            if annotations_of(storage_class).get(DEFAULT_CLASS) == "true":
                updated = fresh(claim)
                updated["spec"]["storageClassName"] = name_of(storage_class)
                return api.update(updated, manager=_MANAGER)
        return claim

    def _say_stuck(self, api: Api, claim: Obj, name: str) -> None:
        if name:
            message = f'storageclass.storage.k8s.io "{name}" not found'
            self._say_once(api, claim, "Warning", "ProvisioningFailed", message)
        else:
            message = "no persistent volumes available for this claim and no storage class is set"
            self._say_once(api, claim, "Normal", "FailedBinding", message)

    def _say_once(self, api: Api, claim: Obj, type_: Any, reason: str, message: str) -> None:
        mark = f"{uid_of(claim)}:{reason}"
        if mark not in self._ready:
            self._ready.add(mark)
            api.record_event(claim, type_, reason, message, component=COMPONENT)

    def _consumer(self, api: Api, claim: Obj) -> bool:
        return any(name_of(claim) in claims_of(pod) for pod in api.objects("Pod", namespace_of(claim)))

    def _match(self, api: Api, claim: Obj, class_name: str) -> Obj | None:
        """The smallest free volume that is large enough and of the same class and modes."""
        wanted = quantity.parse(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", 0))
        modes = set(claim["spec"].get("accessModes") or ())
        fitting = []
        for volume in api.objects("PersistentVolume"):
            reference = volume["spec"].get("claimRef") or {}
            mine = reference.get("name") == name_of(claim) and reference.get("namespace") == namespace_of(claim)
            if (reference and not mine) or is_deleting(volume):
                continue
            if (volume["spec"].get("storageClassName") or "") != class_name:
                continue
            if not modes <= set(volume["spec"].get("accessModes") or ()):
                continue
            selector = claim["spec"].get("selector")
            if selector is not None and not matches(selector, labels_of(volume)):
                continue
            size = quantity.parse((volume["spec"].get("capacity") or {}).get("storage", 0))
            if size >= wanted:
                fitting.append((not mine, size, name_of(volume), volume))
        return min(fitting, key=lambda f: f[:3])[3] if fitting else None

    def _provision(self, api: Api, key: Key, claim: Obj, storage_class: Obj) -> None:
        uid = uid_of(claim)
        if uid not in self._ready:
            if uid not in self._provisioning:
                self._provisioning.add(uid)
                provisioner = storage_class.get("provisioner", "")
                api.record_event(
                    claim,
                    "Normal",
                    "ExternalProvisioning",
                    f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or "
                    "manually by the system administrator. If volume creation is delayed, please verify that the "
                    "provisioner is running and correctly registered.",
                    component=COMPONENT,
                )

                def done() -> None:
                    self._provisioning.discard(uid)
                    self._ready.add(uid)
                    self._enqueue(key)

                api.call_later(_PROVISION_SECONDS, done)
            return
        self._ready.discard(uid)
        name, spec = f"pvc-{uid}", claim["spec"]
        size = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "1Gi")
        provisioner = storage_class.get("provisioner", "")
        volume: Obj = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": provisioner}},
            "spec": {
                "accessModes": spec.get("accessModes") or ["ReadWriteOnce"],
                "capacity": {"storage": size},
                "claimRef": _reference(claim),
                "csi": {"driver": provisioner, "volumeHandle": f"/sandbox/disks/{name}"},
                "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
                "storageClassName": name_of(storage_class),
                "volumeMode": spec.get("volumeMode", "Filesystem"),
            },
        }
        if api.get("PersistentVolume", name) is None:
            api.create(volume, manager="csi-provisioner")
        message = f"Successfully provisioned volume {name}"
        api.record_event(claim, "Normal", "ProvisioningSucceeded", message, component=provisioner)
        self._bind(api, claim, name)

    def _bind(self, api: Api, claim: Obj, name: str) -> None:
        volume = api.get("PersistentVolume", name)
        if volume is None:
            return
        self._waiting.discard(key_of(claim))
        reference = volume["spec"].get("claimRef") or {}
        if reference.get("uid") != uid_of(claim):
            updated = fresh(volume)
            updated["spec"]["claimRef"] = _reference(claim)
            volume = api.update(updated, manager=_MANAGER)
        if (volume.get("status") or {}).get("phase") != "Bound":
            api.update_status(with_status(volume, {"phase": "Bound"}), manager=_MANAGER)
        if claim["spec"].get("volumeName") != name:
            bound = fresh(claim)
            bound["spec"]["volumeName"] = name
            bound["metadata"]["annotations"] = annotations_of(claim) | {
                "pv.kubernetes.io/bind-completed": "yes",
                "pv.kubernetes.io/bound-by-controller": "yes",
            }
            claim = api.update(bound, manager=_MANAGER)
        status = {
            "phase": "Bound",
            "accessModes": volume["spec"].get("accessModes") or [],
            "capacity": volume["spec"].get("capacity") or {},
        }
        if status != claim.get("status"):
            api.update_status(with_status(claim, status), manager=_MANAGER)

    def _sync_volume(self, api: Api, name: str) -> None:
        volume = api.get("PersistentVolume", name)
        if volume is None or is_deleting(volume):
            return
        reference = volume["spec"].get("claimRef") or {}
        phase = (volume.get("status") or {}).get("phase", "")
        claim = api.get("PersistentVolumeClaim", reference.get("name", ""), reference.get("namespace", ""))
        if not reference.get("uid"):
            if phase != "Available":
                api.update_status(with_status(volume, {"phase": "Available"}), manager=_MANAGER)
            return
        if claim is not None and uid_of(claim) == reference["uid"]:
            return
        if phase != "Released":
            api.update_status(with_status(volume, {"phase": "Released"}), manager=_MANAGER)
        if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            api.delete("PersistentVolume", name)


def claims_of(pod: Obj) -> list[str]:
    """Names of the claims a pod mounts."""
    return [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"].get("volumes") or ()
        if volume.get("persistentVolumeClaim")
    ]


def _reference(claim: Obj) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "name": name_of(claim),
        "namespace": namespace_of(claim),
        "uid": uid_of(claim),
    }
