"""The Go types behind the built-in schemas: which zero values vanish, which fields are always written, type names.

Facts come from data/gotypes.jsonl (tools/generate_go_facts.py); what an object looks like after the server's decoder
and what its errors say depend on them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from labrunner.sandbox.kube.schema.definitions import Definitions, read

_NOTHING: dict[str, Any] = {}


@lru_cache(maxsize=1)
def _facts() -> Definitions:
    return Definitions(read("gotypes.jsonl"))


def facts(definition: str) -> Mapping[str, Any]:
    """`zero`, `always` and `named` of a definition such as `io.k8s.api.core.v1.Container`; empty where not known."""
    return _facts().get(definition, _NOTHING)


def is_dropped(definition: str, field: str, value: Any) -> bool:
    """Whether a zero value (not null) of an optional field disappears when the server writes the object."""
    known = facts(definition)
    if known:
        return field in known.get("zero", ())
    return isinstance(value, (str, list))


def fill(raw: Mapping[str, Any], value: Any, definitions: Mapping[str, Mapping[str, Any]]) -> None:
    """Add, in place, the fields that Go writes even when nobody set them: `resources: {}`, `status: {}`."""
    while "$ref" in raw:
        raw = definitions[raw["$ref"].rpartition("/")[2]]
    if isinstance(value, dict):
        properties = raw.get("properties")
        if properties is None:
            items = raw.get("additionalProperties")
            if isinstance(items, Mapping) and "$ref" in items:
                for child in value.values():
                    fill(items, child, definitions)
            return
        for name, zero in facts(str(raw.get("x-definition", ""))).get("always", _NOTHING).items():
            if name not in value:
                value[name] = copy.deepcopy(zero)
        for name, child in value.items():
            if child and isinstance(child, (dict, list)) and name in properties and name != "metadata":
                fill(properties[name], child, definitions)
    elif isinstance(value, list) and isinstance(raw.get("items"), Mapping):
        for child in value:
            if isinstance(child, (dict, list)):
                fill(raw["items"], child, definitions)


def struct_name(raw: Mapping[str, Any]) -> str:
    """`io.k8s.api.core.v1.Container` -> `Container`."""
    return str(raw.get("x-definition", "")).rpartition(".")[2]


def go_type(schema: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]], parent: str, field: str) -> str:
    """`int32`, `[]v1.Container`, `map[string]string`, `v1.PullPolicy`. `parent` and `field` say where it stands."""
    name = ""
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = definitions[name]
    name = name or str(schema.get("x-definition", ""))
    kind = schema.get("type")
    if name and kind == "object":
        return ".".join(name.split(".")[-2:])
    if kind == "array":
        return "[]" + go_type(schema["items"], definitions, "", "")
    if kind == "object":
        items = schema.get("additionalProperties", {})
        if items.get("$ref", "").endswith("resource.Quantity"):
            return "v1.ResourceList"
        return "map[string]" + go_type(items, definitions, "", "")
    if kind == "integer":
        return str(schema.get("format", "int64"))
    if kind == "number":
        return "float64"
    if kind == "boolean":
        return "bool"
    if schema.get("format") == "byte":
        return "[]uint8"
    return str(facts(parent).get("named", _NOTHING).get(field, "string"))


def value_word(value: Any, *, number: bool = False) -> str:
    """How encoding/json calls a JSON value; with `number`, its digits too."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return f"number {json.dumps(value)}" if number else "number"
    if value is None:
        return "null"
    return "array" if isinstance(value, list) else "object"
