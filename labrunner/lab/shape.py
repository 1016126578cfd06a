"""Validates a YAML tree against a JSON Schema, and says what is wrong the way an author needs to hear it.

A general validator answers "is not valid under any of the given schemas"; this one knows where each value stands,
names the nearest known key, and follows the branch that the author evidently meant. It covers the keywords in
`KEYWORDS`; `unsupported_keywords` tells a schema's author about any other.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from typing import Any

from labrunner.lab.model import Position
from labrunner.lab.problem import did_you_mean, shorten
from labrunner.lab.yaml_tree import Mapping, Node, Scalar, Sequence

Schema = AbstractMapping[str, Any]
Report = Callable[[Position, str, str, str], None]
"""Called with position, rule, message, suggestion."""

ANNOTATIONS = frozenset(
    {"$schema", "$id", "$defs", "$comment", "title", "description", "default", "examples", "deprecated",
     "patternErrorMessage", "errorMessage", "markdownDescription", "defaultSnippets", "readOnly", "writeOnly"}
)  # fmt: skip
KEYWORDS = frozenset(
    {"$ref", "type", "enum", "const", "pattern", "format", "minLength", "maxLength", "minimum", "maximum",
     "exclusiveMinimum", "exclusiveMaximum", "items", "minItems", "maxItems", "uniqueItems", "properties",
     "patternProperties", "additionalProperties", "propertyNames", "required", "minProperties", "maxProperties",
     "dependentRequired", "anyOf", "oneOf", "allOf", "not", "if", "then", "else"}
)  # fmt: skip

_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_.]*\}\Z")


def unsupported_keywords(schema: Any, at: str = "#") -> list[str]:
    """Keywords of a schema that `validate` would not honour, each with its place."""
    if not isinstance(schema, AbstractMapping):
        return []
    found = [f"{at}/{k}" for k in schema if k not in KEYWORDS and k not in ANNOTATIONS]
    for keyword in ("properties", "patternProperties", "$defs"):
        for name, child in schema.get(keyword, {}).items():
            found += unsupported_keywords(child, f"{at}/{keyword}/{name}")
    for keyword in ("items", "additionalProperties", "propertyNames", "not", "if", "then", "else"):
        found += unsupported_keywords(schema.get(keyword), f"{at}/{keyword}")
    for keyword in ("anyOf", "oneOf", "allOf"):
        for number, child in enumerate(schema.get(keyword, ())):
            found += unsupported_keywords(child, f"{at}/{keyword}/{number}")
    return found


def validate(
    node: Node, schema: Schema, report: Report, *, root: Schema | None = None, variables: bool = False
) -> bool:
    """Report everything in `node` that `schema` does not allow; True when there is nothing.

    `root` holds the `$defs` that `$ref` points into. `variables`: a scalar that is one `${NAME}` stands for a value of
    any scalar type, as it is only known when the lab runs; `${params.NAME}` for one of any type.
    """
    found = False

    def note(position: Position, rule: str, message: str, suggestion: str) -> None:
        nonlocal found
        found = True
        report(position, rule, message, suggestion)

    _Validator(root if root is not None else schema, variables).check(node, schema, _Where("the file"), note)
    return not found


@dataclass(frozen=True, slots=True)
class _Where:
    """What a message calls the value."""

    name: str

    def key(self, key: str) -> _Where:
        return _Where(f"'{key}'")

    def item(self, index: int) -> _Where:
        return _Where(f"item {index + 1} of {self.name}")


_TYPE_NAMES = {
    "string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "a mapping", "null": "nothing",
}  # fmt: skip


_LIMITS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "minimum": ("at least", operator.ge),
    "maximum": ("at most", operator.le),
    "exclusiveMinimum": ("more than", operator.gt),
    "exclusiveMaximum": ("less than", operator.lt),
}


def json_type(node: Node) -> str:
    if isinstance(node, Mapping):
        return "object"
    if isinstance(node, Sequence):
        return "array"
    value = node.plain()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    return "string"


def _types(schema: Schema) -> list[str]:
    declared = schema.get("type", [])
    return [declared] if isinstance(declared, str) else list(declared)


def _fits(node: Node, types: list[str]) -> bool:
    actual = json_type(node)
    return actual in types or (actual == "integer" and "number" in types)


class _Validator:
    def __init__(self, root: Schema, variables: bool) -> None:
        self.root = root
        self.variables = variables

    def resolve(self, schema: Schema) -> Schema:
        """Follow `$ref` (local ones only), keeping what stands beside it."""
        for _ in range(16):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                break
            target: Any = self.root
            for part in reference.removeprefix("#/").split("/"):
                target = target[part]
            schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
        return schema

    def holds(self, node: Node, schema: Any) -> bool:
        found: list[str] = []
        self.check(node, schema, _Where(""), lambda *problem: found.append(problem[1]))
        return not found

    def check(self, node: Node, schema: Any, where: _Where, report: Report) -> None:
        if schema is True or schema == {}:
            return
        if schema is False:
            report(node.position, "not-allowed", f"{where.name} is not allowed here", "")
            return
        schema = self.resolve(schema)
        if self.variables and self._stands_for_a_value(node, schema):
            return
        types = _types(schema)
        if types and not _fits(node, types):
            self._wrong_type(node, schema, types, where, report)
            return
        if not self._value(node, schema, where, report):
            return
        if isinstance(node, Mapping):
            self._mapping(node, schema, where, report)
        elif isinstance(node, Sequence):
            self._sequence(node, schema, where, report)
        elif isinstance(node, Scalar):
            self._scalar(node, schema, where, report)
        self._combined(node, schema, where, report)

    def _stands_for_a_value(self, node: Node, schema: Schema) -> bool:
        if not (isinstance(node, Scalar) and isinstance(node.value, str) and _VARIABLE.match(node.value)):
            return False
        declared = _types(schema)
        scalar = not declared or any(t in ("string", "integer", "number", "boolean") for t in declared)
        return scalar or node.value.startswith("${params.")

    def _wrong_type(self, node: Node, schema: Schema, types: list[str], where: _Where, report: Report) -> None:
        wanted = " or ".join(_TYPE_NAMES.get(t, t) for t in types)
        suggestion = ""
        if "string" in types and isinstance(node, Scalar) and node.value is not None:
            suggestion = str(schema.get("patternErrorMessage", "")) or f'quote it: "{node.text}"'
        elif "array" in types and isinstance(node, Scalar | Mapping):
            suggestion = "begin each item with '- '"
        elif isinstance(node, Scalar) and node.value is None:
            suggestion = "remove the key, or give it a value"
        report(node.position, "wrong-type", f"{where.name} must be {wanted}, not {node.label}", suggestion)

    def _value(self, node: Node, schema: Schema, where: _Where, report: Report) -> bool:
        """`enum` and `const`; False when what follows would only repeat it."""
        if "const" in schema and not _same(node.plain(), schema["const"]):
            message = f"{where.name} must be {_shown(schema['const'])}, not {node.label}"
            report(node.position, "wrong-value", message, "")
            return False
        if "enum" in schema and not any(_same(node.plain(), allowed) for allowed in schema["enum"]):
            options = ", ".join(_shown(v) for v in schema["enum"])
            suggestion = did_you_mean(str(node.plain()), map(str, schema["enum"])) if isinstance(node, Scalar) else ""
            report(node.position, "wrong-value", f"{where.name} must be one of {options}, not {node.label}", suggestion)
            return False
        return True

    def _scalar(self, node: Scalar, schema: Schema, where: _Where, report: Report) -> None:
        value = node.value
        if isinstance(value, str):
            if len(value) < schema.get("minLength", 0):
                few = "must not be empty" if not value else f"needs at least {schema['minLength']} characters"
                report(node.position, "empty", f"{where.name} {few}", "")
            elif len(value) > schema.get("maxLength", len(value)):
                report(node.position, "too-long", f"{where.name} has more than {schema['maxLength']} characters", "")
            elif "pattern" in schema and not re.search(schema["pattern"], value):
                explained = schema.get("patternErrorMessage") or f"it must match {schema['pattern']}"
                report(node.position, "wrong-value", f"{where.name} cannot be '{shorten(value)}'", str(explained))
            elif schema.get("format") == "regex":
                self._regex(node, value, where, report)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            for keyword, (words, fits) in _LIMITS.items():
                if keyword in schema and not fits(value, schema[keyword]):
                    message = f"{where.name} must be {words} {schema[keyword]}, not {node.text}"
                    report(node.position, "wrong-value", message, "")

    def _regex(self, node: Scalar, value: str, where: _Where, report: Report) -> None:
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            message = f"{where.name} is not a regular expression: {error}"
            report(node.position, "regex", message, f"it is '{shorten(value)}'")

    def _sequence(self, node: Sequence, schema: Schema, where: _Where, report: Report) -> None:
        if len(node.items) < schema.get("minItems", 0):
            few = "must not be empty" if not node.items else f"needs at least {schema['minItems']} items"
            report(node.position, "empty", f"{where.name} {few}", "")
        if len(node.items) > schema.get("maxItems", len(node.items)):
            report(node.position, "too-long", f"{where.name} has more than {schema['maxItems']} items", "")
        if schema.get("uniqueItems"):
            seen: list[Any] = []
            for item in node.items:
                if any(_same(item.plain(), other) for other in seen):
                    report(item.position, "duplicate", f"{where.name} has {item.label} twice", "")
                seen.append(item.plain())
        if "items" in schema:
            for index, item in enumerate(node.items):
                self.check(item, schema["items"], where.item(index), report)

    def _mapping(self, node: Mapping, schema: Schema, where: _Where, report: Report) -> None:
        properties: Schema = schema.get("properties", {})
        patterns: Schema = schema.get("patternProperties", {})
        name = str(schema.get("title", "")).lower() or where.name
        if len(node.values) < schema.get("minProperties", 0):
            report(node.position, "empty", f"{where.name} must not be empty", "")
        if len(node.values) > schema.get("maxProperties", len(node.values)):
            report(node.position, "too-long", f"{where.name} has more than {schema['maxProperties']} keys", "")
        for key, key_node, value in node.items():
            if "propertyNames" in schema:
                self.check(key_node_as_text(key_node), schema["propertyNames"], _Where("the key"), report)
            matched = [child for pattern, child in patterns.items() if re.search(pattern, key)]
            if key in properties:
                matched.append(properties[key])
            for child in matched:
                self.check(value, child, where.key(key), report)
            if matched or "additionalProperties" not in schema:
                continue
            extra = schema["additionalProperties"]
            if extra is False:
                suggestion = did_you_mean(key, (p for p in properties if p not in node.values))
                if not suggestion:
                    suggestion = did_you_mean(key, properties) or _known(properties, node)
                report(key_node.position, "unknown-key", f"unknown key '{shorten(key)}' in {name}", suggestion)
            else:
                self.check(value, extra, where.key(key), report)
        for key in schema.get("required", ()):
            if key not in node.values and not self._misspelt(node, properties, key):
                report(node.position, "missing-key", f"'{key}' is missing in {name}", _purpose(properties.get(key)))
        for key, needed in schema.get("dependentRequired", {}).items():
            for other in needed:
                if key in node.values and other not in node.values:
                    report(node.keys[key].position, "missing-key", f"'{key}' needs '{other}' beside it in {name}", "")

    def _misspelt(self, node: Mapping, properties: Schema, wanted: str) -> bool:
        """An unknown key that was already reported as a misspelling of the wanted one."""
        unknown = [k for k in node.values if k not in properties]
        free = [p for p in properties if p not in node.values]
        return any(did_you_mean(k, free) == f"did you mean '{wanted}'?" for k in unknown)

    def _combined(self, node: Node, schema: Schema, where: _Where, report: Report) -> None:
        for child in schema.get("allOf", ()):
            self.check(node, child, where, report)
        if "anyOf" in schema:
            self._branches(node, schema, schema["anyOf"], where, report, exactly_one=False)
        if "oneOf" in schema:
            self._branches(node, schema, schema["oneOf"], where, report, exactly_one=True)
        if "not" in schema and self.holds(node, schema["not"]):
            message = str(schema.get("errorMessage") or f"{where.name} has a combination that is not allowed")
            report(node.position, "not-allowed", message, "")
        if "if" in schema:
            branch = schema.get("then" if self.holds(node, schema["if"]) else "else")
            if branch is not None:
                self.check(node, branch, where, report)

    def _branches(
        self, node: Node, schema: Schema, branches: list[Any], where: _Where, report: Report, *, exactly_one: bool
    ) -> None:
        holding = [b for b in branches if self.holds(node, b)]
        if len(holding) == 1 or (holding and not exactly_one):
            return
        keys = _required_keys(branches)
        if keys and isinstance(node, Mapping):
            self._one_of_keys(node, schema, keys, where, report)
            return
        if holding:
            report(node.position, "ambiguous", f"{where.name} fits more than one form", "")
            return
        resolved = [self.resolve(b) for b in branches if isinstance(b, AbstractMapping)]
        fitting = [b for b in resolved if not _types(b) or _fits(node, _types(b))]
        if not resolved:
            report(node.position, "not-allowed", f"{where.name} is not allowed here", "")
        elif not fitting:
            wanted = list(dict.fromkeys(t for b in resolved for t in _types(b)))
            self._wrong_type(node, {}, wanted, where, report)
        else:
            self.check(node, min(fitting, key=lambda b: self._distance(node, b)), where, report)

    def _distance(self, node: Node, schema: Schema) -> tuple[int, int]:
        """How far a value is from what the schema describes: by its keys first, then by what is wrong with it."""
        found: list[str] = []
        self.check(node, schema, _Where(""), lambda *problem: found.append(problem[1]))
        known: Schema = schema.get("properties", {})
        strange = sum(key not in known for key in node.values) if isinstance(node, Mapping) else 0
        return strange, len(found)

    def _one_of_keys(self, node: Mapping, schema: Schema, keys: list[str], where: _Where, report: Report) -> None:
        """None of the keys is there, or several are where one should be."""
        present = [key for key in node.values if key in keys]
        name = str(schema.get("title", "")).lower() or where.name
        if present:
            both = " and ".join(f"'{k}'" for k in present)
            report(node.keys[present[1]].position, "ambiguous", f"{name} has {both}", "keep exactly one of them")
            return
        known = schema.get("properties", {})
        unknown = [k for k in node.values if k not in known]
        if not (unknown and schema.get("additionalProperties") is False):
            report(node.position, "missing-key", f"{name} needs one of: {', '.join(keys)}", "")


def _required_keys(branches: list[Any]) -> list[str]:
    """The keys of branches that ask for one key each and for nothing else; empty for any other branches."""
    plain = [
        b for b in branches if isinstance(b, AbstractMapping) and set(b) == {"required"} and len(b["required"]) == 1
    ]
    return [str(b["required"][0]) for b in plain] if len(plain) == len(branches) else []


def key_node_as_text(key: Scalar) -> Scalar:
    """A key is always text, also when it is spelt as a number."""
    return Scalar(key.position, key.text, key.text, key.style)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def _known(properties: Schema, node: Mapping) -> str:
    free = sorted(p for p in properties if p not in node.values)
    return f"known keys: {', '.join(free)}" if free and len(free) <= 12 else ""


def _purpose(schema: Any) -> str:
    if not isinstance(schema, AbstractMapping):
        return ""
    description = str(schema.get("description", ""))
    first, _, _ = description.partition(". ")
    return first.rstrip(".")[:1].lower() + first.rstrip(".")[1:] if first else ""


def walk(node: Node) -> Iterator[Node]:
    """The node and everything in it."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        if isinstance(current, Sequence):
            pending.extend(reversed(current.items))
        elif isinstance(current, Mapping):
            pending.extend(reversed(list(current.values.values())))
