"""Strategic merge patch: a merge patch that knows which lists are keyed.

Source: k8s.io/apimachinery/pkg/util/strategicpatch/patch.go (`StrategicMergeMapPatch`), with the merge keys and
strategies of the schema. Directives: `$patch`, `$setElementOrder/<list>`, `$deleteFromPrimitiveList/<list>`,
`$retainKeys`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labrunner.sandbox.kube.patch.json_value import copied, equal, go_kind, go_text, go_type_name
from labrunner.sandbox.kube.schema.node import SchemaNode
from labrunner.sandbox.kube.status import ApiError, bad_request

_PATCH = "$patch"
_RETAIN_KEYS = "$retainKeys"
_DELETE_FROM = "$deleteFromPrimitiveList"
_ORDER = "$setElementOrder"

_BAD_PRIMITIVE_LIST = "invalid patch format of primitive list"
_BAD_RETAIN_KEYS = "invalid patch format of retainKeys"
_BAD_ELEMENT_ORDER = "invalid patch format of setElementOrder list"


def apply(document: dict[str, Any], patch: dict[str, Any], node: SchemaNode | None) -> dict[str, Any]:
    """The patched copy of `document`. `node` None: no list is keyed. Raises ApiError with the server's words."""
    return _merge_map(copied(document), copied(patch), node)


def _unclassified(message: str) -> ApiError:
    # The server lets these out as errors without a reason; clients print only the message. They are the client's
    # fault, so the code is a client's.
    return ApiError(400, "", message)


def _merge_map(original: dict[str, Any], patch: dict[str, Any], node: SchemaNode | None) -> dict[str, Any]:
    """Merges `patch` into `original`; both are ours to change."""
    if _PATCH in patch:
        match patch[_PATCH]:
            case "replace":
                return {key: _clean(value) for key, value in patch.items() if value is not None and not _directive(key)}
            case "delete":
                return {}
            case other:
                raise _unclassified(f"unknown patch type: {go_text(other)} in map: {go_text(patch)}")
    _retain_keys(original, patch)
    _ordered_lists(original, patch, node)
    for key, value in patch.items():
        deletes = key.startswith(_DELETE_FROM)
        if deletes:
            key = _target(key, _DELETE_FROM, _BAD_PRIMITIVE_LIST)
        if value is None:
            original.pop(key, None)
            continue
        current: Any = original.get(key)
        if key not in original or go_kind(current) != go_kind(value):
            if not deletes:
                original.pop(key, None)
                if not _marked(value):
                    original[key] = _clean(value)
            continue
        field = node.field(key) if node else None
        if isinstance(value, dict):
            replaced = field is not None and "replace" in field.patch_strategies
            original[key] = _clean(value) if replaced else _merge_map(current, value, field)
        elif isinstance(value, list):
            original[key] = _merge_list(current, value, field, deletes)
        else:
            original[key] = value
    return original


def _target(key: str, directive: str, message: str) -> str:
    """The field a directive such as `$setElementOrder/containers` is about."""
    _, slash, field = key.partition("/")
    if not slash or key != f"{directive}/{field}" or not field:
        raise bad_request(message)
    return field


def _retain_keys(original: dict[str, Any], patch: dict[str, Any]) -> None:
    if _RETAIN_KEYS not in patch:
        return
    retained = patch.pop(_RETAIN_KEYS)
    if not isinstance(retained, list):
        raise bad_request(_BAD_RETAIN_KEYS)
    for key, value in patch.items():
        if value is None or key.startswith((_DELETE_FROM, _ORDER)):
            continue
        if key not in retained:
            raise bad_request(_BAD_RETAIN_KEYS)
    for key in [key for key in original if key not in retained]:
        del original[key]


def _ordered_lists(original: dict[str, Any], patch: dict[str, Any], node: SchemaNode | None) -> None:
    """Merges and orders the lists that have a `$setElementOrder`, and takes them out of the patch."""
    for directive in [key for key in patch if key.startswith(_ORDER)]:
        order = patch.pop(directive)
        name = _target(directive, _ORDER, _BAD_ELEMENT_ORDER)
        field = node.field(name) if node else None
        key = field.merge_key if field else ""
        current, changes = original.get(name), patch.get(name)
        for given in (order, current, changes):
            if not isinstance(given, list) and (given is order or given is not None):
                raise _unclassified(f"expected a []interface {{}}, but received a {go_type_name(given)}")
        if current is None and changes is None:
            continue
        _check_order(changes or [], order, key)
        if not changes:
            merged = current or []
        elif current is None:
            merged = _clean(changes)
        else:
            merged = _merge_list(list(current), changes, field, False)
        patch.pop(name, None)
        original[name] = _arranged(merged, order, current or [], key)


def _check_order(changes: list[Any], order: list[Any], key: str) -> None:
    """What the patch changes must stand in the order list, in that order."""
    wanted = [item for item in changes if not (key and isinstance(item, dict) and item.get(_PATCH) == "delete")]
    position = 0
    for item in order:
        if position < len(wanted) and _same(wanted[position], item, key):
            position += 1
    if order and position < len(wanted):
        raise _unclassified(
            f"The order in patch list:\n{go_text(changes)}\n doesn't match {_ORDER} list:\n{go_text(order)}\n"
        )


def _merge_list(original: list[Any], patch: list[Any], field: SchemaNode | None, deletes: bool) -> list[Any]:
    if not deletes and (field is None or "merge" not in field.patch_strategies):
        return [_clean(item) for item in patch if not _marked(item)]
    if not original and not patch:
        return original
    key = field.merge_key if field else ""
    kinds = {go_kind(item) for item in original} | {go_kind(item) for item in patch}
    if "slice" in kinds:
        raise ApiError(422, "Invalid", "the server rejected our request due to an error in our request")
    if "map" not in kinds:
        if deletes:
            return [item for item in original if not any(equal(item, gone) for gone in patch)]
        merged: list[Any] = []
        for item in [*original, *patch]:
            if not any(equal(item, seen) for seen in merged):
                merged.append(item)
        return _arranged(merged, patch, original, "")
    if kinds != {"map"}:
        raise _unclassified(f"list element types are not identical: {go_text(original)} {go_text(patch)}")
    if not key:
        raise _unclassified("cannot merge lists without merge key for list of maps")
    original, patch = _list_directives(original, patch, key)
    merged = list(original)
    items = field.items if field else None
    for change in patch:
        if key not in change:
            raise _no_merge_key(change, key)
        position = _position(merged, change, key)
        if position < 0:
            merged.append(_clean(change))
        else:
            merged[position] = _merge_map(dict(merged[position]), change, items)
    return _arranged(merged, patch, original, key)


def _list_directives(original: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Carries out the items that say `$patch`; returns what is left of the list and of the patch."""
    plain: list[Any] = []
    replace = False
    for change in patch:
        match change.get(_PATCH):
            case None if _PATCH not in change:
                plain.append(change)
            case "delete":
                if key not in change:
                    raise _no_merge_key(change, key)
                original = [item for item in original if not _same(item, change, key)]
            case "replace":
                replace = True
            case "merge":
                raise _unclassified("merging lists cannot yet be specified in the patch")
            case other:
                raise _unclassified(f"unknown patch type: {go_text(other)} in map: {go_text(change)}")
    return ([_clean(item) for item in plain], []) if replace else (original, plain)


def _no_merge_key(item: dict[str, Any], key: str) -> ApiError:
    return _unclassified(f"map: {go_text(item)} does not contain declared merge key: {key}")


def _same(a: Any, b: Any, key: str) -> bool:
    if not key:
        return equal(a, b)
    return isinstance(a, dict) and isinstance(b, dict) and key in a and key in b and equal(a[key], b[key])


def _position(items: list[Any], item: Any, key: str) -> int:
    return next((place for place, other in enumerate(items) if _same(other, item, key)), -1)


def _arranged(merged: list[Any], order: list[Any], server_order: list[Any], key: str) -> list[Any]:
    """Items named by `order` in that order; the others keep their order and, where known, their place among them."""

    def by(reference: list[Any]) -> Callable[[Any], int]:
        return lambda item: _position(reference, item, key)

    named = sorted((item for item in merged if _position(order, item, key) >= 0), key=by(order))
    others = sorted((item for item in merged if _position(order, item, key) < 0), key=by(server_order))
    result: list[Any] = []
    left = right = 0
    while left < len(others) and right < len(named):
        mine, theirs = _position(server_order, others[left], key), _position(server_order, named[right], key)
        if 0 <= mine < theirs:
            result.append(others[left])
            left += 1
        else:
            result.append(named[right])
            right += 1
    return result + others[left:] + named[right:]


def _clean(value: Any) -> Any:
    """A value that comes in whole: without nulls, directives and the maps that carry a `$patch`."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if item is not None and not _directive(key)}
        return {key: _clean(item) for key, item in kept.items() if not _marked(item)}
    if isinstance(value, list):
        return [_clean(item) for item in value if not _marked(item)]
    return value


def _marked(value: Any) -> bool:
    return isinstance(value, dict) and _PATCH in value


def _directive(key: str) -> bool:
    return key in (_PATCH, _RETAIN_KEYS) or key.startswith((_DELETE_FROM + "/", _ORDER + "/"))
