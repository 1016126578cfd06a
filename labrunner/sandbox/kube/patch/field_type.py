"""How server-side apply sees a schema: scalars, lists and maps, and which of them are owned as a whole.

Source: k8s.io/kube-openapi/pkg/schemaconv, which turns OpenAPI into the schemas of structured-merge-diff.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Literal

from labrunner.sandbox.kube.schema.node import SchemaNode

Shape = Literal["scalar", "list", "map", "any"]
_KEY_DEFAULTS = {"protocol": "TCP"}
"""Of keys of built-in lists whose OpenAPI default is not in the schemas' source."""
_REMEMBERED = 256


class FieldType:
    """The type of one place. Children are made when they are asked for, and kept."""

    __slots__ = ("_children", "_node", "atomic", "keys", "preserves", "shape")

    def __init__(self, node: SchemaNode | None) -> None:
        self._node = node
        self._children: dict[str, FieldType] = {}
        self.keys: tuple[str, ...] = ()
        """Of a list of maps; an associative list without keys is a set of scalars."""
        self.preserves = node is None or node.preserves_unknown_fields
        self.shape, self.atomic = self._shape(node)

    def _shape(self, node: SchemaNode | None) -> tuple[Shape, bool]:
        """Shape, and whether it is owned as one: for `any`, of the maps in it (its lists always are)."""
        if node is None:
            return "any", False
        if node.int_or_string:
            return "scalar", True
        kind = node.type
        if kind == "array":
            return "list", self._is_atomic_list(node)
        if kind == "object" or (not kind and ("properties" in node.raw or "additionalProperties" in node.raw)):
            if "properties" not in node.raw and not isinstance(node.raw.get("additionalProperties"), Mapping):
                return "any", not self.preserves
            return "map", node.map_type == "atomic"
        if not kind:
            return "any", not self.preserves
        return "scalar", True

    def _is_atomic_list(self, node: SchemaNode) -> bool:
        if "x-kubernetes-list-type" in node.raw:
            self.keys = tuple(sorted(node.list_map_keys)) if node.list_type == "map" else ()
            return node.list_type == "atomic"
        if "merge" in node.patch_strategies:
            self.keys = (node.merge_key,) if node.merge_key else ()
            return False
        return True

    def has(self, name: str) -> bool:
        """Whether the schema names this field (as against: allows it, as a map does any key)."""
        return self._node is not None and name in self._node.raw.get("properties", ())

    def field(self, name: str) -> FieldType | None:
        """The type of a field or of a map's value; None where the schema allows none."""
        child = self._children.get(name)
        if child is None:
            node = self._node.field(name) if self._node else None
            if node is None and self.shape == "map" and not self.preserves:
                return None
            child = self._children[name] = UNTYPED if node is None else FieldType(node)
        return child

    @property
    def items(self) -> FieldType:
        child = self._children.get("[]")
        if child is None:
            node = self._node.items if self._node and self.shape == "list" else None
            child = self._children["[]"] = UNTYPED if node is None else FieldType(node)
        return child

    def key_default(self, key: str) -> Any:
        """What an item that omits a key is taken to have there; None: it must not omit it."""
        node = self._node.items.field(key) if self._node and self._node.items else None
        default = node.raw.get("default") if node else None
        return _KEY_DEFAULTS.get(key) if default is None else default

    @property
    def scalar(self) -> str:
        """string, integer, number, boolean, or empty for one of several."""
        if self._node is None or self._node.int_or_string or "x-quantity" in self._node.raw:
            return ""
        return self._node.type


UNTYPED = FieldType(None)
"""What no schema describes: maps are granular, lists atomic."""

_roots: OrderedDict[int, tuple[SchemaNode, FieldType]] = OrderedDict()


def field_type(node: SchemaNode | None) -> FieldType:
    """The type of a kind's schema; the last few hundred are remembered with what was learned of their fields."""
    if node is None:
        return UNTYPED
    known = _roots.get(id(node.raw))
    if known is None:
        known = _roots[id(node.raw)] = (node, FieldType(node))
        if len(_roots) > _REMEMBERED:
            _roots.popitem(last=False)
    else:
        _roots.move_to_end(id(node.raw))
    return known[1]
