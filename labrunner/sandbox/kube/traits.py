"""Where built-in kinds differ from the generic registry: tables taken from the strategies under pkg/registry."""

from __future__ import annotations

from datetime import datetime

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.kinds import Kind

_WITH_GENERATION = frozenset(
    {
        "Pod", "ReplicationController", "apps/Deployment", "apps/ReplicaSet", "apps/StatefulSet", "apps/DaemonSet",
        "batch/Job", "batch/CronJob", "policy/PodDisruptionBudget", "networking.k8s.io/Ingress",
        "networking.k8s.io/NetworkPolicy", "networking.k8s.io/IngressClass", "discovery.k8s.io/EndpointSlice",
        "apiextensions.k8s.io/CustomResourceDefinition", "scheduling.k8s.io/PriorityClass",
        "admissionregistration.k8s.io/ValidatingWebhookConfiguration",
        "admissionregistration.k8s.io/MutatingWebhookConfiguration",
        "admissionregistration.k8s.io/ValidatingAdmissionPolicy",
        "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding",
        "flowcontrol.apiserver.k8s.io/FlowSchema", "flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration",
    }
)  # fmt: skip

_CREATE_ON_UPDATE = frozenset(
    {
        "Endpoints", "Event", "events.k8s.io/Event", "LimitRange", "coordination.k8s.io/Lease",
        "rbac.authorization.k8s.io/Role", "rbac.authorization.k8s.io/RoleBinding",
        "rbac.authorization.k8s.io/ClusterRole", "rbac.authorization.k8s.io/ClusterRoleBinding",
    }
)  # fmt: skip

_CONDITIONAL_UPDATE = frozenset(
    {
        "policy/PodDisruptionBudget", "coordination.k8s.io/Lease", "apiregistration.k8s.io/APIService",
        "apiextensions.k8s.io/CustomResourceDefinition", "node.k8s.io/RuntimeClass",
        "admissionregistration.k8s.io/ValidatingWebhookConfiguration",
        "admissionregistration.k8s.io/MutatingWebhookConfiguration",
        "admissionregistration.k8s.io/ValidatingAdmissionPolicy",
        "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding",
    }
)  # fmt: skip

_DELETE_RETURNS_OBJECT = frozenset(
    {
        "Pod", "PodTemplate", "Service", "ServiceAccount", "ResourceQuota", "PersistentVolume",
        "PersistentVolumeClaim", "storage.k8s.io/StorageClass", "storage.k8s.io/CSIDriver", "storage.k8s.io/CSINode",
        "storage.k8s.io/VolumeAttachment",
    }
)  # fmt: skip

_EPHEMERAL_IN_TERMINATING = frozenset({"authorization.k8s.io/LocalSubjectAccessReview", "Event", "events.k8s.io/Event"})


def has_generation(kind: Kind) -> bool:
    return kind.custom or kind.id in _WITH_GENERATION


def allows_create_on_update(kind: Kind) -> bool:
    """Whether a PUT makes the object when there is none."""
    return kind.id in _CREATE_ON_UPDATE


def allows_unconditional_update(kind: Kind) -> bool:
    """Whether an update may leave out metadata.resourceVersion."""
    return not kind.custom and kind.id not in _CONDITIONAL_UPDATE


def delete_returns_object(kind: Kind) -> bool:
    """Whether the answer to a finished deletion is the object instead of a Status."""
    return kind.id in _DELETE_RETURNS_OBJECT


def keeps_status_on_create(kind: Kind) -> bool:
    """Kinds whose creators are trusted with a status: nodes register themselves with one."""
    return kind.id in ("Node", "PersistentVolume", "apiextensions.k8s.io/CustomResourceDefinition")


def allowed_in_terminating_namespace(kind: Kind) -> bool:
    return kind.id in _EPHEMERAL_IN_TERMINATING


def grace_period(kind: Kind, obj: Obj, asked: int | None) -> int | None:
    """Seconds a deletion waits for the kubelet; None: this kind is deleted without."""
    if kind.id != "Pod":
        return None
    spec = obj.get("spec", {})
    period = asked if asked is not None else spec.get("terminationGracePeriodSeconds", 30)
    if period < 0:
        period = 1
    if not spec.get("nodeName") or obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    return int(period)


def fill(kind: Kind, obj: Obj) -> None:
    """Defaults that depend on the object itself."""
    if kind.id == "Namespace":
        labels = obj["metadata"].get("labels") or {}
        obj["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": obj["metadata"].get("name", "")}


def prepare_for_create(kind: Kind, obj: Obj) -> None:
    """What strategies set on creation."""
    match kind.id:
        case "Namespace":
            spec = obj.setdefault("spec", {})
            if "kubernetes" not in (spec.get("finalizers") or ()):
                spec["finalizers"] = [*(spec.get("finalizers") or ()), "kubernetes"]
            obj["status"] = {"phase": "Active"}
        case "Pod":
            obj["status"] = {"phase": "Pending", "qosClass": qos_class(obj)}
        case "PersistentVolumeClaim":
            obj["status"] = {"phase": "Pending"}
        case "PersistentVolume":
            obj["status"] = {"phase": "Pending"}


def prepare_for_update(kind: Kind, new: Obj, old: Obj, now: str) -> None:
    """What strategies keep or set on an update. `now`: a metav1.Time."""
    match kind.id:
        case "Namespace":
            if "finalizers" in (old.get("spec") or {}):
                new.setdefault("spec", {})["finalizers"] = old["spec"]["finalizers"]
        case "certificates.k8s.io/CertificateSigningRequest":
            known = {c.get("type"): c for c in (old.get("status") or {}).get("conditions") or ()}
            for condition in (new.get("status") or {}).get("conditions") or ():
                before = known.get(condition.get("type"), {})
                condition.setdefault("lastUpdateTime", now)
                condition["lastTransitionTime"] = before.get("lastTransitionTime", now)


def qos_class(pod: Obj) -> str:
    """Guaranteed, Burstable or BestEffort. Source: pkg/apis/core/v1/helper/qos."""
    spec = pod.get("spec", {})
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    guaranteed, any_resources = bool(containers), False
    for container in containers:
        resources = container.get("resources") or {}
        requests = resources.get("requests") or {}
        limits = resources.get("limits") or {}
        for name in ("cpu", "memory"):
            if name in requests or name in limits:
                any_resources = True
            if name not in limits or requests.get(name, limits[name]) != limits[name]:
                guaranteed = False
    if not any_resources:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def seconds(stamp: str) -> float:
    """A metav1.Time as seconds since the epoch."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
