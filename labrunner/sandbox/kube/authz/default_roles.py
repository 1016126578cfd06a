"""The roles and bindings a new cluster has, as far as people meet them.

Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy (policy.go) of Kubernetes 1.36; control-plane components' own
roles are left out, since here they do not come through RBAC.
"""

from __future__ import annotations

from labrunner.sandbox.kube.api import Obj

_READ = "get list watch"
_WRITE = "create delete deletecollection patch update"
_APPS_WRITE = (
    "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale"
    " statefulsets statefulsets/scale"
)
_APPS_READ = (
    "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets"
    " replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status"
)

_AGGREGATED = {"admin": "admin", "edit": "edit", "view": "view"}
"""Role -> the label `rbac.authorization.k8s.io/aggregate-to-<value>` that feeds it."""

_LABELS = {
    "edit": "admin",
    "view": "edit",
    "system:aggregate-to-admin": "admin",
    "system:aggregate-to-edit": "edit",
    "system:aggregate-to-view": "view",
}
"""Role -> the aggregate it feeds."""

_RULES: dict[str, tuple[tuple[str, str, str], ...]] = {
    # name: (API group, resources, verbs); a resource with a leading slash is a non-resource URL
    "cluster-admin": (("*", "*", "*"), ("", "/*", "*")),
    "system:aggregate-to-admin": (
        ("authorization.k8s.io", "localsubjectaccessreviews", "create"),
        (
            "rbac.authorization.k8s.io",
            "rolebindings roles",
            "create delete deletecollection get list patch update watch",
        ),
    ),
    "system:aggregate-to-edit": (
        ("core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", _READ),
        ("core", "serviceaccounts", "impersonate"),
        ("core", "pods pods/attach pods/exec pods/portforward pods/proxy", _WRITE),
        ("core", "pods/eviction", "create"),
        (
            "core",
            "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets"
            " serviceaccounts services services/proxy",
            _WRITE,
        ),
        ("core", "serviceaccounts/token", "create"),
        ("apps", _APPS_WRITE, _WRITE),
        ("autoscaling", "horizontalpodautoscalers", _WRITE),
        ("batch", "cronjobs jobs", _WRITE),
        (
            "extensions",
            "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets"
            " replicasets/scale replicationcontrollers/scale",
            _WRITE,
        ),
        ("policy", "poddisruptionbudgets", _WRITE),
        ("networking.k8s.io", "ingresses networkpolicies", _WRITE),
        ("coordination.k8s.io", "leases", "create delete deletecollection get list patch update watch"),
    ),
    "system:aggregate-to-view": (
        (
            "core",
            "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers"
            " replicationcontrollers/scale serviceaccounts services services/status",
            _READ,
        ),
        (
            "core",
            "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status"
            " resourcequotas resourcequotas/status",
            _READ,
        ),
        ("core", "namespaces", _READ),
        ("discovery.k8s.io", "endpointslices", _READ),
        ("apps", _APPS_READ, _READ),
        ("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", _READ),
        ("batch", "cronjobs cronjobs/status jobs jobs/status", _READ),
        (
            "extensions",
            "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status"
            " networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
            _READ,
        ),
        ("policy", "poddisruptionbudgets poddisruptionbudgets/status", _READ),
        ("networking.k8s.io", "ingresses ingresses/status networkpolicies", _READ),
    ),
    "system:auth-delegator": (
        ("authentication.k8s.io", "tokenreviews", "create"),
        ("authorization.k8s.io", "subjectaccessreviews", "create"),
    ),
    "system:basic-user": (
        ("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", "create"),
        ("authentication.k8s.io", "selfsubjectreviews", "create"),
    ),
    "system:discovery": (
        (
            "",
            "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/",
            "get",
        ),
    ),
    "system:monitoring": (("", "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*", "get"),),
    "system:public-info-viewer": (("", "/healthz /livez /readyz /version /version/", "get"),),
    "system:service-account-issuer-discovery": (("", "/.well-known/openid-configuration /openid/v1/jwks", "get"),),
}

_BINDINGS = (
    # role, groups
    ("cluster-admin", ("system:masters",)),
    ("system:basic-user", ("system:authenticated",)),
    ("system:discovery", ("system:authenticated",)),
    ("system:monitoring", ("system:monitoring",)),
    ("system:public-info-viewer", ("system:authenticated", "system:unauthenticated")),
    ("system:service-account-issuer-discovery", ("system:serviceaccounts",)),
)


def default_rbac_objects() -> list[Obj]:
    """The ClusterRoles and ClusterRoleBindings to create in a new cluster."""
    roles = [_role(name) for name in sorted({*_RULES, *_AGGREGATED})]
    return roles + [_binding(role, groups) for role, groups in _BINDINGS]


def _metadata(name: str, labels: dict[str, str]) -> Obj:
    return {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults", **labels},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }


def _role(name: str) -> Obj:
    labels = {f"rbac.authorization.k8s.io/aggregate-to-{_LABELS[name]}": "true"} if name in _LABELS else {}
    role: Obj = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": _metadata(name, labels),
    }
    if name in _AGGREGATED:
        label = {f"rbac.authorization.k8s.io/aggregate-to-{_AGGREGATED[name]}": "true"}
        return role | {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": label}]}, "rules": []}
    return role | {"rules": [_rule(*rule) for rule in _RULES[name]]}


def _rule(group: str, resources: str, verbs: str) -> Obj:
    if resources.startswith("/"):
        paths = ["*" if path == "/*" else path for path in resources.split()]
        return {"nonResourceURLs": paths, "verbs": verbs.split()}
    return {
        "apiGroups": ["" if group == "core" else group],
        "resources": resources.split(),
        "verbs": verbs.split(),
    }


def _binding(role: str, groups: tuple[str, ...]) -> Obj:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _metadata(role, {}),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": group} for group in groups],
    }
