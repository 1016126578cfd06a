"""Which requests a ValidatingAdmissionPolicy and its binding are about.

Source: k8s.io/apiserver/pkg/admission/plugin/policy/matching/matching.go and .../webhook/predicates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.request import AdmissionRequest
from labrunner.sandbox.kube.selectors import selector_matches


def matches(
    api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None, criteria: Mapping[str, Any], *, rules: bool
) -> bool:
    """Whether the criteria cover the request. `rules`: without resource rules nothing is covered (else everything)."""
    if not _namespace_selected(api, request, obj, criteria.get("namespaceSelector")):
        return False
    selector = criteria.get("objectSelector")
    if selector and not any(
        selector_matches(selector, (one.get("metadata") or {}).get("labels") or {}) for one in (obj, old) if one
    ):
        return False
    if any(_covers(rule, request) for rule in criteria.get("excludeResourceRules") or ()):
        return False
    wanted = criteria.get("resourceRules") or ()
    return any(_covers(rule, request) for rule in wanted) if wanted or rules else True


def _namespace_selected(api: Api, request: AdmissionRequest, obj: Obj, selector: Any) -> bool:
    if not selector:
        return True
    if request.kind.id == "Namespace":
        return selector_matches(selector, (obj.get("metadata") or {}).get("labels") or {})
    if not request.kind.namespaced:
        return True
    found = api.get("Namespace", request.namespace) or {}
    return selector_matches(selector, (found.get("metadata") or {}).get("labels") or {})


def _covers(rule: Mapping[str, Any], request: AdmissionRequest) -> bool:
    kind = request.kind
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") != kind.namespaced:
        return False
    names = rule.get("resourceNames") or ()
    return (
        (not names or request.name in names)
        and _among(kind.group, rule.get("apiGroups"))
        and any(_among(version, rule.get("apiVersions")) for version in kind.versions)
        and _among(request.operation, rule.get("operations"))
        and any(_resource(pattern, kind.plural, request.subresource) for pattern in rule.get("resources") or ())
    )


def _among(value: str, patterns: Any) -> bool:
    return any(pattern in ("*", value) for pattern in patterns or ())


def _resource(pattern: str, plural: str, subresource: str) -> bool:
    resource, _, below = pattern.partition("/")
    if resource not in ("*", plural):
        return False
    return below in (subresource, "*")
