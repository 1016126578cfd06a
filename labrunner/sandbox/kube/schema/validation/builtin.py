"""Built-in kinds: which module validates which kind, and how its objects may be named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import (
    access,
    config,
    crd,
    jobs,
    metadata,
    names,
    network,
    pods,
    policies,
    resources,
    scaling,
    services,
    storage,
    workloads,
)

Obj = dict[str, Any]
Check = Callable[[Obj, Obj | None], list[FieldError]]

_RBAC = "rbac.authorization.k8s.io"

CHECKS: dict[str, Check] = {
    "ConfigMap": config.config_map,
    "Endpoints": services.endpoints,
    "LimitRange": resources.limit_range,
    "Namespace": config.namespace,
    "PersistentVolume": storage.volume,
    "PersistentVolumeClaim": storage.claim,
    "PodTemplate": workloads.pod_template,
    "ReplicationController": workloads.replication_controller,
    "ResourceQuota": resources.resource_quota,
    "Secret": config.secret,
    "Service": services.service,
    "ServiceAccount": config.service_account,
    "admissionregistration.k8s.io/ValidatingAdmissionPolicy": policies.validating_policy,
    "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding": policies.binding,
    "apiextensions.k8s.io/CustomResourceDefinition": crd.custom_resource_definition,
    "apps/ControllerRevision": workloads.controller_revision,
    "apps/DaemonSet": workloads.daemon_set,
    "apps/Deployment": workloads.deployment,
    "apps/ReplicaSet": workloads.replica_set,
    "apps/StatefulSet": workloads.stateful_set,
    "autoscaling/HorizontalPodAutoscaler": scaling.autoscaler,
    "batch/CronJob": jobs.cron_job,
    "batch/Job": jobs.job,
    "discovery.k8s.io/EndpointSlice": services.endpoint_slice,
    "networking.k8s.io/Ingress": network.ingress,
    "networking.k8s.io/IngressClass": network.ingress_class,
    "networking.k8s.io/NetworkPolicy": network.network_policy,
    "policy/PodDisruptionBudget": scaling.disruption_budget,
    f"{_RBAC}/ClusterRole": access.cluster_role,
    f"{_RBAC}/ClusterRoleBinding": access.cluster_role_binding,
    f"{_RBAC}/Role": access.role,
    f"{_RBAC}/RoleBinding": access.role_binding,
    "scheduling.k8s.io/PriorityClass": scaling.priority_class,
    "storage.k8s.io/StorageClass": storage.storage_class,
}
"""The check of everything but metadata, by kind."""

NAMES: dict[str, names.NameCheck] = {
    "Namespace": names.dns1123_label,
    "Service": names.dns1123_label,
    **{f"{_RBAC}/{kind}": names.path_segment for kind in ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")},
    "certificates.k8s.io/CertificateSigningRequest": names.dns1123_subdomain,
}
"""Kinds whose names are not plain DNS subdomains."""

UNNAMED = frozenset(
    {
        "authentication.k8s.io/SelfSubjectReview",
        "authentication.k8s.io/TokenReview",
        "authorization.k8s.io/LocalSubjectAccessReview",
        "authorization.k8s.io/SelfSubjectAccessReview",
        "authorization.k8s.io/SelfSubjectRulesReview",
        "authorization.k8s.io/SubjectAccessReview",
        "Binding",
    }
)
"""Kinds that are only asked, never stored."""

_OWN_METADATA = ("apiextensions.k8s.io/", "apiregistration.k8s.io/")
"""Groups whose objects may have any finalizer, as custom resources may."""
_STATUS_LIKE = ("status", "approval", "finalize")


def validate_builtin(kind: str, obj: Obj, old: Obj | None = None, subresource: str = "") -> list[FieldError]:
    """Errors of a decoded and defaulted built-in object; with `old`, of its update. `kind` is `Kind.id`."""
    if kind in UNNAMED:
        return []
    errors = metadata.validate(obj, old, NAMES.get(kind, names.dns1123_subdomain))
    if not kind.startswith(_OWN_METADATA):
        errors += metadata.standard_finalizers(obj)
    if subresource in _STATUS_LIKE:
        return errors
    if kind == "Pod":
        return errors + pods.pod(obj, old, subresource)
    check = CHECKS.get(kind)
    return errors + check(obj, old) if check else errors
