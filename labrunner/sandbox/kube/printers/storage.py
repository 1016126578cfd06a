"""PersistentVolumes and their claims, StorageClasses, VolumeAttachments and the CSI kinds."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import (
    AGE,
    NAME,
    NONE,
    UNSET,
    Column,
    Obj,
    Printer,
    at,
    created,
    deleting,
    name_marked,
    name_of,
    quantity,
)

_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def _access_modes(modes: list[str] | None) -> str:
    """In the server's order, each once."""
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def _class(obj: Obj) -> str:
    annotations = at(obj, "metadata", "annotations", default={})
    return str(annotations.get(_CLASS_ANNOTATION) or at(obj, "spec", "storageClassName", default=""))


def _phase(obj: Obj) -> str:
    return "Terminating" if deleting(obj) else str(at(obj, "status", "phase", default=""))


def _volume(obj: Obj, ages: Ages) -> list[Any]:
    spec = at(obj, "spec", default={})
    claim = spec.get("claimRef")
    return [
        name_of(obj),
        quantity(at(spec, "capacity", "storage")),
        _access_modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _class(obj),
        at(spec, "volumeAttributesClassName", default=UNSET),
        at(obj, "status", "reason", default=""),
        ages(created(obj)),
        at(spec, "volumeMode", default=UNSET),
    ]


def _claim(obj: Obj, ages: Ages) -> list[Any]:
    spec, status = at(obj, "spec", default={}), at(obj, "status", default={})
    volume = spec.get("volumeName") or ""
    return [
        name_of(obj),
        _phase(obj),
        volume,
        quantity(at(status, "capacity", "storage")) if volume else "",
        _access_modes(status.get("accessModes")) if volume else "",
        _class(obj),
        at(spec, "volumeAttributesClassName", default=UNSET),
        ages(created(obj)),
        at(spec, "volumeMode", default=UNSET),
    ]


def _storage_class(obj: Obj, ages: Ages) -> list[Any]:
    return [
        name_marked(obj, "storageclass", "storageclass.beta"),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy") or "Delete",
        obj.get("volumeBindingMode") or "Immediate",
        bool(obj.get("allowVolumeExpansion")),
        ages(created(obj)),
    ]


def _attributes_class(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), obj.get("driverName", ""), ages(created(obj))]


def _attachment(obj: Obj, ages: Ages) -> list[Any]:
    return [
        name_of(obj),
        at(obj, "spec", "attacher", default=""),
        at(obj, "spec", "source", "persistentVolumeName", default=""),
        at(obj, "spec", "nodeName", default=""),
        bool(at(obj, "status", "attached")),
        ages(created(obj)),
    ]


def _csi_node(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), len(at(obj, "spec", "drivers", default=())), ages(created(obj))]


def _csi_driver(obj: Obj, ages: Ages) -> list[Any]:
    spec = at(obj, "spec", default={})
    requests = spec.get("tokenRequests")
    return [
        name_of(obj),
        at(spec, "attachRequired", default=True),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        UNSET if requests is None else ",".join(request.get("audience", "") for request in requests),
        bool(spec.get("requiresRepublish")),
        ",".join(spec.get("volumeLifecycleModes") or ()) or NONE,
        ages(created(obj)),
    ]


_PV, _PVC, _DRIVER = (
    "@core.v1.PersistentVolumeSpec",
    "@core.v1.PersistentVolumeClaimStatus",
    "@storage.v1.CSIDriverSpec",
)
_SC, _VA = "@storage.v1.StorageClass", "@storage.v1.VolumeAttachmentSpec"
PRINTERS = {
    "PersistentVolume": Printer(
        (
            NAME,
            Column("Capacity", f"{_PV}.capacity"),
            Column("Access Modes", f"{_PV}.accessModes"),
            Column("Reclaim Policy", f"{_PV}.persistentVolumeReclaimPolicy"),
            Column("Status", "@core.v1.PersistentVolumeStatus.phase"),
            Column("Claim", f"{_PV}.claimRef"),
            Column("StorageClass", "StorageClass of the pv"),
            Column("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
            Column("Reason", "@core.v1.PersistentVolumeStatus.reason"),
            AGE,
            Column("VolumeMode", f"{_PV}.volumeMode", priority=1),
        ),
        _volume,
    ),
    "PersistentVolumeClaim": Printer(
        (
            NAME,
            Column("Status", f"{_PVC}.phase"),
            Column("Volume", "@core.v1.PersistentVolumeClaimSpec.volumeName"),
            Column("Capacity", f"{_PVC}.capacity"),
            Column("Access Modes", f"{_PVC}.accessModes"),
            Column("StorageClass", "StorageClass of the pvc"),
            Column("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
            AGE,
            Column("VolumeMode", "@core.v1.PersistentVolumeClaimSpec.volumeMode", priority=1),
        ),
        _claim,
    ),
    "storage.k8s.io/StorageClass": Printer(
        (
            NAME,
            Column("Provisioner", f"{_SC}.provisioner"),
            Column("ReclaimPolicy", f"{_SC}.reclaimPolicy"),
            Column("VolumeBindingMode", f"{_SC}.volumeBindingMode"),
            Column("AllowVolumeExpansion", f"{_SC}.allowVolumeExpansion"),
            AGE,
        ),
        _storage_class,
    ),
    "storage.k8s.io/VolumeAttributesClass": Printer(
        (NAME, Column("DriverName", "@storage.v1.VolumeAttributesClass.driverName"), AGE), _attributes_class
    ),
    "storage.k8s.io/VolumeAttachment": Printer(
        (
            NAME,
            Column("Attacher", f"{_VA}.attacher", format="name"),
            Column("PV", "@storage.v1.VolumeAttachmentSource.persistentVolumeName"),
            Column("Node", f"{_VA}.nodeName"),
            Column("Attached", "@storage.v1.VolumeAttachmentStatus.attached", type="boolean"),
            AGE,
        ),
        _attachment,
    ),
    "storage.k8s.io/CSINode": Printer(
        (
            NAME,
            Column("Drivers", "Drivers indicates the number of CSI drivers registered on the node", type="integer"),
            AGE,
        ),
        _csi_node,
    ),
    "storage.k8s.io/CSIDriver": Printer(
        (
            NAME,
            Column("AttachRequired", f"{_DRIVER}.attachRequired", type="boolean"),
            Column("PodInfoOnMount", f"{_DRIVER}.podInfoOnMount", type="boolean"),
            Column("StorageCapacity", f"{_DRIVER}.storageCapacity", type="boolean"),
            Column("TokenRequests", f"{_DRIVER}.tokenRequests"),
            Column("RequiresRepublish", f"{_DRIVER}.requiresRepublish", type="boolean"),
            Column("Modes", f"{_DRIVER}.volumeLifecycleModes"),
            AGE,
        ),
        _csi_driver,
    ),
}
