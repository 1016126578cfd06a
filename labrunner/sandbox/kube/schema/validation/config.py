"""ConfigMaps, Secrets and namespaces. Source: pkg/apis/core/validation/validation.go, ValidateSecret and others."""

from __future__ import annotations

import base64
import json

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import names
from labrunner.sandbox.kube.schema.validation.common_fields import Obj, immutable, named, same

_LIMIT = 1024 * 1024
_FROZEN = "field is immutable when `immutable` is set"
_ACCOUNT = "kubernetes.io/service-account.name"
_REDACTED = "<secret contents redacted>"
_NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
}


def config_map(obj: Obj, old: Obj | None) -> list[FieldError]:
    errors = _frozen(obj, old, ("data", "binaryData"))
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key in data:
        errors += named(f"data[{key}]", key, names.config_map_key)
        if key in binary:
            errors.append(field.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    for key in binary:
        errors += named(f"binaryData[{key}]", key, names.config_map_key)
    if sum(len(v.encode()) for v in data.values()) + sum(_decoded(v) for v in binary.values()) > _LIMIT:
        errors.append(field.too_long("", _LIMIT))
    return errors


def secret(obj: Obj, old: Obj | None) -> list[FieldError]:
    errors: list[FieldError] = []
    kind = obj.get("type", "")
    if old is not None:
        errors += immutable("type", kind, old.get("type", ""))
    errors += _frozen(obj, old, ("data",))
    data = obj.get("data") or {}
    for key in data:
        errors += named(f"data[{key}]", key, names.config_map_key)
    if sum(_decoded(v) for v in data.values()) > _LIMIT:
        errors.append(field.too_long("data", _LIMIT))
    if kind == "kubernetes.io/service-account-token":
        if not (obj.get("metadata", {}).get("annotations") or {}).get(_ACCOUNT):
            errors.append(field.required(f"metadata.annotations[{_ACCOUNT}]"))
    elif kind == "kubernetes.io/basic-auth" and not {"username", "password"} & data.keys():
        errors += [field.required("data[username]"), field.required("data[password]")]
    for key in _NEEDED.get(kind, ()):
        if key not in data:
            errors.append(field.required(f"data[{key}]"))
        elif key.startswith(".docker"):
            errors += _json(data[key], f"data[{key}]")
    return errors


def _frozen(obj: Obj, old: Obj | None, keys: tuple[str, ...]) -> list[FieldError]:
    if old is None or not old.get("immutable"):
        return []
    errors = [] if obj.get("immutable") else [field.forbidden("immutable", _FROZEN)]
    return errors + [field.forbidden(key, _FROZEN) for key in keys if not same(obj.get(key), old.get(key))]


def _decoded(text: str) -> int:
    """Bytes behind base64 text."""
    return len(text) * 3 // 4 - text[-2:].count("=")


def _json(text: str, path: str) -> list[FieldError]:
    try:
        json.loads(base64.b64decode(text))
    except ValueError as error:
        position = getattr(error, "pos", 0)
        document = getattr(error, "doc", "")
        if not document or position >= len(document):
            message = "unexpected end of JSON input"
        else:
            message = f"invalid character {document[position]!r} looking for beginning of value"
        return [field.invalid(path, _REDACTED, message)]
    return []


def namespace(obj: Obj, _old: Obj | None) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, finalizer in enumerate((obj.get("spec") or {}).get("finalizers") or []):
        errors += named(f"spec.finalizers[{index}]", finalizer, names.qualified_name)
    return errors


def service_account(obj: Obj, _old: Obj | None) -> list[FieldError]:
    """Nothing beyond metadata."""
    return []
