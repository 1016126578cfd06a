"""Volumes of a pod. Source: k8s.io/kubernetes pkg/apis/core/validation/validation.go, ValidateVolumes."""

from __future__ import annotations

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import names
from labrunner.sandbox.kube.schema.validation.common_fields import Obj, required_name
from labrunner.sandbox.kube.schema.validation.containers import descending_path, field_reference

_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_HOST_PATH_TYPES = [
    *("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate"),
    *("File", "FileOrCreate", "Socket"),
]


def volumes(items: list[Obj], path: str) -> tuple[set[str], list[FieldError]]:
    """The names mounts may use (of valid volumes only) and the errors."""
    known: set[str] = set()
    errors: list[FieldError] = []
    for index, volume in enumerate(items):
        where = f"{path}[{index}]"
        name = volume.get("name", "")
        problems = _source(volume, where) + required_name(f"{where}.name", name, names.dns1123_label)
        if name in known:
            problems.append(field.duplicate(f"{where}.name", name))
        errors += problems
        if not problems:
            known.add(name)
    return known, errors


def _source(volume: Obj, path: str) -> list[FieldError]:
    given = [key for key in volume if key != "name"]
    if not given:
        return [field.required(path, "must specify a volume type")]
    errors = [field.forbidden(f"{path}.{key}", "may not specify more than 1 volume type") for key in given[1:]]
    key = given[0]
    source, where = volume[key] or {}, f"{path}.{key}"
    if key == "secret":
        if not source.get("secretName"):
            errors.append(field.required(f"{where}.secretName"))
        errors += _mode(source, where) + _items(source, where)
    elif key == "configMap":
        if not source.get("name"):
            errors.append(field.required(f"{where}.name"))
        errors += _mode(source, where) + _items(source, where)
    elif key == "persistentVolumeClaim" and not source.get("claimName"):
        errors.append(field.required(f"{where}.claimName"))
    elif key == "hostPath":
        errors += _host_path(source, where)
    elif key == "projected":
        errors += _mode(source, where) + _projected(source, where)
    elif key == "downwardAPI":
        errors += _mode(source, where)
        for index, item in enumerate(source.get("items") or []):
            errors += _downward_file(item, f"{where}.items[{index}]")
    elif key == "nfs":
        errors += [field.required(f"{where}.{name}") for name in ("server", "path") if not source.get(name)]
        if source.get("path") and not source["path"].startswith("/"):
            errors.append(field.invalid(f"{where}.path", source["path"], "must be an absolute path"))
    elif key == "csi" and not source.get("driver"):
        errors.append(field.required(f"{where}.driver"))
    return errors


def _mode(source: Obj, path: str) -> list[FieldError]:
    mode = source.get("defaultMode", 0)
    return [] if 0 <= mode <= 0o777 else [field.invalid(f"{path}.defaultMode", mode, _MODE)]


def _items(source: Obj, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, item in enumerate(source.get("items") or []):
        where = f"{path}.items[{index}]"
        if not item.get("key"):
            errors.append(field.required(f"{where}.key"))
        errors += _file_path(item.get("path", ""), f"{where}.path")
        if not 0 <= item.get("mode", 0) <= 0o777:
            errors.append(field.invalid(f"{where}.mode", item["mode"], _MODE))
    return errors


def _file_path(value: str, path: str) -> list[FieldError]:
    if not value:
        return [field.required(path)]
    errors = descending_path(path, value)
    if value.startswith("..") and not value.startswith("../"):
        errors.append(field.invalid(path, value, "must not start with '..'"))
    return errors


def _host_path(source: Obj, path: str) -> list[FieldError]:
    place = source.get("path", "")
    errors = [] if place else [field.required(f"{path}.path")]
    if ".." in place.split("/"):
        errors.append(field.invalid(f"{path}.path", place, "must not contain '..'"))
    kind = source.get("type", "")
    if kind not in _HOST_PATH_TYPES:
        errors.append(field.unsupported(f"{path}.type", kind, _HOST_PATH_TYPES))
    return errors


def _projected(source: Obj, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, part in enumerate(source.get("sources") or []):
        where = f"{path}.sources[{index}]"
        for extra in list(part)[1:]:
            errors.append(field.forbidden(f"{where}.{extra}", "may not specify more than 1 volume type per source"))
        for key in ("secret", "configMap"):
            if key in part:
                if not part[key].get("name"):
                    errors.append(field.required(f"{where}.{key}.name"))
                errors += _items(part[key], f"{where}.{key}")
        if token := part.get("serviceAccountToken"):
            below = f"{where}.serviceAccountToken"
            if token.get("expirationSeconds", 3600) < 600:
                text = "may not specify a duration less than 10 minutes"
                errors.append(field.invalid(f"{below}.expirationSeconds", token["expirationSeconds"], text))
            if not token.get("path"):
                errors.append(field.required(f"{below}.path"))
        for position, item in enumerate((part.get("downwardAPI") or {}).get("items") or []):
            errors += _downward_file(item, f"{where}.downwardAPI.items[{position}]")
    return errors


def _downward_file(item: Obj, path: str) -> list[FieldError]:
    errors = _file_path(item.get("path", ""), f"{path}.path")
    if "fieldRef" in item:
        if item["fieldRef"].get("fieldPath") not in ("metadata.labels", "metadata.annotations"):
            errors += field_reference(item["fieldRef"], f"{path}.fieldRef")
    elif "resourceFieldRef" not in item:
        errors.append(field.required(path, "one of fieldRef and resourceFieldRef is required"))
    return errors
