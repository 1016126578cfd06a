"""What the server fills in: defaults of CRD schemas, and those compiled in for built-in kinds.

Source: apiextensions-apiserver schema/defaulting and k8s.io/kubernetes pkg/apis/*/v1/defaults.go.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from labrunner.sandbox.kube.schema.node import SchemaNode
from labrunner.sandbox.kube.schema.pod_defaults import pod, pod_template

Obj = dict[str, Any]


def default_custom(node: SchemaNode, obj: Obj) -> None:
    """Apply the schema's `default`s in place; null where neither null nor absence is meant becomes the default."""
    _fill(node.raw, obj)


def _fill(schema: Mapping[str, Any], value: Any) -> None:
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for name, child in properties.items():
            if "$ref" in child:
                continue
            if "default" in child and (name not in value or (value[name] is None and not child.get("nullable"))):
                value[name] = copy.deepcopy(child["default"])
            if name in value:
                _fill(child, value[name])
        additional = schema.get("additionalProperties")
        if isinstance(additional, Mapping):
            for name, child in value.items():
                if name not in properties:
                    _fill(additional, child)
    elif isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, Mapping):
            for child in value:
                _fill(items, child)


def default_builtin(kind: str, obj: Obj) -> None:
    """Apply a built-in kind's defaults in place. `kind` is `Kind.id`; unknown kinds are left alone."""
    for path, value in STATIC.get(kind, {}).items():
        _set(obj, path, value)
    if computed := COMPUTED.get(kind):
        computed(obj)


def _set(obj: Obj, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        child = obj.setdefault(name, {})
        if not isinstance(child, dict):
            return
        obj = child
    if obj.get(last) is None or obj[last] == "":
        obj[last] = copy.deepcopy(value)


_RBAC = "rbac.authorization.k8s.io"

STATIC: dict[str, Obj] = {
    "Secret": {"type": "Opaque"},
    "Namespace": {"status.phase": "Active"},
    "Service": {"spec.sessionAffinity": "None", "spec.type": "ClusterIP"},
    "PersistentVolumeClaim": {"spec.volumeMode": "Filesystem", "status.phase": "Pending"},
    "PersistentVolume": {
        "spec.persistentVolumeReclaimPolicy": "Retain",
        "spec.volumeMode": "Filesystem",
        "status.phase": "Pending",
    },
    "ReplicationController": {"spec.replicas": 1},
    "apps/Deployment": {
        "spec.replicas": 1,
        "spec.revisionHistoryLimit": 10,
        "spec.progressDeadlineSeconds": 600,
        "spec.strategy.type": "RollingUpdate",
    },
    "apps/ReplicaSet": {"spec.replicas": 1},
    "apps/DaemonSet": {
        "spec.revisionHistoryLimit": 10,
        "spec.updateStrategy.type": "RollingUpdate",
    },
    "apps/StatefulSet": {
        "spec.replicas": 1,
        "spec.revisionHistoryLimit": 10,
        "spec.podManagementPolicy": "OrderedReady",
        "spec.persistentVolumeClaimRetentionPolicy.whenDeleted": "Retain",
        "spec.persistentVolumeClaimRetentionPolicy.whenScaled": "Retain",
        "spec.updateStrategy.type": "RollingUpdate",
    },
    "batch/Job": {
        "spec.completionMode": "NonIndexed",
        "spec.suspend": False,
        "spec.manualSelector": False,
    },
    "batch/CronJob": {
        "spec.concurrencyPolicy": "Allow",
        "spec.suspend": False,
        "spec.successfulJobsHistoryLimit": 3,
        "spec.failedJobsHistoryLimit": 1,
    },
    "storage.k8s.io/StorageClass": {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
    "scheduling.k8s.io/PriorityClass": {"preemptionPolicy": "PreemptLowerPriority"},
    "rbac.authorization.k8s.io/RoleBinding": {"roleRef.apiGroup": _RBAC},
    "rbac.authorization.k8s.io/ClusterRoleBinding": {"roleRef.apiGroup": _RBAC},
    "apiextensions.k8s.io/CustomResourceDefinition": {"spec.conversion.strategy": "None"},
    "admissionregistration.k8s.io/ValidatingAdmissionPolicy": {"spec.failurePolicy": "Fail"},
    "storage.k8s.io/CSIDriver": {
        "spec.attachRequired": True,
        "spec.podInfoOnMount": False,
        "spec.storageCapacity": False,
        "spec.fsGroupPolicy": "ReadWriteOnceWithFSType",
        "spec.volumeLifecycleModes": ["Persistent"],
        "spec.requiresRepublish": False,
        "spec.seLinuxMount": False,
    },
}
"""Constant defaults by dotted path; an absent parent is made."""


def _service(obj: Obj) -> None:
    """Addresses and families are allocated later, not defaulted."""
    spec = obj["spec"]
    kind = spec["type"]
    if spec["sessionAffinity"] == "ClientIP":
        _set(spec, "sessionAffinityConfig.clientIP.timeoutSeconds", 10800)
    for port in spec.get("ports", []):
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, 0, "") and "port" in port:
            port["targetPort"] = port["port"]
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _deployment(obj: Obj) -> None:
    strategy = obj["spec"]["strategy"]
    if strategy["type"] == "RollingUpdate":
        _set(strategy, "rollingUpdate.maxUnavailable", "25%")
        _set(strategy, "rollingUpdate.maxSurge", "25%")
    _template(obj)


def _daemon_set(obj: Obj) -> None:
    strategy = obj["spec"]["updateStrategy"]
    if strategy["type"] == "RollingUpdate":
        _set(strategy, "rollingUpdate.maxUnavailable", 1)
        _set(strategy, "rollingUpdate.maxSurge", 0)
    _template(obj)


def _stateful_set(obj: Obj) -> None:
    strategy = obj["spec"]["updateStrategy"]
    if strategy["type"] == "RollingUpdate":
        _set(strategy, "rollingUpdate.partition", 0)
    for claim in obj["spec"].get("volumeClaimTemplates", []):
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        default_builtin("PersistentVolumeClaim", claim)
    _template(obj)


def _template(obj: Obj) -> None:
    pod_template(obj.get("spec", {}).get("template"))


def _replication_controller(obj: Obj) -> None:
    labels = obj["spec"].get("template", {}).get("metadata", {}).get("labels")
    if labels:
        obj["spec"].setdefault("selector", dict(labels))
        obj.setdefault("metadata", {}).setdefault("labels", dict(labels))
    _template(obj)


def _job(obj: Obj) -> None:
    spec = obj["spec"]
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 2**31 - 1 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    _template(obj)


def _cron_job(obj: Obj) -> None:
    pod_template(obj.get("spec", {}).get("jobTemplate", {}).get("spec", {}).get("template"))


def _autoscaler(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if obj.get("apiVersion") == "autoscaling/v1":
        return
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior:
        _scaling(behavior, "scaleUp", 0, [("Pods", 4), ("Percent", 100)])
        _scaling(behavior, "scaleDown", None, [("Percent", 100)])


def _scaling(behavior: Obj, direction: str, window: int | None, policies: list[tuple[str, int]]) -> None:
    rules = behavior.setdefault(direction, {})
    if window is not None:
        rules.setdefault("stabilizationWindowSeconds", window)
    rules.setdefault("selectPolicy", "Max")
    if not rules.get("policies"):
        rules["policies"] = [{"type": kind, "value": value, "periodSeconds": 15} for kind, value in policies]


def _network_policy(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction, []):
            for port in rule.get("ports", []):
                port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _binding(obj: Obj) -> None:
    for subject in obj.get("subjects", []):
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", _RBAC)


def _endpoints(obj: Obj) -> None:
    for subset in obj.get("subsets", []):
        for port in subset.get("ports", []):
            port.setdefault("protocol", "TCP")


def _endpoint_slice(obj: Obj) -> None:
    for port in obj.get("ports") or []:
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _limit_range(obj: Obj) -> None:
    for item in obj.get("spec", {}).get("limits", []):
        if item.get("type") != "Container":
            continue
        limits, requests = item.setdefault("default", {}), item.setdefault("defaultRequest", {})
        for resource, amount in item.get("max", {}).items():
            limits.setdefault(resource, amount)
        for resource, amount in limits.items():
            requests.setdefault(resource, amount)
        for resource, amount in item.get("min", {}).items():
            requests.setdefault(resource, amount)
        for key in ("default", "defaultRequest"):
            if not item[key]:
                del item[key]


def _custom_resource_definition(obj: Obj) -> None:
    names = obj.get("spec", {}).get("names", {})
    if names.get("kind"):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", names["kind"] + "List")
    webhook = obj["spec"]["conversion"].get("webhook", {})
    service = webhook.get("clientConfig", {}).get("service")
    if service:
        service.setdefault("port", 443)


def _webhooks(obj: Obj) -> None:
    mutating = obj.get("kind") == "MutatingWebhookConfiguration"
    for webhook in obj.get("webhooks", []):
        webhook.setdefault("failurePolicy", "Fail")
        webhook.setdefault("matchPolicy", "Equivalent")
        webhook.setdefault("namespaceSelector", {})
        webhook.setdefault("objectSelector", {})
        webhook.setdefault("timeoutSeconds", 10)
        if mutating:
            webhook.setdefault("reinvocationPolicy", "Never")
        for rule in webhook.get("rules", []):
            rule.setdefault("scope", "*")
        service = webhook.get("clientConfig", {}).get("service")
        if service:
            service.setdefault("port", 443)


def _pod_template_kind(obj: Obj) -> None:
    pod_template(obj.get("template"))


def _admission_policy(obj: Obj) -> None:
    spec = obj.get("spec") or {}
    for criteria in (spec.get("matchConstraints"), spec.get("matchResources")):
        if not isinstance(criteria, dict):
            continue
        for name, value in (("matchPolicy", "Equivalent"), ("namespaceSelector", {}), ("objectSelector", {})):
            criteria.setdefault(name, value)
        for key in ("resourceRules", "excludeResourceRules"):
            for rule in criteria.get(key) or ():
                rule.setdefault("scope", "*")


COMPUTED: dict[str, Callable[[Obj], None]] = {
    "Pod": pod,
    "PodTemplate": _pod_template_kind,
    "ReplicationController": _replication_controller,
    "Service": _service,
    "Endpoints": _endpoints,
    "LimitRange": _limit_range,
    "apps/Deployment": _deployment,
    "apps/ReplicaSet": _template,
    "apps/DaemonSet": _daemon_set,
    "apps/StatefulSet": _stateful_set,
    "batch/Job": _job,
    "batch/CronJob": _cron_job,
    "autoscaling/HorizontalPodAutoscaler": _autoscaler,
    "networking.k8s.io/NetworkPolicy": _network_policy,
    "rbac.authorization.k8s.io/RoleBinding": _binding,
    "rbac.authorization.k8s.io/ClusterRoleBinding": _binding,
    "discovery.k8s.io/EndpointSlice": _endpoint_slice,
    "apiextensions.k8s.io/CustomResourceDefinition": _custom_resource_definition,
    "admissionregistration.k8s.io/ValidatingAdmissionPolicy": _admission_policy,
    "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding": _admission_policy,
    "admissionregistration.k8s.io/MutatingWebhookConfiguration": _webhooks,
    "admissionregistration.k8s.io/ValidatingWebhookConfiguration": _webhooks,
}
"""Defaults that depend on other fields or stand in lists; applied after `STATIC`."""
