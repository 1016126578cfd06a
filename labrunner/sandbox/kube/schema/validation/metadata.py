"""metav1.ObjectMeta. Source: k8s.io/apimachinery/pkg/api/validation/objectmeta.go."""

import json
from typing import Any

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import names

_ANNOTATIONS_LIMIT = 256 * 1024
STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_IMMUTABLE = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


def validate(
    obj: dict[str, Any], old: dict[str, Any] | None = None, name_check: names.NameCheck = names.dns1123_subdomain
) -> list[FieldError]:
    """Metadata of a new object or, with `old`, of its update."""
    meta = obj.get("metadata", {})
    if old is not None:
        return _update(meta, old.get("metadata", {}))
    errors = []
    name, prefix = meta.get("name", ""), meta.get("generateName", "")
    if prefix:
        shown = names.masked(prefix)
        errors += [field.invalid("metadata.generateName", prefix, message) for message in name_check(shown)]
    if name:
        errors += [field.invalid("metadata.name", name, message) for message in name_check(name)]
    elif not prefix:
        errors.append(field.required("metadata.name", "name or generateName is required"))
    return errors + _common(meta)


def _common(meta: dict[str, Any]) -> list[FieldError]:
    return [
        *labels(meta.get("labels", {}), "metadata.labels"),
        *annotations(meta.get("annotations", {}), "metadata.annotations"),
        *_owners(meta.get("ownerReferences", [])),
        *_finalizers(meta.get("finalizers", [])),
    ]


def labels(value: dict[str, str], path: str) -> list[FieldError]:
    errors = []
    for key, text in value.items():
        errors += [field.invalid(path, key, message) for message in names.qualified_name(key)]
        errors += [field.invalid(path, text, message) for message in names.label_value(text)]
    return errors


def annotations(value: dict[str, str], path: str) -> list[FieldError]:
    errors = []
    for key in value:
        errors += [field.invalid(path, key, message) for message in names.qualified_name(key.lower())]
    if sum(len(k.encode()) + len(v.encode()) for k, v in value.items()) > _ANNOTATIONS_LIMIT:
        errors.append(field.too_long(path, _ANNOTATIONS_LIMIT))
    return errors


def _owners(owners: list[dict[str, Any]]) -> list[FieldError]:
    errors = []
    controller = ""
    for owner in owners:
        path = "metadata.ownerReferences"
        version = owner.get("apiVersion", "").rpartition("/")[2]
        if not version:
            text = "version must not be empty"
            errors.append(field.invalid(f"{path}.apiVersion", owner.get("apiVersion", ""), text))
        for key in ("kind", "name", "uid"):
            if not owner.get(key):
                errors.append(field.invalid(f"{path}.{key}", owner.get(key, ""), "must not be empty"))
        if owner.get("controller"):
            if controller:
                text = (
                    "Only one reference can have Controller set to true. "
                    f'Found "true" in references for {controller} and {owner.get("name", "")}'
                )
                errors.append(field.invalid(path, owners, text))
            controller = owner.get("name", "")
    return errors


def _finalizers(finalizers: list[str]) -> list[FieldError]:
    path = "metadata.finalizers"
    errors = []
    for finalizer in finalizers:
        errors += [field.invalid(path, finalizer, message) for message in names.qualified_name(finalizer)]
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        text = "finalizer foregroundDeletion and finalizer orphan cannot be both set"
        errors.append(field.invalid(path, finalizers, text))
    return errors


def standard_finalizers(obj: dict[str, Any]) -> list[FieldError]:
    """A finalizer without a domain must be one of Kubernetes' own. Source: pkg/apis/core/validation."""
    text = "name is neither a standard finalizer name nor is it fully qualified"
    return [
        field.invalid(f"metadata.finalizers[{index}]", finalizer, text)
        for index, finalizer in enumerate((obj.get("metadata") or {}).get("finalizers") or ())
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS
    ]


def _update(meta: dict[str, Any], old: dict[str, Any]) -> list[FieldError]:
    errors = []
    if old.get("deletionTimestamp"):
        added = sorted(set(meta.get("finalizers", [])) - set(old.get("finalizers", [])))
        if added:
            shown = "[]string{" + ", ".join(json.dumps(f) for f in added) + "}"
            text = f"no new finalizers can be added if the object is being deleted, found new finalizers {shown}"
            errors.append(field.forbidden("metadata.finalizers", text))
    for key in _IMMUTABLE:
        if meta.get(key) != old.get(key):
            errors.append(field.invalid(f"metadata.{key}", meta.get(key), "field is immutable"))
    return errors + _common(meta)
