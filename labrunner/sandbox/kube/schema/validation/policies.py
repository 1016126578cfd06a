"""Admission policies and their bindings. Source: k8s.io/kubernetes pkg/apis/admissionregistration/validation."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import cel
from labrunner.sandbox.kube.schema.validation.common_fields import Obj, label_selector

_ACTIONS = ["Audit", "Deny", "Warn"]
_FAILURE = ["Fail", "Ignore"]
_MATCH = ["Equivalent", "Exact"]


def validating_policy(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors: list[FieldError] = []
    if spec.get("failurePolicy") not in _FAILURE:
        errors.append(field.unsupported("spec.failurePolicy", spec.get("failurePolicy"), _FAILURE))
    if (kind := spec.get("paramKind")) is not None:
        errors += [field.required(f"spec.paramKind.{key}") for key in ("apiVersion", "kind") if not kind.get(key)]
    constraints = spec.get("matchConstraints")
    if constraints is None:
        errors.append(field.required("spec.matchConstraints"))
    else:
        errors += _criteria(constraints, "spec.matchConstraints")
        if not constraints.get("resourceRules"):
            errors.append(field.required("spec.matchConstraints.resourceRules"))
    for key in ("matchConditions", "variables"):
        errors += _named_expressions(spec.get(key) or (), f"spec.{key}")
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        text = "validations or auditAnnotations must contain at least one item"
        errors.append(field.required("spec.validations", text))
    for index, validation in enumerate(spec.get("validations") or ()):
        where = f"spec.validations[{index}]"
        errors += _expression(validation.get("expression", ""), f"{where}.expression", "expression is not specified")
        if wanted := validation.get("messageExpression"):
            errors += _expression(wanted, f"{where}.messageExpression", "")
    return errors


def binding(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = [] if spec.get("policyName") else [field.required("spec.policyName")]
    if (ref := spec.get("paramRef")) is not None:
        errors += _param_ref(ref, "spec.paramRef")
    errors += _criteria(spec.get("matchResources") or {}, "spec.matchResources")
    actions = spec.get("validationActions") or []
    if not actions:
        errors.append(field.required("spec.validationActions", "at least one validation action is required"))
    for index, action in enumerate(actions):
        where = f"spec.validationActions[{index}]"
        if action not in _ACTIONS:
            errors.append(field.unsupported(where, action, _ACTIONS))
        elif action in actions[:index]:
            errors.append(field.duplicate(where, action))
    if "Deny" in actions and "Warn" in actions:
        text = "must not contain both Deny and Warn (repeating the same validation failure information in the API "
        text += "response and headers serves no purpose)"
        errors.append(field.invalid("spec.validationActions", actions, text))
    return errors


def _param_ref(ref: Obj, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if ref.get("name") and ref.get("selector") is not None:
        errors.append(field.forbidden(f"{path}.name", "name and selector are mutually exclusive"))
    elif not ref.get("name") and ref.get("selector") is None:
        errors.append(field.required(path, "one of name or selector must be specified"))
    errors += label_selector(f"{path}.selector", ref.get("selector"))
    if ref.get("parameterNotFoundAction") is None:
        errors.append(field.required(f"{path}.parameterNotFoundAction"))
    return errors


def _criteria(criteria: Obj, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    policy = criteria.get("matchPolicy")
    if policy is not None and policy not in _MATCH:
        errors.append(field.unsupported(f"{path}.matchPolicy", policy, _MATCH))
    for key in ("namespaceSelector", "objectSelector"):
        errors += label_selector(f"{path}.{key}", criteria.get(key))
    for key in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(criteria.get(key) or ()):
            for part in ("apiGroups", "apiVersions", "operations", "resources"):
                if not rule.get(part):
                    errors.append(field.required(f"{path}.{key}[{index}].{part}"))
    return errors


def _named_expressions(entries: Any, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        where, name = f"{path}[{index}]", entry.get("name", "")
        if not name:
            errors.append(field.required(f"{where}.name"))
        elif name in seen:
            errors.append(field.duplicate(f"{where}.name", name))
        seen.add(name)
        errors += _expression(entry.get("expression", ""), f"{where}.expression", "")
    return errors


def _expression(text: str, path: str, missing: str) -> list[FieldError]:
    if not text.strip():
        return [field.required(path, missing)]
    try:
        cel.compile_rule(text)
    except cel.RuleError as error:
        return [field.invalid(path, text, f"compilation failed: ERROR: {error}")]
    return []
