"""Pods and pod templates. Source: k8s.io/kubernetes pkg/apis/core/validation/validation.go, ValidatePodSpec."""

from __future__ import annotations

import copy

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import metadata, names
from labrunner.sandbox.kube.schema.validation.common_fields import Obj, label_selector, named, one_of, required_name
from labrunner.sandbox.kube.schema.validation.containers import common, containers, ids, init_containers, seccomp
from labrunner.sandbox.kube.schema.validation.go_struct import changed, shown
from labrunner.sandbox.kube.schema.validation.volumes import volumes

_RESTART = ["Always", "OnFailure", "Never"]
_DNS = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]
_EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"]
_MAX_INT32 = 2**31 - 1
_UPDATABLE = ",".join(
    (
        "`spec.containers[*].image`",
        "`spec.initContainers[*].image`",
        "`spec.activeDeadlineSeconds`",
        "`spec.tolerations` (only additions to existing tolerations)",
        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
    )
)


def template(obj: Obj | None, path: str) -> list[FieldError]:
    """A PodTemplateSpec; its labels stand at `<path>.labels`, as the server says."""
    obj = obj or {}
    meta = obj.get("metadata") or {}
    errors = metadata.labels(meta.get("labels") or {}, f"{path}.labels")
    errors += metadata.annotations(meta.get("annotations") or {}, f"{path}.annotations")
    spec = obj.get("spec") or {}
    errors += pod_spec(spec, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        text = "ephemeral containers not allowed in pod template"
        errors.append(field.forbidden(f"{path}.spec.ephemeralContainers", text))
    return errors


def pod_spec(spec: Obj, path: str) -> list[FieldError]:
    known, errors = volumes(spec.get("volumes") or [], f"{path}.volumes")
    regular = spec.get("containers") or []
    errors += containers(regular, known, f"{path}.containers")
    errors += init_containers(spec.get("initContainers") or [], regular, known, f"{path}.initContainers")
    errors += one_of(f"{path}.restartPolicy", spec.get("restartPolicy", ""), _RESTART)
    errors += one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy", ""), _DNS)
    errors += metadata.labels(spec.get("nodeSelector") or {}, f"{path}.nodeSelector")
    context = spec.get("securityContext") or {}
    errors += ids(context, ("fsGroup", "runAsUser", "runAsGroup"), f"{path}.securityContext")
    errors += seccomp(context.get("seccompProfile"), f"{path}.securityContext.seccompProfile")
    errors += _affinity(spec.get("affinity") or {}, f"{path}.affinity")
    errors += _dns_config(spec, path)
    errors += _spread(spec.get("topologySpreadConstraints") or [], f"{path}.topologySpreadConstraints")
    for key in ("serviceAccountName", "nodeName", "priorityClassName"):
        if spec.get(key):
            errors += named(f"{path}.{key}", spec[key], names.dns1123_subdomain)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _MAX_INT32:
        text = f"must be between 1 and {_MAX_INT32}, inclusive"
        errors.append(field.invalid(f"{path}.activeDeadlineSeconds", deadline, text))
    for key in ("hostname", "subdomain"):
        if spec.get(key):
            errors += named(f"{path}.{key}", spec[key], names.dns1123_label)
    return errors + _tolerations(spec.get("tolerations") or [], f"{path}.tolerations")


def _affinity(affinity: Obj, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    node = affinity.get("nodeAffinity") or {}
    hard = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    if hard is not None:
        where = f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        terms = hard.get("nodeSelectorTerms") or []
        if not terms:
            errors.append(field.required(where, "must have at least one node selector term"))
        for index, term in enumerate(terms):
            errors += _node_term(term, f"{where}[{index}]")
    for index, item in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or []):
        where = f"{path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        errors += _weight(item, where) + _node_term(item.get("preference") or {}, f"{where}.preference")
    for key in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(key) or {}
        for index, term in enumerate(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or []):
            where = f"{path}.{key}.requiredDuringSchedulingIgnoredDuringExecution[{index}]"
            errors += _pod_term(term, where)
        for index, item in enumerate(rules.get("preferredDuringSchedulingIgnoredDuringExecution") or []):
            where = f"{path}.{key}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
            errors += _weight(item, where) + _pod_term(item.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")
    return errors


def _weight(item: Obj, path: str) -> list[FieldError]:
    weight = item.get("weight", 0)
    return [] if 1 <= weight <= 100 else [field.invalid(f"{path}.weight", weight, "must be in the range 1-100")]


def _node_term(term: Obj, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, expression in enumerate(term.get("matchExpressions") or []):
        where = f"{path}.matchExpressions[{index}]"
        operator, values = expression.get("operator", ""), expression.get("values") or []
        if operator in ("In", "NotIn") and not values:
            text = "must be specified when `operator` is 'In' or 'NotIn'"
            errors.append(field.required(f"{where}.values", text))
        elif operator in ("Exists", "DoesNotExist") and values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(field.forbidden(f"{where}.values", text))
        elif operator in ("Gt", "Lt") and len(values) != 1:
            text = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            errors.append(field.required(f"{where}.values", text))
        elif operator not in ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"):
            errors.append(field.invalid(f"{where}.operator", operator, "not a valid selector operator"))
        errors += named(f"{where}.key", expression.get("key", ""), names.qualified_name)
    return errors


def _pod_term(term: Obj, path: str) -> list[FieldError]:
    errors = label_selector(f"{path}.labelSelector", term.get("labelSelector"))
    key = term.get("topologyKey", "")
    if not key:
        return [*errors, field.required(f"{path}.topologyKey", "can not be empty")]
    return errors + named(f"{path}.topologyKey", key, names.qualified_name)


def _dns_config(spec: Obj, path: str) -> list[FieldError]:
    config = spec.get("dnsConfig") or {}
    if spec.get("dnsPolicy") == "None" and not config.get("nameservers"):
        text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        where = f"{path}.dnsConfig.nameservers" if spec.get("dnsConfig") is not None else f"{path}.dnsConfig"
        if spec.get("dnsConfig") is None:
            text = "must provide `dnsConfig` when `dnsPolicy` is None"
        return [field.required(where, text)]
    return []


def _spread(constraints: list[Obj], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, constraint in enumerate(constraints):
        where = f"{path}[{index}]"
        if constraint.get("maxSkew", 0) <= 0:
            errors.append(field.invalid(f"{where}.maxSkew", constraint.get("maxSkew", 0), "must be greater than 0"))
        if not constraint.get("topologyKey"):
            errors.append(field.required(f"{where}.topologyKey", "can not be empty"))
        action = constraint.get("whenUnsatisfiable", "")
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            errors.append(field.unsupported(f"{where}.whenUnsatisfiable", action, ["DoNotSchedule", "ScheduleAnyway"]))
        errors += label_selector(f"{where}.labelSelector", constraint.get("labelSelector"))
    return errors


def _tolerations(tolerations: list[Obj], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, toleration in enumerate(tolerations):
        where = f"{path}[{index}]"
        key, operator = toleration.get("key", ""), toleration.get("operator", "")
        if key:
            errors += named(f"{where}.key", key, names.qualified_name)
        elif operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            errors.append(field.invalid(f"{where}.operator", operator, text))
        effect = toleration.get("effect", "")
        if "tolerationSeconds" in toleration and effect != "NoExecute":
            text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.append(field.invalid(f"{where}.effect", effect, text))
        if operator in ("", "Equal"):
            errors += named(f"{where}.operator", toleration.get("value", ""), names.label_value)
        elif operator == "Exists":
            if toleration.get("value"):
                text = "value must be empty when `operator` is 'Exists'"
                errors.append(field.invalid(f"{where}.operator", shown("Toleration", toleration), text))
        elif operator not in ("Lt", "Gt"):
            errors.append(field.unsupported(f"{where}.operator", operator, ["Equal", "Exists"]))
        if effect and effect not in _EFFECTS:
            errors.append(field.unsupported(f"{where}.effect", effect, _EFFECTS))
    return errors


def pod(obj: Obj, old: Obj | None, subresource: str = "") -> list[FieldError]:
    """A Pod without its metadata; with `old`, what of it may change."""
    spec = obj.get("spec") or {}
    if old is None:
        errors = pod_spec(spec, "spec")
        if spec.get("ephemeralContainers"):
            errors.append(field.forbidden("spec.ephemeralContainers", "cannot be set on create"))
        return errors
    before = old.get("spec") or {}
    if subresource == "ephemeralcontainers":
        return _ephemeral(spec, before)
    if subresource in ("status", "resize", "binding"):
        return []
    return _update(spec, before)


def _ephemeral(spec: Obj, before: Obj) -> list[FieldError]:
    path = "spec.ephemeralContainers"
    taken = {c.get("name") for key in ("containers", "initContainers") for c in spec.get(key) or []}
    mains = set(taken)
    errors: list[FieldError] = []
    old = {c.get("name"): c for c in before.get("ephemeralContainers") or []}
    known, _ = volumes(spec.get("volumes") or [], "spec.volumes")
    for index, container in enumerate(spec.get("ephemeralContainers") or []):
        where, name = f"{path}[{index}]", container.get("name", "")
        errors += common(container, known, where)
        if name in taken:
            errors.append(field.duplicate(f"{where}.name", name))
        taken.add(name)
        target = container.get("targetContainerName")
        if target and target not in mains:
            errors.append(field.not_found(f"{where}.targetContainerName", target))
        if name in old and old[name] != container:
            text = f'existing ephemeral containers "{name}" may not be changed'
            errors.append(field.forbidden(path, text + "\n"))
    for name in old:
        if name not in taken:
            errors.append(field.forbidden(path, f'existing ephemeral containers "{name}" may not be removed\n'))
    return errors


def _update(spec: Obj, before: Obj) -> list[FieldError]:
    for key in ("containers", "initContainers"):
        if len(spec.get(key) or []) != len(before.get(key) or []):
            return [field.forbidden(f"spec.{key}", "pod updates may not add or remove containers")]
    errors: list[FieldError] = []
    munged = copy.deepcopy(spec)
    for key in ("containers", "initContainers"):
        for index, (new, former) in enumerate(zip(munged.get(key) or [], before.get(key) or [], strict=True)):
            if not new.get("image"):
                errors.append(field.required(f"spec.{key}[{index}].image"))
            new["image"] = former.get("image", "")
    errors += _deadline(spec, before)
    munged.pop("activeDeadlineSeconds", None)
    if "activeDeadlineSeconds" in before:
        munged["activeDeadlineSeconds"] = before["activeDeadlineSeconds"]
    kept = before.get("tolerations") or []
    if all(t in (munged.get("tolerations") or []) for t in kept):
        munged.pop("tolerations", None)
        if kept:
            munged["tolerations"] = kept
    munged.pop("schedulingGates", None)
    expected = {k: v for k, v in before.items() if k != "schedulingGates"}
    if munged != expected:
        difference = changed("PodSpec", expected, munged)
        text = f"pod updates may not change fields other than {_UPDATABLE}\n{difference}"
        errors.append(field.forbidden("spec", text))
    return errors


def _deadline(spec: Obj, before: Obj) -> list[FieldError]:
    new, old = spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    path = "spec.activeDeadlineSeconds"
    if new is not None:
        if not 0 <= new <= _MAX_INT32:
            return [field.invalid(path, new, f"must be between 0 and {_MAX_INT32}, inclusive")]
        if old is not None and old < new:
            return [field.invalid(path, new, "must be less than or equal to previous value")]
    elif old is not None:
        return [field.invalid(path, new, "must not update from a positive integer to nil value")]
    return []


def pull_secrets(secrets: list[Obj], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, secret in enumerate(secrets):
        errors += required_name(f"{path}[{index}].name", secret.get("name", ""), names.dns1123_subdomain)
    return errors
