"""Who owns which fields of one object: the entries of metadata.managedFields, and what an update does to them.

Source: k8s.io/apimachinery/pkg/util/managedfields and sigs.k8s.io/structured-merge-diff/merge/update.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from labrunner.sandbox.kube.patch.field_set import (
    FieldSet,
    difference,
    intersection,
    is_well_formed,
    ordered,
    union,
    without_below,
)
from labrunner.sandbox.kube.patch.field_type import field_type
from labrunner.sandbox.kube.patch.typed_value import Comparison, compare
from labrunner.sandbox.kube.schema.node import SchemaNode

Obj = Mapping[str, Any]
Operation = Literal["Apply", "Update"]

MAX_UPDATE_MANAGERS = 10
_ANCIENT = "ancient-changes"
_FIRST_APPLY = "before-first-apply"
_NOT_OWNED = (
    "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
    "resourceVersion",
)  # fmt: skip
"""Of metadata; nor are apiVersion, kind and metadata itself."""
_STRIPPED: FieldSet = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {".": {}, **{f"f:{name}": {} for name in _NOT_OWNED}},
}


@dataclass(frozen=True, slots=True)
class Manager:
    """Who. For Apply `api_version` is empty: a manager applies under one identity whatever the version."""

    name: str
    operation: Operation
    api_version: str = ""
    subresource: str = ""

    def text(self) -> str:
        """As conflicts name it: `"kubectl" with subresource "scale" using apps/v1`."""
        words = [f'"{self.name}"']
        if self.subresource:
            words.append(f'with subresource "{self.subresource}"')
        if self.operation == "Update":
            words.append(f"using {self.api_version}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Owned:
    """What a manager owns, in which version of the kind, and when that last changed (RFC 3339; may be empty)."""

    fields: FieldSet
    api_version: str
    time: str = ""


Owners = dict[Manager, Owned]


def decode(entries: Any) -> Owners | None:
    """The owners of a managedFields list; None when it is not one."""
    owners: Owners = {}
    if not isinstance(entries, list):
        return None
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("operation") not in ("Apply", "Update"):
            return None
        if entry.get("fieldsType") not in (None, "", "FieldsV1"):
            return None
        fields, version = entry.get("fieldsV1") or {}, entry.get("apiVersion", "")
        if not is_well_formed(fields):
            return None
        is_apply = entry["operation"] == "Apply"
        manager = Manager(
            str(entry.get("manager", "")),
            entry["operation"],
            "" if is_apply else str(version),
            str(entry.get("subresource", "")),
        )
        owners[manager] = Owned(fields, str(version), str(entry.get("time") or ""))
    return owners


def encode(owners: Owners) -> list[dict[str, Any]]:
    """The managedFields list, in the server's order: appliers first, each by time."""
    entries = []
    for manager, owned in owners.items():
        entry: dict[str, Any] = {"manager": manager.name} if manager.name else {}
        entry |= {"operation": manager.operation, "apiVersion": owned.api_version}
        if owned.time:
            entry["time"] = owned.time
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": ordered(owned.fields)}
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    return sorted(entries, key=_entry_order)


def _entry_order(entry: dict[str, Any]) -> tuple[str, ...]:
    names = ("operation", "time", "manager", "apiVersion", "subresource")
    return tuple(str(entry.get(name, "")) for name in names)


def of_request(live: Obj | None, new: Obj, subresource: str) -> Owners:
    """The owners to start from: the request's own when it says any, else the live object's.

    A list of one empty entry resets them. Through a subresource they cannot be set.
    """
    before = decode(_entries(live)) or {} if live else {}
    if subresource:
        return before
    given = _entries(new)
    if given == [{}]:
        return {}
    return decode(given) or before


def _entries(obj: Obj | None) -> Any:
    return ((obj or {}).get("metadata") or {}).get("managedFields") or []


def comparable(obj: Obj, zero: Obj | None = None) -> dict[str, Any]:
    """The object without what nobody owns, and with what any object of the kind has."""
    result = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    meta = obj.get("metadata")
    if isinstance(meta, Mapping):
        result["metadata"] = {key: value for key, value in meta.items() if key not in _NOT_OWNED}
    return _filled(result, zero) if zero else result


def _filled(obj: Obj, zero: Obj) -> dict[str, Any]:
    result = dict(obj)
    for name, value in zero.items():
        mine = result.get(name)
        if mine is None:
            result[name] = value
        elif value and isinstance(value, Mapping) and isinstance(mine, Mapping):
            result[name] = _filled(mine, value)
    return result


def stripped(fields: FieldSet) -> FieldSet:
    """`fields` without what nobody owns."""
    return difference(fields, _STRIPPED)


def reset_fields(*, has_status: bool, subresource: str = "", custom: bool = False) -> FieldSet:
    """What a request cannot change and so does not own: status, or through the status subresource spec.

    Of built-in kinds the status subresource also leaves labels alone, of custom kinds all metadata.
    """
    if subresource == "status":
        return {"f:spec": {}, "f:metadata": {} if custom else {"f:labels": {}}}
    return {"f:status": {}} if has_status and not subresource else {}


def track_update(
    old: Obj | None,
    new: Obj,
    node: SchemaNode | None,
    *,
    manager: str,
    api_version: str,
    now: str,
    subresource: str = "",
    reset: FieldSet | None = None,
    zero: Obj | None = None,
) -> list[dict[str, Any]]:
    """managedFields of `new` after a create (`old` None), update or patch that is no apply.

    `new` is as it will be stored; its own managedFields say whether the client set them. `manager` is the request's
    fieldManager or else the first part of the user agent. `node`: the kind's schema in `api_version`. `now`: RFC 3339.
    `reset`: see `reset_fields`. `zero`: what an empty object of the kind already has (see `protobuf.zero`).
    """
    owners = of_request(old, new, subresource)
    if old is not None and not owners:
        return []
    type_ = field_type(node)
    before = comparable(old or {}, zero)
    changes = _excluding(compare(type_, before, comparable(new, zero)), reset)
    return encode(_updated(owners, changes, Manager(manager or "unknown", "Update", api_version, subresource), now))


def _excluding(changes: Comparison, reset: FieldSet | None) -> Comparison:
    if not reset:
        return changes
    parts = (changes.removed, changes.modified, changes.added)
    return Comparison(*(without_below(part, reset) for part in parts))


def _updated(owners: Owners, changes: Comparison, manager: Manager, now: str) -> Owners:
    taken = union(changes.modified, changes.added)
    result = released(owners, taken, changes.removed)
    mine = stripped(taken)
    if mine:
        before = result.get(manager)
        result[manager] = Owned(union(mine, before.fields) if before else mine, manager.api_version, now)
    return _capped(result)


def released(owners: Owners, taken: FieldSet, removed: FieldSet, but: Manager | None = None) -> Owners:
    """Owners (but for one) without the fields that someone else has taken or that are gone."""
    result: Owners = {}
    for manager, owned in owners.items():
        fields = owned.fields
        if manager != but:
            fields = difference(difference(fields, taken), removed)
        if fields:
            result[manager] = owned if fields is owned.fields else replace(owned, fields=fields)
    return result


def conflicts(owners: Owners, changed: FieldSet, applier: Manager) -> dict[Manager, FieldSet]:
    """By manager, the fields of others that an apply changes."""
    found = {m: intersection(owned.fields, changed) for m, owned in owners.items() if m != applier}
    return {manager: fields for manager, fields in found.items() if fields}


def first_owner(live: Obj, node: SchemaNode | None, api_version: str, zero: Obj | None, now: str) -> Owners:
    """The owner of everything in an object that was kept without managedFields, when it is first applied to."""
    changes = compare(field_type(node), comparable({}, zero), comparable(live, zero))
    return _updated({}, changes, Manager(_FIRST_APPLY, "Update", api_version), now)


def _capped(owners: Owners) -> Owners:
    """At most ten updaters: the oldest of a version are put together as `ancient-changes`."""
    updaters = [manager for manager in owners if manager.operation == "Update"]
    excess = len(updaters) - MAX_UPDATE_MANAGERS
    if excess <= 0:
        return owners
    result = dict(owners)
    first_of: dict[str, Manager] = {}
    for manager in sorted(updaters, key=lambda m: (owners[m].time, m.name, m.subresource)):
        if excess <= 0:
            break
        version = manager.api_version
        if version not in first_of:
            first_of[version] = manager
            continue
        bucket = Manager(_ANCIENT, "Update", version)
        if bucket not in result:
            result[bucket] = result.pop(first_of[version])
        if manager != bucket:
            gone = result.pop(manager)
            result[bucket] = Owned(union(gone.fields, result[bucket].fields), version, gone.time)
            excess -= 1
    return result


def owned_by(owners: Owners, managers: Iterable[Manager]) -> FieldSet:
    """The union of what these own."""
    fields: FieldSet = {}
    for manager in managers:
        fields = union(fields, owners[manager].fields)
    return fields
