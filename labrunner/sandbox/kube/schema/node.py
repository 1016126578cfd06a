"""One place in an OpenAPI v3 schema, with `$ref` resolved on the way down: what patching and validation walk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


class SchemaNode:
    """A schema and the definitions its references point to. Cheap to make; compare by `raw`."""

    __slots__ = ("definitions", "raw")

    def __init__(self, raw: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> None:
        """`definitions`: by name, as in `#/components/schemas/`. `$ref` is followed, also as the only item of allOf."""
        extra: dict[str, Any] = {}
        while True:
            if "$ref" in raw:
                reference = raw
            elif len(raw.get("allOf", ())) == 1 and "$ref" in raw["allOf"][0]:
                reference = raw["allOf"][0]
            else:
                break
            extra = {**{k: v for k, v in raw.items() if k.startswith("x-kubernetes-") or k == "default"}, **extra}
            raw = definitions[reference["$ref"].rpartition("/")[2]]
        self.raw: Mapping[str, Any] = {**raw, **extra} if extra else raw
        self.definitions = definitions

    def field(self, name: str) -> SchemaNode | None:
        """The schema of a field or, for a map, of any of its values; None where the schema does not say."""
        found = self.raw.get("properties", {}).get(name)
        if found is None:
            values = self.raw.get("additionalProperties")
            found = values if isinstance(values, Mapping) else None
        return SchemaNode(found, self.definitions) if found is not None else None

    @property
    def items(self) -> SchemaNode | None:
        found = self.raw.get("items")
        return SchemaNode(found, self.definitions) if found is not None else None

    @property
    def type(self) -> str:
        return cast(str, self.raw.get("type", ""))

    @property
    def list_type(self) -> str:
        """atomic, set or map: how server-side apply merges a list (default atomic)."""
        return cast(str, self.raw.get("x-kubernetes-list-type", "atomic"))

    @property
    def list_map_keys(self) -> list[str]:
        return cast("list[str]", self.raw.get("x-kubernetes-list-map-keys", []))

    @property
    def map_type(self) -> str:
        """granular or atomic, for objects (default granular)."""
        return cast(str, self.raw.get("x-kubernetes-map-type", "granular"))

    @property
    def merge_key(self) -> str:
        """The key strategic merge matches list items by; empty: none."""
        return cast(str, self.raw.get("x-kubernetes-patch-merge-key", ""))

    @property
    def patch_strategies(self) -> frozenset[str]:
        """Of `merge`, `replace`, `retainKeys`."""
        return frozenset(filter(None, self.raw.get("x-kubernetes-patch-strategy", "").split(",")))

    @property
    def preserves_unknown_fields(self) -> bool:
        return bool(self.raw.get("x-kubernetes-preserve-unknown-fields", False))

    @property
    def int_or_string(self) -> bool:
        return bool(self.raw.get("x-kubernetes-int-or-string")) or self.raw.get("format") == "int-or-string"
