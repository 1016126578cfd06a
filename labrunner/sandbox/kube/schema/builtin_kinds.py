"""The built-in kinds a 1.36 server serves by default, as `kubectl api-resources` lists them."""

from __future__ import annotations

from labrunner.sandbox.kube.kinds import Kind

_CREATE = ("create",)
_READ = ("get", "list")
_STATUS = ("status",)
_SCALED = ("scale", "status")


def builtin_kinds() -> list[Kind]:
    """In the order discovery lists groups."""
    return [
        *_core(),
        *_apps_and_batch(),
        *_policy_and_network(),
        *_access(),
        *_cluster(),
    ]


def _core() -> list[Kind]:
    def core(kind: str, plural: str, short: str = "", **more: object) -> Kind:
        names = tuple(short.split())
        return Kind(group="", kind=kind, plural=plural, versions=("v1",), short_names=names, **more)  # type: ignore[arg-type]

    pod = (
        *("attach", "binding", "ephemeralcontainers", "eviction", "exec"),
        *("log", "portforward", "proxy", "resize", "status"),
    )
    return [
        core("Binding", "bindings", verbs=_CREATE),
        core("ComponentStatus", "componentstatuses", "cs", namespaced=False, verbs=_READ),
        core("ConfigMap", "configmaps", "cm"),
        core("Endpoints", "endpoints", "ep"),
        core("Event", "events", "ev"),
        core("LimitRange", "limitranges", "limits"),
        core(
            "Namespace",
            "namespaces",
            "ns",
            namespaced=False,
            subresources=("finalize", "status"),
            verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
        ),
        core("Node", "nodes", "no", namespaced=False, subresources=("proxy", "status")),
        core("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", subresources=_STATUS),
        core("PersistentVolume", "persistentvolumes", "pv", namespaced=False, subresources=_STATUS),
        core("Pod", "pods", "po", categories=("all",), subresources=pod),
        core("PodTemplate", "podtemplates"),
        core("ReplicationController", "replicationcontrollers", "rc", categories=("all",), subresources=_SCALED),
        core("ResourceQuota", "resourcequotas", "quota", subresources=_STATUS),
        core("Secret", "secrets"),
        core("ServiceAccount", "serviceaccounts", "sa", subresources=("token",)),
        core("Service", "services", "svc", categories=("all",), subresources=("proxy", "status")),
    ]


def _apps_and_batch() -> list[Kind]:
    all_ = ("all",)
    return [
        Kind("apps", "ControllerRevision", "controllerrevisions", ("v1",)),
        Kind("apps", "DaemonSet", "daemonsets", ("v1",), short_names=("ds",), categories=all_, subresources=_STATUS),
        Kind(
            "apps", "Deployment", "deployments", ("v1",), short_names=("deploy",), categories=all_, subresources=_SCALED
        ),
        Kind("apps", "ReplicaSet", "replicasets", ("v1",), short_names=("rs",), categories=all_, subresources=_SCALED),
        Kind(
            "apps", "StatefulSet", "statefulsets", ("v1",), short_names=("sts",), categories=all_, subresources=_SCALED
        ),
        Kind(
            "autoscaling",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            ("v2", "v1"),
            short_names=("hpa",),
            categories=all_,
            subresources=_STATUS,
        ),
        Kind("batch", "CronJob", "cronjobs", ("v1",), short_names=("cj",), categories=all_, subresources=_STATUS),
        Kind("batch", "Job", "jobs", ("v1",), categories=all_, subresources=_STATUS),
    ]


def _policy_and_network() -> list[Kind]:
    net = "networking.k8s.io"
    return [
        Kind("discovery.k8s.io", "EndpointSlice", "endpointslices", ("v1",)),
        Kind(net, "IngressClass", "ingressclasses", ("v1",), namespaced=False),
        Kind(net, "Ingress", "ingresses", ("v1",), short_names=("ing",), subresources=_STATUS),
        Kind(net, "IPAddress", "ipaddresses", ("v1",), short_names=("ip",), namespaced=False),
        Kind(net, "NetworkPolicy", "networkpolicies", ("v1",), short_names=("netpol",)),
        Kind(net, "ServiceCIDR", "servicecidrs", ("v1",), namespaced=False, subresources=_STATUS),
        Kind(
            "policy", "PodDisruptionBudget", "poddisruptionbudgets", ("v1",), short_names=("pdb",), subresources=_STATUS
        ),
        Kind("scheduling.k8s.io", "PriorityClass", "priorityclasses", ("v1",), short_names=("pc",), namespaced=False),
        Kind("events.k8s.io", "Event", "events", ("v1",), short_names=("ev",)),
    ]


def _access() -> list[Kind]:
    rbac, authn, authz = "rbac.authorization.k8s.io", "authentication.k8s.io", "authorization.k8s.io"
    return [
        Kind(authn, "SelfSubjectReview", "selfsubjectreviews", ("v1",), namespaced=False, verbs=_CREATE),
        Kind(authn, "TokenReview", "tokenreviews", ("v1",), namespaced=False, verbs=_CREATE),
        Kind(authz, "LocalSubjectAccessReview", "localsubjectaccessreviews", ("v1",), verbs=_CREATE),
        Kind(authz, "SelfSubjectAccessReview", "selfsubjectaccessreviews", ("v1",), namespaced=False, verbs=_CREATE),
        Kind(authz, "SelfSubjectRulesReview", "selfsubjectrulesreviews", ("v1",), namespaced=False, verbs=_CREATE),
        Kind(authz, "SubjectAccessReview", "subjectaccessreviews", ("v1",), namespaced=False, verbs=_CREATE),
        Kind(
            "certificates.k8s.io",
            "CertificateSigningRequest",
            "certificatesigningrequests",
            ("v1",),
            short_names=("csr",),
            namespaced=False,
            subresources=("approval", "status"),
        ),
        Kind(rbac, "ClusterRoleBinding", "clusterrolebindings", ("v1",), namespaced=False),
        Kind(rbac, "ClusterRole", "clusterroles", ("v1",), namespaced=False),
        Kind(rbac, "RoleBinding", "rolebindings", ("v1",)),
        Kind(rbac, "Role", "roles", ("v1",)),
    ]


def _cluster() -> list[Kind]:
    admission, resource, storage = "admissionregistration.k8s.io", "resource.k8s.io", "storage.k8s.io"
    flow = "flowcontrol.apiserver.k8s.io"

    def cluster(group: str, kind: str, plural: str, *short: str, subresources: tuple[str, ...] = ()) -> Kind:
        return Kind(group, kind, plural, ("v1",), short_names=short, namespaced=False, subresources=subresources)

    return [
        cluster(admission, "MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
        cluster(admission, "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
        cluster(admission, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
        cluster(admission, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", subresources=_STATUS),
        cluster(admission, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
        cluster(admission, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        cluster(
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            "crd",
            "crds",
            subresources=_STATUS,
        ),
        cluster("apiregistration.k8s.io", "APIService", "apiservices", subresources=_STATUS),
        Kind("coordination.k8s.io", "Lease", "leases", ("v1",)),
        cluster(flow, "FlowSchema", "flowschemas", subresources=_STATUS),
        cluster(flow, "PriorityLevelConfiguration", "prioritylevelconfigurations", subresources=_STATUS),
        cluster("node.k8s.io", "RuntimeClass", "runtimeclasses"),
        cluster(resource, "DeviceClass", "deviceclasses"),
        Kind(resource, "ResourceClaim", "resourceclaims", ("v1",), subresources=_STATUS),
        Kind(resource, "ResourceClaimTemplate", "resourceclaimtemplates", ("v1",)),
        cluster(resource, "ResourceSlice", "resourceslices"),
        cluster(storage, "CSIDriver", "csidrivers"),
        cluster(storage, "CSINode", "csinodes"),
        Kind(storage, "CSIStorageCapacity", "csistoragecapacities", ("v1",)),
        cluster(storage, "StorageClass", "storageclasses", "sc"),
        cluster(storage, "VolumeAttachment", "volumeattachments", subresources=_STATUS),
        cluster(storage, "VolumeAttributesClass", "volumeattributesclasses", "vac"),
    ]
