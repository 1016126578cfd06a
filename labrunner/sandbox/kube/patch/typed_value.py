"""Objects under a schema: which fields they have, how two differ, merging and removing fields.

Source: sigs.k8s.io/structured-merge-diff/typed (tofieldset.go, compare.go, merge.go, remove.go, validate.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from labrunner.sandbox.kube.patch.field_set import (
    SELF,
    FieldSet,
    element_text,
    is_member,
    key_element,
    value_element,
)
from labrunner.sandbox.kube.patch.field_type import UNTYPED, FieldType
from labrunner.sandbox.kube.patch.json_value import go_text

MISSING: Final[Any] = type("Missing", (), {"__repr__": lambda self: "MISSING"})()
"""No value at all, as against null."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Fields that the second object lacks, has otherwise, and has besides."""

    removed: FieldSet
    modified: FieldSet
    added: FieldSet


def _form(type_: FieldType, *values: Any) -> Literal["leaf", "list", "map"]:
    """How to treat these values of one place (of which one may be MISSING): as one, or by items or fields."""
    forms = set()
    empty = True
    for value in values:
        if value is MISSING or value is None:
            continue
        if isinstance(value, dict) and type_.shape in ("map", "any"):
            forms.add("leaf" if type_.atomic else "map")
        elif isinstance(value, list) and type_.shape == "list":
            forms.add("leaf" if type_.atomic else "list")
        else:
            return "leaf"
        empty = empty and not value
    if empty or len(forms) != 1:
        return "leaf"
    return forms.pop()  # type: ignore[return-value]


def element_of(type_: FieldType, item: Any) -> str | None:
    """The path element of an item of an associative list; None when it has none."""
    if not type_.keys:
        return None if isinstance(item, dict | list) or item is None else value_element(item)
    if not isinstance(item, dict):
        return None
    keys = {}
    for key in type_.keys:
        value = item.get(key)
        if value is None:
            value = type_.key_default(key)
        if value is None:
            return None
        keys[key] = value
    return key_element(keys)


def _items(type_: FieldType, items: Any) -> dict[str, Any]:
    """Items by path element; the first of those that have the same."""
    found: dict[str, Any] = {}
    for item in items or () if items is not MISSING else ():
        element = element_of(type_, item)
        if element is not None:
            found.setdefault(element, item)
    return found


def _field(type_: FieldType, name: str) -> FieldType:
    return type_.field(name) or UNTYPED


def to_field_set(type_: FieldType, value: Any) -> FieldSet:
    """The fields that an object has: what its applier owns."""
    return (_fields_of(type_, value) or {}) if isinstance(value, dict) and value else {}


def _fields_of(type_: FieldType, value: Any) -> FieldSet | None:
    """Below the root, where {} says that the place itself is a member; None: nothing is."""
    form = _form(type_, value)
    node: FieldSet = {}
    if form == "map":
        for name, item in value.items():
            child = _fields_of(_field(type_, name), item)
            # Keys of maps are members themselves; fields that the schema names are not, for having something below.
            if not type_.has(name):
                child = {SELF: {}, **child} if child else {}
            if child is not None:
                node[f"f:{name}"] = child
        return node or None
    if form == "list":
        for element, item in _items(type_, value).items():
            child = _fields_of(type_.items, item)
            node[element] = {SELF: {}, **child} if child else {}
        return node or None
    is_empty_list = isinstance(value, list) and not value and type_.shape == "list" and not type_.atomic
    return None if is_empty_list else node


def compare(type_: FieldType, old: Any, new: Any) -> Comparison:
    """What `new` changes."""
    found: tuple[FieldSet, FieldSet, FieldSet] = ({}, {}, {})
    _compare(type_, old, new, found, "")
    removed, modified, added = (part.get("", {}) for part in found)
    return Comparison(removed, modified, added)


def _compare(type_: FieldType, old: Any, new: Any, into: tuple[FieldSet, FieldSet, FieldSet], element: str) -> None:
    """Puts under `element` of (removed, modified, added) what differs."""
    # Python takes True for 1, which only matters where these stand alone: the schema keeps them apart elsewhere.
    if old is new or (old is not MISSING and old == new and isinstance(old, bool) == isinstance(new, bool)):
        return
    removed, modified, added = into
    form = _form(type_, old, new)
    if form == "leaf":
        target = added if old is MISSING else removed if new is MISSING else modified
        target[element] = {}
        return
    below: tuple[FieldSet, FieldSet, FieldSet] = ({}, {}, {})
    if form == "map":
        mine, theirs = (value if isinstance(value, dict) else {} for value in (old, new))
        for name in mine.keys() | theirs.keys():
            child = _field(type_, name)
            _compare(child, mine.get(name, MISSING), theirs.get(name, MISSING), below, f"f:{name}")
    else:
        mine, theirs = _items(type_, old), _items(type_, new)
        for name in mine.keys() | theirs.keys():
            _compare(type_.items, mine.get(name, MISSING), theirs.get(name, MISSING), below, name)
    if old is MISSING:
        below[2][SELF] = {}
    elif new is MISSING:
        below[0][SELF] = {}
    for target, part in zip(into, below, strict=True):
        if part:
            target[element] = {} if part.keys() == {SELF} else part


def merge(type_: FieldType, live: Any, config: Any) -> Any:
    """`live` with what `config` says; items and fields that only one of them has are kept."""
    if live is MISSING or config is MISSING:
        return config if live is MISSING else live
    form = _form(type_, live, config)
    if form == "leaf":
        return config
    if form == "map":
        live, config = live or {}, config or {}
        result = dict(live)
        for name, value in config.items():
            result[name] = merge(_field(type_, name), live.get(name, MISSING), value)
        return result
    return list(_merged_items(type_, _items(type_, live), _items(type_, config)))


def _merged_items(type_: FieldType, live: dict[str, Any], config: dict[str, Any]) -> Iterator[Any]:
    """In the config's order as far as it says one, each item that only `live` has staying where it was."""
    left, right = list(live), list(config)
    shared = [element for element in right if element in live]
    i = j = 0
    while i < len(left) or j < len(right):
        if i < len(left) and j < len(right):
            if left[i] == right[j]:
                yield merge(type_.items, live[left[i]], config[right[j]])
                i, j = i + 1, j + 1
                shared = shared[1:]
                continue
            if left[i] in config and shared and shared[0] != left[i]:
                # Shared, but not the one whose turn it is.
                i += 1
                continue
        if i < len(left) and left[i] not in config:
            yield live[left[i]]
            i += 1
        elif j < len(right):
            yield merge(type_.items, live.get(right[j], MISSING), config[right[j]])
            if shared and shared[0] == right[j]:
                shared = shared[1:]
            j += 1
        else:
            i += 1


def remove(type_: FieldType, value: Any, fields: FieldSet) -> Any:
    """`value` without the members of `fields`; MISSING when nothing of a list or map is left."""
    form = _form(type_, value)
    if form == "map":
        result: dict[str, Any] = {}
        for name, item in value.items():
            node = fields.get(f"f:{name}")
            if node is None:
                result[name] = item
            elif not is_member(node):
                left = remove(_field(type_, name), item, node)
                if left is not MISSING:
                    result[name] = left
        return result or MISSING
    if form == "list":
        kept = []
        for item in value:
            element = element_of(type_, item)
            node = None if element is None else fields.get(element)
            if node is None:
                kept.append(item)
            elif not is_member(node):
                left = remove(type_.items, item, node)
                if left is not MISSING:
                    kept.append(left)
        return kept or MISSING
    return value


def with_named_fields(type_: FieldType, fields: FieldSet) -> FieldSet:
    """`fields` and, for each member below a field that the schema names, that field."""
    result: FieldSet = {}
    for element, node in fields.items():
        if element == SELF:
            result[SELF] = {}
            continue
        name = element[2:] if element.startswith("f:") else ""
        child_type = _field(type_, name) if element.startswith("f:") else type_.items
        child = with_named_fields(child_type, node)
        if child and name and type_.shape == "map" and type_.has(name):
            child = {SELF: {}, **child}
        result[element] = child
    return result


def problems(type_: FieldType, value: Any, path: str = "") -> Iterator[str]:
    """What is wrong with an applied configuration under its schema: `.spec.x: field not declared in schema`."""
    if value is None:
        return
    if type_.shape == "map":
        if not isinstance(value, dict):
            yield f"{path}: expected map, got &{{{go_text(value)}}}"
            return
        for name in sorted(value):
            child = type_.field(name)
            if child is None:
                yield f"{path}.{name}: field not declared in schema"
            else:
                yield from problems(child, value[name], f"{path}.{name}")
    elif type_.shape == "list":
        if not isinstance(value, list):
            yield f"{path}: expected list, got &{{{go_text(value)}}}"
            return
        yield from _list_problems(type_, value, path)
    elif type_.shape == "scalar":
        yield from _scalar_problems(type_, value, path)


def _list_problems(type_: FieldType, value: list[Any], path: str) -> Iterator[str]:
    seen = set()
    for index, item in enumerate(value):
        if type_.atomic:
            yield from problems(type_.items, item, f"{path}[{index}]")
            continue
        element = element_of(type_, item)
        if element is None:
            yield f"{path}: element {index}: {_keyless(type_, item)}"
            continue
        if element in seen:
            yield f"{path}: duplicate entries for key {element_text(element)}"
        seen.add(element)
        yield from problems(type_.items, item, path + element_text(element))


def _keyless(type_: FieldType, item: Any) -> str:
    """Why an item of an associative list has no path element."""
    if not type_.keys:
        kind = "a map type" if isinstance(item, dict) else "an explicit null" if item is None else "a list"
        return f"associative list without keys has an element that's {kind}"
    if item is None:
        return "associative list with keys may not have a null element"
    if not isinstance(item, dict):
        return "associative list with keys may not have non-map elements"
    missing = next(key for key in type_.keys if item.get(key) is None and type_.key_default(key) is None)
    return f"associative list with keys has an element that omits key field {missing!r}".replace("'", '"') + (
        " (and doesn't have default value)"
    )


def _scalar_problems(type_: FieldType, value: Any, path: str) -> Iterator[str]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match type_.scalar:
        case "string" if not isinstance(value, str):
            yield f"{path}: expected string, got &value.valueUnstructured{{Value:{go_text(value)}}}"
        case "integer" | "number" if not is_number:
            kind = {str: "string", bool: "bool", dict: "map[string]interface {}"}.get(type(value), "[]interface {}")
            yield f"{path}: expected numeric (int or float), got {kind}"
        case "boolean" if not isinstance(value, bool):
            yield f"{path}: expected boolean, got &{{{go_text(value)}}}"
        case "" if isinstance(value, dict | list):
            yield f"{path}: expected any scalar, got &{{{go_text(value)}}}"
