"""Roles and bindings. Source: k8s.io/kubernetes pkg/apis/rbac/validation/validation.go."""

from __future__ import annotations

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import names
from labrunner.sandbox.kube.schema.validation.common_fields import Obj, label_selector, named

_GROUP = "rbac.authorization.k8s.io"


def role(obj: Obj, _old: Obj | None) -> list[FieldError]:
    return _rules(obj, namespaced=True)


def cluster_role(obj: Obj, _old: Obj | None) -> list[FieldError]:
    errors = _rules(obj, namespaced=False)
    aggregation = obj.get("aggregationRule")
    if aggregation is not None:
        where = "aggregationRule.clusterRoleSelectors"
        selectors = aggregation.get("clusterRoleSelectors") or []
        if not selectors:
            text = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            errors.append(field.required(where, text))
        for selector in selectors:
            errors += label_selector(where, selector)
    return errors


def _rules(obj: Obj, *, namespaced: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, rule in enumerate(obj.get("rules") or []):
        where = f"rules[{index}]"
        if not rule.get("verbs"):
            errors.append(field.required(f"{where}.verbs", "verbs must contain at least one value"))
        urls = rule.get("nonResourceURLs")
        if urls:
            path = f"{where}.nonResourceURLs"
            if namespaced:
                errors.append(field.invalid(path, urls, "namespaced rules cannot apply to non-resource URLs"))
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                text = "rules cannot apply to both regular resources and non-resource URLs"
                errors.append(field.invalid(path, urls, text))
            continue
        if not rule.get("apiGroups"):
            text = "resource rules must supply at least one api group"
            errors.append(field.required(f"{where}.apiGroups", text))
        if not rule.get("resources"):
            text = "resource rules must supply at least one resource"
            errors.append(field.required(f"{where}.resources", text))
    return errors


def role_binding(obj: Obj, old: Obj | None) -> list[FieldError]:
    return _binding(obj, old, ["Role", "ClusterRole"])


def cluster_role_binding(obj: Obj, old: Obj | None) -> list[FieldError]:
    return _binding(obj, old, ["ClusterRole"])


def _binding(obj: Obj, old: Obj | None, kinds: list[str]) -> list[FieldError]:
    reference = obj.get("roleRef") or {}
    errors: list[FieldError] = []
    group, kind, name = (reference.get(k, "") for k in ("apiGroup", "kind", "name"))
    if group != _GROUP:
        errors.append(field.unsupported("roleRef.apiGroup", group, [_GROUP]))
    if kind not in kinds:
        errors.append(field.unsupported("roleRef.kind", kind, kinds))
    if not name:
        errors.append(field.required("roleRef.name"))
    else:
        errors += named("roleRef.name", name, names.path_segment)
    for index, subject in enumerate(obj.get("subjects") or []):
        errors += _subject(subject, f"subjects[{index}]")
    if old is not None and reference != (old.get("roleRef") or {}):
        shown = {"APIGroup": group, "Kind": kind, "Name": name}
        errors.append(field.invalid("roleRef", shown, "cannot change roleRef"))
    return errors


def _subject(subject: Obj, path: str) -> list[FieldError]:
    kind, name, group = subject.get("kind", ""), subject.get("name", ""), subject.get("apiGroup", "")
    errors = [] if name else [field.required(f"{path}.name")]
    if kind == "ServiceAccount":
        if name:
            errors += named(f"{path}.name", name, names.dns1123_subdomain)
        if group:
            errors.append(field.unsupported(f"{path}.apiGroup", group, [""]))
        if not subject.get("namespace"):
            errors.append(field.required(f"{path}.namespace"))
    elif kind in ("User", "Group"):
        if group != _GROUP:
            errors.append(field.unsupported(f"{path}.apiGroup", group, [_GROUP]))
    else:
        errors.append(field.unsupported(f"{path}.kind", kind, ["ServiceAccount", "User", "Group"]))
    return errors
