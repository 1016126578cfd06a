"""Nobody grants what they do not hold: the guard on writes of roles and bindings.

Source: pkg/registry/rbac/{role,rolebinding,clusterrole,clusterrolebinding}/policybased/storage.go.
"""

from __future__ import annotations

import json

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.authz.rbac import GROUP, SUPERUSERS, RbacAuthorizer
from labrunner.sandbox.kube.authz.rules import Rule, compact, uncovered, written
from labrunner.sandbox.kube.request import AdmissionRequest, Attributes
from labrunner.sandbox.kube.status import forbidden, not_found


class EscalationGuard:
    """An admission step for the four RBAC kinds."""

    def __init__(self, authorizer: RbacAuthorizer) -> None:
        self._authorizer = authorizer

    def __call__(self, api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
        kind = request.kind
        if kind.group != GROUP or request.operation not in ("CREATE", "UPDATE") or SUPERUSERS in request.user.groups:
            return obj
        if kind.kind.endswith("Binding"):
            if old is not None and (old.get("roleRef"), old.get("subjects")) == (
                obj.get("roleRef"),
                obj.get("subjects"),
            ):
                return obj
            self._binding(request, obj)
        elif old is None or old.get("rules") != obj.get("rules") or obj.get("aggregationRule"):
            self._role(request, obj)
        return obj

    def _role(self, request: AdmissionRequest, obj: Obj) -> None:
        if self._may(request, "escalate", request.kind.plural, request.name):
            return
        wanted: list[Rule] = list(obj.get("rules") or ())
        if obj.get("aggregationRule"):
            # What a selector will pick up is not known, so all of it must be held.
            everything: list[Rule] = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
            if uncovered(self._authorizer.rules(request.user, "")[0], everything):
                raise forbidden(
                    request.kind.plural,
                    GROUP,
                    request.name,
                    "must have cluster-admin privileges to use the aggregationRule",
                )
        self._confirm(request, wanted)

    def _binding(self, request: AdmissionRequest, obj: Obj) -> None:
        ref = obj.get("roleRef") or {}
        plural = "clusterroles" if ref.get("kind") == "ClusterRole" else "roles"
        if self._may(request, "bind", plural, ref.get("name", "")):
            return
        try:
            wanted = self._authorizer.role_rules(ref, request.namespace)
        except LookupError as error:
            raise not_found(plural, GROUP, ref.get("name", "")) from error
        self._confirm(request, wanted)

    def _may(self, request: AdmissionRequest, verb: str, plural: str, name: str) -> bool:
        attributes = Attributes(verb, GROUP, "*", plural, namespace=request.namespace, name=name)
        return self._authorizer(request.user, attributes)[0]

    def _confirm(self, request: AdmissionRequest, wanted: list[Rule]) -> None:
        owned, problems = self._authorizer.rules(request.user, request.namespace)
        missing = uncovered(owned, wanted)
        if not missing:
            return
        user = request.user
        groups = " ".join(map(json.dumps, user.groups))
        lines = "\n".join(sorted({written(rule) for rule in compact(missing)}))
        why = (
            f"user {json.dumps(user.name)} (groups=[{groups}]) is attempting to grant RBAC permissions"
            f" not currently held:\n{lines}"
        )
        if problems:
            why += f"; resolution errors: [{problems}]"
        raise forbidden(request.kind.plural, GROUP, request.name, why)
