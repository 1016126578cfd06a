"""RBAC decides, lists and guards as the API server does."""

from __future__ import annotations

from typing import Any

import pytest

from labrunner.sandbox.kube.admission.pod_security_checks import evaluate
from labrunner.sandbox.kube.admission.quota_usage import in_scope, unspecified, usage
from labrunner.sandbox.kube.authz.default_roles import default_rbac_objects
from labrunner.sandbox.kube.authz.escalation import EscalationGuard
from labrunner.sandbox.kube.authz.rbac import GROUP, RbacAuthorizer
from labrunner.sandbox.kube.authz.rules import allows, compact, uncovered, written
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.request import AdmissionRequest, Attributes, Options, User
from labrunner.sandbox.kube.status import ApiError


class Objects:
    """Only what authorization reads of `Api`."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self._objects = objects

    def subscribe(self, kinds: object, callback: object) -> object:
        return lambda: None

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        return next((o for o in self.objects(kind, namespace) if o["metadata"]["name"] == name), None)

    def objects(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        return [
            o
            for o in self._objects
            if kind.endswith("/" + o["kind"]) and o["metadata"].get("namespace", "") == namespace
        ]


def role(name: str, namespace: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "Role", "metadata": {"name": name, "namespace": namespace}, "rules": list(rules)}


def binding(name: str, namespace: str, ref: str, subject: dict[str, str]) -> dict[str, Any]:
    return {
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": ref},
        "subjects": [subject],
    }


READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
JANE = {"kind": "User", "name": "jane"}
VIEWER = User("system:serviceaccount:ns:viewer", ("system:serviceaccounts", "system:authenticated"))


def test_a_role_counts_in_its_namespace_only() -> None:
    api = Objects(
        role("read", "ns", READ_PODS), binding("b", "ns", "read", {"kind": "ServiceAccount", "name": "viewer"})
    )
    authorize = RbacAuthorizer(api)  # type: ignore[arg-type]
    allowed, reason = authorize(VIEWER, Attributes("list", resource="pods", namespace="ns"))
    assert allowed
    assert reason == 'RBAC: allowed by RoleBinding "b/ns" of Role "read" to ServiceAccount "viewer/ns"'
    assert authorize(VIEWER, Attributes("list", resource="pods", namespace="other")) == (False, "")
    assert authorize(VIEWER, Attributes("delete", resource="pods", namespace="ns")) == (False, "")
    assert authorize(VIEWER, Attributes("list", resource="pods")) == (False, "")


def test_a_binding_to_a_missing_role_says_so() -> None:
    api = Objects(binding("b", "ns", "gone", JANE))
    authorize = RbacAuthorizer(api)  # type: ignore[arg-type]
    allowed, reason = authorize(User("jane"), Attributes("get", resource="pods", namespace="ns"))
    assert not allowed
    assert reason == f'RBAC: role.{GROUP} "gone" not found'


@pytest.mark.parametrize(
    ("rule", "attributes", "expected"),
    [
        (READ_PODS, Attributes("get", resource="pods"), True),
        (READ_PODS, Attributes("get", resource="pods", subresource="log"), False),
        ({**READ_PODS, "resources": ["pods/log"]}, Attributes("get", resource="pods", subresource="log"), True),
        ({**READ_PODS, "resources": ["*/log"]}, Attributes("get", resource="pods", subresource="log"), True),
        ({**READ_PODS, "resourceNames": ["a"]}, Attributes("get", resource="pods", name="a"), True),
        ({**READ_PODS, "resourceNames": ["a"]}, Attributes("list", resource="pods"), False),
        ({"nonResourceURLs": ["/api/*"], "verbs": ["get"]}, Attributes("get", path="/api/v1"), True),
        ({"nonResourceURLs": ["/api/*"], "verbs": ["get"]}, Attributes("get", path="/version"), False),
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, Attributes("get", path="/version"), False),
    ],
)
def test_a_rule_allows_what_it_names(rule: dict[str, Any], attributes: Attributes, expected: bool) -> None:
    assert allows(rule, attributes) is expected


def test_missing_permissions_are_written_as_the_server_writes_them() -> None:
    wanted = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "create"]}]
    missing = uncovered([{**READ_PODS, "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}], wanted)
    assert [written(rule) for rule in compact(missing)] == [
        '{APIGroups:["apps"], Resources:["deployments"], Verbs:["create"]}'
    ]


def test_nobody_grants_what_they_do_not_hold() -> None:
    api = Objects(role("read", "ns", READ_PODS), binding("b", "ns", "read", JANE))
    guard = EscalationGuard(RbacAuthorizer(api))  # type: ignore[arg-type]
    kind = Kind(GROUP, "Role", "roles", ("v1",))
    request = AdmissionRequest("CREATE", kind, "ns", "mine", "", Options(User("jane", ("system:authenticated",))))
    guard(api, request, role("mine", "ns", READ_PODS), None)  # type: ignore[arg-type]
    with pytest.raises(ApiError) as refused:
        guard(api, request, role("mine", "ns", {**READ_PODS, "verbs": ["delete"]}), None)  # type: ignore[arg-type]
    assert refused.value.message == (
        f'roles.{GROUP} "mine" is forbidden: user "jane" (groups=["system:authenticated"]) is attempting to grant RBAC'
        ' permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}'
    )


def test_the_default_roles_are_complete_and_bound() -> None:
    objects = default_rbac_objects()
    names = {o["metadata"]["name"] for o in objects if o["kind"] == "ClusterRole"}
    assert {"cluster-admin", "admin", "edit", "view", "system:discovery"} <= names
    for bound in (o for o in objects if o["kind"] == "ClusterRoleBinding"):
        assert bound["roleRef"]["name"] in names


def pod(**spec: Any) -> dict[str, Any]:
    return {"containers": [{"name": "app", "image": "nginx"}], **spec}


def test_the_restricted_level_names_everything_that_is_missing() -> None:
    assert [violation.reason for violation in evaluate("restricted", {}, pod())] == [
        "allowPrivilegeEscalation != false",
        "unrestricted capabilities",
        "runAsNonRoot != true",
        "seccompProfile",
    ]
    assert evaluate("baseline", {}, pod()) == []
    hardened = pod(securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}})
    hardened["containers"][0]["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
    }
    assert evaluate("restricted", {}, hardened) == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (pod(hostNetwork=True, hostPID=True), "host namespaces (hostNetwork=true, hostPID=true)"),
        (pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), 'hostPath volumes (volume "v")'),
        (
            {"containers": [{"name": "app", "securityContext": {"privileged": True}}]},
            'privileged (container "app" must not set securityContext.privileged=true)',
        ),
        (
            {"containers": [{"name": "app", "ports": [{"hostPort": 80}]}]},
            'hostPort (container "app" uses hostPort 80)',
        ),
        (
            {"containers": [{"name": "app", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]},
            'non-default capabilities (container "app" must not include "NET_ADMIN" in'
            " securityContext.capabilities.add)",
        ),
    ],
)
def test_the_baseline_level_says_what_and_where(spec: dict[str, Any], said: str) -> None:
    assert [str(violation) for violation in evaluate("baseline", {}, spec)] == [said]


def test_quota_counts_what_a_pod_asks_for() -> None:
    kind = Kind("", "Pod", "pods", ("v1",))
    spec = {
        "containers": [{"name": "a", "resources": {"requests": {"cpu": "250m"}, "limits": {"memory": "1Gi"}}}] * 2,
        "initContainers": [{"name": "i", "resources": {"requests": {"cpu": "1"}}}],
    }
    used = usage(kind, {"spec": spec})
    assert str(used["requests.cpu"]) == "1"
    assert str(used["limits.memory"]) == "2Gi"
    assert str(used["pods"]) == "1"
    assert usage(kind, {"spec": spec, "status": {"phase": "Failed"}}).keys() == {"count/pods"}
    assert unspecified(spec, ["limits.cpu", "pods"]) == {"limits.cpu": ["a", "a", "i"]}
    scoped = {"spec": {"scopes": ["BestEffort"]}}
    assert not in_scope(scoped, kind, {"spec": spec})
    assert in_scope(scoped, kind, {"spec": pod()})
