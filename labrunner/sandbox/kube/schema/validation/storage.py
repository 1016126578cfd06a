"""Volumes of the cluster: claims, persistent volumes, storage classes. Source: pkg/apis/{core,storage}/validation."""

from __future__ import annotations

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import names
from labrunner.sandbox.kube.schema.validation.common_fields import Obj, immutable, label_selector, named, one_of, same
from labrunner.sandbox.kube.schema.validation.go_struct import changed
from labrunner.sandbox.kube.schema.validation.resources import value_of

_ACCESS = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]
_VOLUME_MODES = ["Block", "Filesystem"]
_NOT_SOURCES = {
    "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
    "storageClassName", "volumeAttributesClassName", "volumeMode",
}  # fmt: skip
_CHANGEABLE = ("resources", "volumeAttributesClassName")
_IMMUTABLE_CLAIM = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


def claim(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = claim_spec(spec, "spec")
    if old is None:
        return errors
    before = old.get("spec") or {}
    fixed = {k for k in {*spec, *before} if k not in _CHANGEABLE and not same(spec.get(k), before.get(k))}
    if before.get("volumeName") in (None, ""):
        fixed.discard("volumeName")
    if before.get("storageClassName") is None:
        fixed.discard("storageClassName")
    bound = (old.get("status") or {}).get("phase") == "Bound"
    if fixed or (not bound and not same(spec.get("resources"), before.get("resources"))):
        errors.append(field.forbidden("spec", f"{_IMMUTABLE_CLAIM}\n{_difference(spec, before, bound)}"))
        return errors
    new_size, old_size = _size(spec), _size(before)
    if value_of(new_size) < value_of(old_size):
        errors.append(field.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))
    return errors


def _size(spec: Obj) -> str:
    return str(((spec.get("resources") or {}).get("requests") or {}).get("storage", "0"))


def _difference(spec: Obj, before: Obj, bound: bool) -> str:
    """What changed beside what may change."""
    if not before.get("volumeName"):
        before = {**before, "volumeName": spec.get("volumeName", "")}
    if bound:
        spec = {**spec, "resources": before.get("resources") or {}}
    return changed("PersistentVolumeClaimSpec", before, spec)


def claim_spec(spec: Obj, path: str) -> list[FieldError]:
    modes = spec.get("accessModes") or []
    errors = [] if modes else [field.required(f"{path}.accessModes", "at least 1 access mode is required")]
    errors += label_selector(f"{path}.selector", spec.get("selector"))
    errors += _access(modes, f"{path}.accessModes")
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        errors.append(field.required(f"{path}.resources[storage]"))
    elif value_of(requests["storage"]) <= 0:
        where = f"{path}.resources[storage]"
        errors.append(field.invalid(where, requests["storage"], "must be greater than zero"))
    if spec.get("storageClassName"):
        errors += named(f"{path}.storageClassName", spec["storageClassName"], names.dns1123_subdomain)
    mode = spec.get("volumeMode")
    if mode is not None and mode not in _VOLUME_MODES:
        errors.append(field.unsupported(f"{path}.volumeMode", mode, _VOLUME_MODES))
    return errors


def _access(modes: list[str], path: str) -> list[FieldError]:
    errors = [field.unsupported(path, mode, _ACCESS) for mode in modes if mode not in _ACCESS]
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        errors.append(field.forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return errors


def volume(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    modes, capacity = spec.get("accessModes") or [], spec.get("capacity") or {}
    errors = [] if modes else [field.required("spec.accessModes")]
    errors += _access(modes, "spec.accessModes")
    if not capacity:
        errors.append(field.required("spec.capacity"))
    elif "storage" not in capacity or len(capacity) > 1:
        errors.append(field.unsupported("spec.capacity", capacity, ["storage"]))
    for name, amount in capacity.items():
        if value_of(amount) <= 0:
            errors.append(field.invalid(f"spec.capacity[{name}]", amount, "must be greater than zero"))
    if policy := spec.get("persistentVolumeReclaimPolicy"):
        errors += one_of("spec.persistentVolumeReclaimPolicy", policy, ["Delete", "Recycle", "Retain"])
    sources = [key for key in spec if key not in _NOT_SOURCES]
    if not sources:
        errors.append(field.required("spec", "must specify a volume type"))
    for extra in sources[1:]:
        errors.append(field.forbidden(f"spec.{extra}", "may not specify more than 1 volume type"))
    if spec.get("storageClassName"):
        errors += named("spec.storageClassName", spec["storageClassName"], names.dns1123_subdomain)
    if old is not None:
        before = old.get("spec") or {}
        if any(not same(spec.get(k), before.get(k)) for k in {*sources, *(k for k in before if k not in _NOT_SOURCES)}):
            errors.append(
                field.forbidden(
                    "spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation"
                )
            )
        errors += immutable("spec.volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    return errors


def storage_class(obj: Obj, old: Obj | None) -> list[FieldError]:
    provisioner = obj.get("provisioner", "")
    if provisioner:
        errors = named("provisioner", provisioner.lower(), names.qualified_name)
    else:
        errors = [field.required("provisioner")]
    policy = obj.get("reclaimPolicy")
    if policy is not None and policy not in ("Delete", "Retain"):
        errors.append(field.unsupported("reclaimPolicy", policy, ["Delete", "Retain"]))
    errors += one_of("volumeBindingMode", obj.get("volumeBindingMode", ""), ["Immediate", "WaitForFirstConsumer"])
    if old is not None:
        for key in ("parameters", "provisioner", "reclaimPolicy"):
            if not same(obj.get(key), old.get(key)):
                errors.append(field.forbidden(key, f"updates to {key} are forbidden."))
        errors += immutable("volumeBindingMode", obj.get("volumeBindingMode"), old.get("volumeBindingMode"))
    return errors
