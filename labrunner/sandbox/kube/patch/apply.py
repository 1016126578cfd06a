"""Server-side apply: a configuration merged into the live object, with conflicts and ownership.

Source: sigs.k8s.io/structured-merge-diff/merge/update.go (`Apply`, `prune`) and
k8s.io/apimachinery/pkg/util/managedfields/internal (structuredmerge.go, lastappliedmanager.go, conflict.go).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from labrunner.sandbox.kube.patch.field_set import (
    FieldSet,
    difference,
    intersection,
    path_text,
    paths,
    union,
    without_below,
)
from labrunner.sandbox.kube.patch.field_type import FieldType, field_type
from labrunner.sandbox.kube.patch.json_value import copied
from labrunner.sandbox.kube.patch.ownership import (
    Manager,
    Owned,
    Owners,
    comparable,
    conflicts,
    decode,
    encode,
    first_owner,
    owned_by,
    released,
    stripped,
)
from labrunner.sandbox.kube.patch.typed_value import (
    MISSING,
    compare,
    merge,
    problems,
    remove,
    to_field_set,
    with_named_fields,
)
from labrunner.sandbox.kube.schema.node import SchemaNode
from labrunner.sandbox.kube.status import ApiError, Cause

Obj = Mapping[str, Any]
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL = "kubectl"


def apply_patch(
    live: Obj | None,
    applied: Obj,
    node: SchemaNode | None,
    *,
    manager: str,
    api_version: str,
    now: str,
    force: bool = False,
    subresource: str = "",
    reset: FieldSet | None = None,
    zero: Obj | None = None,
) -> dict[str, Any]:
    """The object after `applied` is applied by `manager`, managedFields included; a copy.

    `live` None creates it. Both are in `api_version`; `node` is that version's schema. The result still has to be
    defaulted, admitted and validated, and must not go through `track_update`. When nothing changes it equals `live`
    with the times of its managedFields. Other parameters as in `ownership.track_update`.

    Raises ApiError 409 for fields of others (unless `force`), 400 for what the schema does not allow.
    """
    type_ = field_type(node)
    _check(type_, applied)
    before = copied(dict(live)) if live is not None else {}
    owners = decode((before.get("metadata") or {}).pop("managedFields", [])) or {}
    if live is not None and not owners:
        owners = first_owner(before, node, api_version, zero, now)
    applier = Manager(manager, "Apply", "", subresource)
    config = copied(dict(applied))
    config.get("metadata", {}).pop("managedFields", None)
    if manager == _KUBECTL and not force:
        force = _migrates(type_, before, config, owners, applier, reset)

    fields = to_field_set(type_, config)
    fields = without_below(fields, reset) if reset else fields
    merged = merge(type_, before, config)
    pruned = _prune(type_, merged, {**owners, applier: Owned(fields, api_version)}, owners.get(applier))
    changes = compare(type_, comparable(before, zero), comparable(pruned, zero))
    changed = union(changes.modified, changes.added)
    changed = without_below(changed, reset) if reset else changed
    if not force and (found := conflicts(owners, changed, applier)):
        raise conflict_error(found)

    result: dict[str, Any] = _without_nulls(pruned)
    if manager == _KUBECTL:
        _update_last_applied(result, config)
    unchanged = live is not None and result == _without_nulls(before)
    mine = stripped(fields)
    after = released({**owners, applier: Owned(mine, api_version)}, changed, changes.removed, but=applier)
    known = owners.get(applier)
    kept = unchanged and known is not None and known.fields == mine and known.api_version == api_version
    if applier in after:
        time = known.time if kept and known is not None else now
        after[applier] = Owned(mine, api_version, time)
    result.setdefault("metadata", {})["managedFields"] = encode(after)
    return result


def _check(type_: FieldType, applied: Obj) -> None:
    found = list(problems(type_, {key: value for key, value in applied.items() if key not in ("apiVersion", "kind")}))
    if not found:
        return
    meta = applied.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    group, _, version = str(applied.get("apiVersion", "")).rpartition("/")
    who = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {group}/{version}, Kind={applied.get('kind', '')}"
    what = found[0] if len(found) == 1 else "\n  ".join(["errors:", *found])
    # The server lets this out as an error without a reason, of which clients print the message.
    raise ApiError(400, "", f"failed to create typed patch object ({who}): {what}")


def _prune(type_: FieldType, merged: Any, owners: Owners, last: Owned | None) -> Any:
    """`merged` without what the applier applied last time, not this time, and nobody else owns."""
    if last is None or not last.fields:
        return merged
    before = with_named_fields(type_, last.fields)
    all_fields = with_named_fields(type_, to_field_set(type_, merged))
    left = remove(type_, merged, before)
    left_fields = {} if left is MISSING else with_named_fields(type_, to_field_set(type_, left))
    owned = with_named_fields(type_, owned_by(owners, owners))
    left = remove(type_, merged, difference(all_fields, union(left_fields, owned)))
    left_fields = {} if left is MISSING else with_named_fields(type_, to_field_set(type_, left))
    result = remove(type_, merged, intersection(difference(all_fields, left_fields), before))
    return {} if result is MISSING else result


def conflict_error(found: dict[Manager, FieldSet]) -> ApiError:
    """409, with one cause per field and manager."""
    listed = [(manager, path_text(path)) for manager, fields in found.items() for path in paths(fields)]
    listed.sort(key=lambda item: (item[0].text(), item[0].name))
    causes = [Cause("FieldManagerConflict", f"conflict with {manager.text()}", path) for manager, path in listed]
    if len(listed) == 1:
        (manager, path), what = listed[0], "1 conflict"
        text = f"conflict with {manager.text()}: {path}"
    else:
        what, lines = f"{len(listed)} conflicts", []
        for manager in dict.fromkeys(manager for manager, _ in listed):
            lines.append(f"conflicts with {manager.text()}:")
            lines += [f"- {path}" for who, path in listed if who == manager]
        text = "\n".join(lines)
    return ApiError(409, "Conflict", f"Apply failed with {what}: {text}", causes=causes)


def _migrates(
    type_: FieldType, live: Obj, config: Obj, owners: Owners, applier: Manager, reset: FieldSet | None
) -> bool:
    """Whether every conflict is about what kubectl itself applied on the client's side: such an apply is forced."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    try:
        last = json.loads(text) if text else None
    except ValueError:
        return False
    if not isinstance(last, dict):
        return False
    changes = compare(type_, comparable(live), comparable(merge(type_, live, config)))
    changed = union(changes.modified, changes.added)
    found = conflicts(owners, without_below(changed, reset) if reset else changed, applier)
    own = to_field_set(type_, comparable(last))
    since = compare(type_, comparable(live), comparable(last))
    for part in (since.modified, since.added, since.removed):
        own = difference(own, part)
    return all(not difference(fields, own) for fields in found.values())


def _update_last_applied(result: dict[str, Any], config: Obj) -> None:
    """Keeps the client-side annotation, where there is one, in step with what kubectl applied."""
    annotations = (result.get("metadata") or {}).get("annotations") or {}
    if LAST_APPLIED not in annotations:
        return
    kept = copied(dict(config))
    kept.get("metadata", {}).get("annotations", {}).pop(LAST_APPLIED, None)
    text = json.dumps(kept, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    annotations[LAST_APPLIED] = text + "\n"


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
