"""What controllers read and write in `metadata`: owners, labels, times, generated names.

Source: k8s.io/apimachinery/pkg/apis/meta/v1 and pkg/util/rand.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.kinds import Kind

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of generated names: no vowels and nothing that looks like another letter."""


def timestamp(seconds: float) -> str:
    """metav1.Time: RFC 3339, whole seconds."""
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(stamp: str | None) -> float:
    """The inverse of `timestamp` (MicroTime too); 0 for nothing."""
    return dt.datetime.fromisoformat(stamp).timestamp() if stamp else 0.0


def random_suffix(length: int = 5) -> str:
    return "".join(random.choices(SAFE_ALPHABET, k=length))


def safe_encode(text: str) -> str:
    """rand.SafeEncodeString: each byte becomes a letter of the safe alphabet."""
    return "".join(SAFE_ALPHABET[ord(char) % len(SAFE_ALPHABET)] for char in text)


def kind_id(api_version: str, kind: str) -> str:
    """`Kind.id` of an apiVersion and kind."""
    group, _, _ = api_version.rpartition("/")
    return f"{group}/{kind}" if group else kind


def id_of(obj: Obj) -> str:
    return kind_id(str(obj.get("apiVersion", "v1")), str(obj.get("kind", "")))


def is_namespaced(kinds: dict[str, Kind], kind: str) -> bool:
    return kind not in kinds or kinds[kind].namespaced


def name_of(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def namespace_of(obj: Obj) -> str:
    return str(obj["metadata"].get("namespace", ""))


def key_of(obj: Obj) -> tuple[str, str]:
    return namespace_of(obj), name_of(obj)


def uid_of(obj: Obj) -> str:
    return str(obj["metadata"].get("uid", ""))


def labels_of(obj: Obj) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Obj) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def is_deleting(obj: Obj) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def created_at(obj: Obj) -> float:
    return seconds(obj["metadata"].get("creationTimestamp"))


def controller_reference(owner: Obj) -> dict[str, Any]:
    """metav1.NewControllerRef."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Obj) -> dict[str, Any] | None:
    """The owner reference of the managing controller."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def owner_key(obj: Obj, kind: str) -> list[tuple[str, str]]:
    """Key of the controlling owner when it is of `kind`, as a list for `Controller.keys`."""
    owner = controller_of(obj)
    if owner and kind_id(owner["apiVersion"], owner["kind"]) == kind:
        return [(namespace_of(obj), owner["name"])]
    return []


def fresh(obj: Obj) -> Obj:
    """A copy whose metadata, spec and status may be replaced key by key; deeper values are still shared."""
    copy = dict(obj)
    for part in ("metadata", "spec", "status"):
        if isinstance(copy.get(part), dict):
            copy[part] = dict(copy[part])
    return copy


def with_status(obj: Obj, status: dict[str, Any]) -> Obj:
    """The object with this status, for `Api.update_status`."""
    return {**obj, "status": status}
