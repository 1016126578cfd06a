"""Copies of objects that may be shown: the values of Secrets are replaced by their size."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from labrunner.check.phrase import Hidden
from labrunner.target.base import KubeObject

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def is_secret(obj: KubeObject) -> bool:
    return obj.get("kind") == "Secret" and obj.get("apiVersion") == "v1"


def showable(obj: KubeObject) -> KubeObject:
    """The object as findings may quote it."""
    if not is_secret(obj):
        return obj
    shown: dict[str, Any] = dict(obj)
    for field in ("data", "stringData"):
        if isinstance(obj.get(field), dict):
            shown[field] = {key: _hidden(value) for key, value in obj[field].items()}
    annotations = obj.get("metadata", {}).get("annotations") or {}
    if _LAST_APPLIED in annotations:
        metadata = dict(obj["metadata"])
        metadata["annotations"] = {**annotations, _LAST_APPLIED: Hidden("<hidden>")}
        shown["metadata"] = metadata
    return shown


def _hidden(value: Any) -> Hidden:
    try:
        size = len(base64.b64decode(value))
    except (binascii.Error, ValueError, TypeError):
        size = len(str(value))
    return Hidden(f"<hidden, {size} bytes>")


def is_secret_path(obj: KubeObject, path: tuple[str | int, ...]) -> bool:
    """Whether the path leads to (or into) a Secret's values."""
    if not is_secret(obj) or not path:
        return False
    return path[0] in ("data", "stringData") or path[-1] == _LAST_APPLIED
