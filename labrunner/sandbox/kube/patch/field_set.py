"""Sets of fields in the form of metadata.managedFields' fieldsV1, and their algebra.

A set is a tree of dicts: keys are path elements (`f:name`, `k:{"name":"x"}`, `v:"x"`, `i:0`), an empty dict is a
member, and a dict with a `.` key is a member that has members below it. The empty set is `{}`, at the root only.
Every function returns a new set and leaves its arguments alone; results may share structure.
Source: sigs.k8s.io/structured-merge-diff/fieldpath.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from labrunner.sandbox.kube.patch.json_value import go_float

FieldSet = dict[str, Any]
SELF = "."
_ORDER = {"f": 0, "k": 1, "v": 2, "i": 3}


def is_member(node: FieldSet) -> bool:
    return not node or SELF in node


def key_element(keys: dict[str, Any]) -> str:
    return "k:" + json.dumps(keys, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def value_element(value: Any) -> str:
    return "v:" + json.dumps(value, ensure_ascii=False)


def union(a: FieldSet, b: FieldSet) -> FieldSet:
    if not a or not b:
        return a or b
    return _union(a, b)


def _union(a: FieldSet, b: FieldSet) -> FieldSet:
    """Of two nodes below the root, where an empty one is a member."""
    if a is b or not b or not a:
        only = a or b
        return {SELF: {}, **only} if only and SELF not in only and a is not b else only
    result = dict(a)
    for element, child in b.items():
        mine = result.get(element)
        result[element] = child if mine is None else _union(mine, child)
    return result


def difference(a: FieldSet, b: FieldSet) -> FieldSet:
    """Members of `a` that are none of `b`."""
    return _difference(a, b) or {} if a and b else a


def _difference(a: FieldSet, b: FieldSet) -> FieldSet | None:
    result: FieldSet = {}
    for element, child in a.items():
        other = b.get(element)
        if element == SELF:
            continue
        if other is None:
            result[element] = child
            continue
        left = _difference(child, other)
        keeps_self = is_member(child) and not is_member(other)
        if left:
            result[element] = {SELF: {}, **left} if keeps_self else left
        elif keeps_self:
            result[element] = {}
    return result or None


def without_below(a: FieldSet, b: FieldSet) -> FieldSet:
    """Members of `a` that are neither members of `b` nor below one."""
    result: FieldSet = {}
    for element, child in a.items():
        other = b.get(element)
        if other is None:
            result[element] = child
        elif not is_member(other):
            left = without_below(child, other)
            # `{}` left of a member is that member; of anything else it is nothing.
            if left or is_member(child):
                result[element] = left
    return result


def intersection(a: FieldSet, b: FieldSet) -> FieldSet:
    result: FieldSet = {}
    for element, child in a.items():
        other = b.get(element)
        if other is None or element == SELF:
            continue
        both = intersection(child, other)
        if is_member(child) and is_member(other):
            result[element] = {SELF: {}, **both} if both else {}
        elif both:
            result[element] = both
    return result


def paths(node: FieldSet, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every member: at each level first the members, then what is below, each in order."""
    elements = sorted((element for element in node if element != SELF), key=_order)
    for element in elements:
        if is_member(node[element]):
            yield (*prefix, element)
    for element in elements:
        yield from paths(node[element], (*prefix, element))


def _order(element: str) -> tuple[int, str]:
    return _ORDER.get(element[:1], 9), element


def ordered(node: FieldSet) -> FieldSet:
    """The same set, its keys in the order in which the server writes them."""
    return {element: ordered(node[element]) for element in sorted(node, key=lambda e: (e != SELF, *_order(e)))}


def path_text(path: tuple[str, ...]) -> str:
    """`.spec.containers[name="a"].image`, as conflicts name a field."""
    return "".join(map(element_text, path))


def element_text(element: str) -> str:
    kind, _, rest = element.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        keys = json.loads(rest)
        return "[" + ",".join(f"{name}={_literal(keys[name])}" for name in sorted(keys)) + "]"
    return f"[={_literal(json.loads(rest))}]" if kind == "v" else f"[{rest}]"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return go_float(value) if isinstance(value, float) else str(value)


def is_well_formed(node: Any) -> bool:
    """Whether a client's fieldsV1 is a set at all."""
    stack = [(node, 0)]
    while stack:
        item, depth = stack.pop()
        if not isinstance(item, dict) or depth > 200:
            return False
        for element, child in item.items():
            if element != SELF and not _is_element(element):
                return False
            stack.append((child, depth + 1))
    return True


def _is_element(element: str) -> bool:
    kind, colon, rest = element.partition(":")
    if not colon or kind not in _ORDER:
        return False
    if kind == "f":
        return True
    if kind == "i":
        return rest.removeprefix("-").isdigit()
    try:
        value = json.loads(rest)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) if kind == "k" else not isinstance(value, dict | list)
