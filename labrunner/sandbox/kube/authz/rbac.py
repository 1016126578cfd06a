"""The RBAC authorizer. Source: plugin/pkg/auth/authorizer/rbac and pkg/registry/rbac/validation/rule.go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.authz.rules import Rule, allows
from labrunner.sandbox.kube.request import Attributes, User

GROUP = "rbac.authorization.k8s.io"
SUPERUSERS = "system:masters"
_KINDS = tuple(f"{GROUP}/{kind}" for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"))


class RbacAuthorizer:
    """Decides by the roles and bindings in the store; call it with a user and the request's attributes."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._bindings: dict[str, list[Obj]] = {}
        """By namespace; "" holds the cluster's. Dropped when a binding changes."""
        api.subscribe((f"{GROUP}/RoleBinding", f"{GROUP}/ClusterRoleBinding"), self._changed)

    def __call__(self, user: User, attributes: Attributes) -> tuple[bool, str]:
        """(allowed, reason). The reason of a refusal is empty unless a binding could not be resolved."""
        if SUPERUSERS in user.groups:
            return True, ""
        problems: list[str] = []
        for source, rule in self._visit(user, attributes.namespace, problems):
            if allows(rule, attributes):
                return True, f"RBAC: allowed by {source}"
        return False, f"RBAC: {_aggregate(problems)}" if problems else ""

    def rules(self, user: User, namespace: str) -> tuple[list[Rule], str]:
        """All rules that hold for this user there, and what could not be resolved (empty: nothing)."""
        problems: list[str] = []
        if SUPERUSERS in user.groups:
            return [
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]},
            ], ""
        return [rule for _, rule in self._visit(user, namespace, problems)], _aggregate(problems)

    def role_rules(self, role_ref: Obj, namespace: str) -> list[Rule]:
        """The rules of a roleRef. Raises LookupError with the server's sentence."""
        name = role_ref.get("name", "")
        if role_ref.get("kind") == "Role":
            role, resource = self._api.get(f"{GROUP}/Role", name, namespace), "role"
        elif role_ref.get("kind") == "ClusterRole":
            role, resource = self._api.get(f"{GROUP}/ClusterRole", name), "clusterrole"
        else:
            raise LookupError(f"unsupported role reference kind: {json.dumps(role_ref.get('kind', ''))}")
        if role is None:
            raise LookupError(f"{resource}.{GROUP} {json.dumps(name)} not found")
        return list(role.get("rules") or ())

    def _visit(self, user: User, namespace: str, problems: list[str]) -> Iterator[tuple[str, Rule]]:
        for scope in ("", namespace) if namespace else ("",):
            for binding in self._in(scope):
                subject = next((s for s in binding.get("subjects") or () if _applies(user, s, scope)), None)
                if subject is None:
                    continue
                try:
                    found = self.role_rules(binding["roleRef"], scope)
                except LookupError as error:
                    problems.append(str(error))
                    continue
                for rule in found:
                    yield _described(binding, subject, scope), rule

    def _in(self, namespace: str) -> list[Obj]:
        found = self._bindings.get(namespace)
        if found is None:
            kind = f"{GROUP}/{'RoleBinding' if namespace else 'ClusterRoleBinding'}"
            found = self._bindings[namespace] = self._api.objects(kind, namespace)
        return found

    def _changed(self, change: Change) -> None:
        self._bindings.pop(change.obj["metadata"].get("namespace", ""), None)


def _applies(user: User, subject: dict[str, Any], namespace: str) -> bool:
    match subject.get("kind"):
        case "User":
            return user.name == subject.get("name")
        case "Group":
            return subject.get("name") in user.groups
        case "ServiceAccount":
            home = subject.get("namespace") or namespace
            return bool(home) and user.name == f"system:serviceaccount:{home}:{subject.get('name')}"
    return False


def _described(binding: Obj, subject: dict[str, Any], namespace: str) -> str:
    kind, name = subject.get("kind", ""), subject.get("name", "")
    if kind == "ServiceAccount":
        name = f"{name}/{subject.get('namespace') or namespace}"
    meta, ref = binding["metadata"], binding["roleRef"]
    what, which = ("RoleBinding", f"{meta['name']}/{namespace}") if namespace else ("ClusterRoleBinding", meta["name"])
    q = json.dumps
    return f"{what} {q(which)} of {ref['kind']} {q(ref['name'])} to {kind} {q(name)}"


def _aggregate(problems: list[str]) -> str:
    distinct = list(dict.fromkeys(problems))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]" if distinct else ""
