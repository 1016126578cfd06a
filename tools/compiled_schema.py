"""Gets a JSON Schema back out of a compiled ajv validator and of the type declarations beside it.

The npm packages of `@kubernetes-models` ship one function per schema node, each composed of calls of other nodes'
functions and of pushes of `{schemaPath, keyword, params}`: regular enough to read without running it.
What the compiler dropped (list keys, int-or-string, preserve-unknown-fields, CEL) is inferred or comes from overlays.
"""

from __future__ import annotations

import json
import re
from typing import Any

_ARGUMENTS = 'data,{instancePath="",parentData,parentDataProperty,rootData=data}={}'
_FUNCTION = re.compile(r"function (validate\d+)\(" + re.escape(_ARGUMENTS) + r"\)\{")
_IMPORT = re.compile(r'import\{validate as (validate\d+)\}from"([^"]+)"')
_CONSTANT = re.compile(r"(schema\d+)(?:_enum=|=\{enum:)(\[[^\]]*\])")
_EXPORT = re.compile(r"export const validate=(?:function )?(validate\d+)")
_TOKEN = re.compile(
    r"(?P<call>validate\d+)\((?P<what>data(?:\.[A-Za-z_$][\w$]*|\[[^\]]+\])?),"
    r'|keyword:"(?P<keyword>\w+)",params:\{(?P<params>(?:"(?:[^"\\]|\\.)*"|[^}"])*)\}'
    r"|formats(?:\.(?P<format>\w+)|\[\"(?P<format2>[\w-]+)\"\])"
)
_COMBINATORS = ("not", "anyOf", "oneOf")
_LIMITS = ("maxLength", "minLength", "maximum", "minimum", "maxItems", "minItems", "maxProperties", "minProperties")


def decompile(source: str) -> dict[str, Any]:
    """The schema that the module's exported `validate` checks."""
    constants = {name: json.loads(value) for name, value in _CONSTANT.findall(source)}
    external = dict(_IMPORT.findall(source))
    bodies = {m[1]: _body(source, m.end()) for m in _FUNCTION.finditer(source)}
    root = _EXPORT.search(source)
    if not root:
        raise ValueError("no exported validate function")
    return _node(root[1], bodies, external, constants)


def _body(source: str, start: int) -> str:
    depth, position = 1, start
    while depth:
        char = source[position]
        if char in "\"'`":
            position = _string_end(source, position)
        depth += (char == "{") - (char == "}")
        position += 1
    return source[start : position - 1]


def _string_end(source: str, position: int) -> int:
    quote = source[position]
    position += 1
    while source[position] != quote:
        position += 2 if source[position] == "\\" else 1
    return position


def _node(name: str, bodies: dict[str, str], external: dict[str, str], constants: dict[str, Any]) -> dict[str, Any]:
    if name in external:
        return {"type": "object", "x-external": external[name].rpartition("/")[2]}
    out: dict[str, Any] = {}
    pending: list[dict[str, Any]] = []  # calls on the same data, waiting for the combinator that uses them
    for token in _TOKEN.finditer(bodies[name]):
        if token["call"]:
            child = _node(token["call"], bodies, external, constants)
            what = token["what"]
            if what == "data":
                pending.append(child)
            elif re.fullmatch(r"data\[i\d+\]", what):
                out["items"] = child
            elif re.fullmatch(r"data\[key\d+\]", what):
                out["additionalProperties"] = child
            else:
                key = json.loads(what[5:-1]) if what.startswith("data[") else what[5:]
                out.setdefault("properties", {})[key] = child
        elif token["keyword"]:
            keyword, params = token["keyword"], token["params"]
            if keyword in _COMBINATORS:
                out[keyword] = pending[-1] if keyword == "not" else pending
                pending = []
            else:
                _constraint(out, keyword, params, constants)
        else:
            out["format"] = token["format"] or token["format2"]
    if pending:
        if len(pending) == 1 and not out:
            return pending[0]
        out["allOf"] = pending
    return out


def _constraint(out: dict[str, Any], keyword: str, params: str, constants: dict[str, Any]) -> None:
    if keyword == "type":
        match = re.search(r'type:"(\w+)"', params)
        if match:
            out["type"] = match[1]
    elif keyword == "required":
        match = re.search(r'missingProperty:"([^"]+)"', params)
        if match and match[1] not in out.setdefault("required", []):
            out["required"].append(match[1])
    elif keyword == "enum":
        match = re.search(r"allowedValues:(schema\d+)", params)
        if match:
            out["enum"] = constants[match[1]]
    elif keyword == "pattern":
        match = re.search(r'pattern:("(?:[^"\\]|\\.)*")', params)
        if match:
            out["pattern"] = json.loads(match[1])
    elif keyword in _LIMITS:
        match = re.search(r"limit:(-?(?:0x[\da-f]+|[\d.e+]+))", params)
        if match:
            text = match[1]
            out[keyword] = int(text, 16) if "0x" in text else float(text) if "." in text else int(float(text))
    elif keyword != "format":
        raise ValueError(f"cannot read the keyword {keyword}")


def restore(schema: dict[str, Any]) -> dict[str, Any]:
    """What a CustomResourceDefinition says and a validator drops: int-or-string, free-form objects."""
    if schema.get("anyOf") == [{"type": "integer"}, {"type": "string"}]:
        schema["x-kubernetes-int-or-string"] = True
    anything = not {"type", "anyOf", "oneOf", "allOf", "x-external", "x-kubernetes-int-or-string"} & schema.keys()
    if anything or (schema.get("type") == "object" and not {"properties", "additionalProperties"} & schema.keys()):
        schema["x-kubernetes-preserve-unknown-fields"] = True
    for key in ("properties", "items", "additionalProperties"):
        value = schema.get(key)
        if key == "properties" and value:
            for child in value.values():
                restore(child)
        elif isinstance(value, dict) and value:
            restore(value)
    return schema


def describe(schema: dict[str, Any], declarations: str, interface: str) -> None:
    """Add the descriptions of a `.d.ts` file to the schema, field by field."""
    start = re.search(rf"export interface {interface} \{{", declarations)
    if start:
        _Declarations(declarations, start.end()).members(schema)


class _Declarations:
    def __init__(self, text: str, position: int) -> None:
        self.text, self.position = text, position

    def members(self, schema: dict[str, Any]) -> None:
        """Reads up to and including the closing brace."""
        comment = ""
        while True:
            self._space()
            if self.text.startswith("}", self.position):
                self.position += 1
                return
            if self.text.startswith("/**", self.position):
                end = self.text.index("*/", self.position)
                comment = _comment(self.text[self.position + 3 : end])
                self.position = end + 2
                continue
            if self.text.startswith("[key: string]:", self.position):
                self.position += len("[key: string]:")
                child = schema.get("additionalProperties")
            else:
                match = re.compile(r'"((?:[^"\\]|\\.)*)"\??:').match(self.text, self.position)
                if not match:
                    raise ValueError(f"unexpected declaration: {self.text[self.position : self.position + 60]!r}")
                self.position = match.end()
                child = schema.get("properties", {}).get(json.loads(f'"{match[1]}"'))
            child = child if isinstance(child, dict) else {}
            if comment:
                child["description"] = comment
            comment = ""
            self._type(child)
            self._space()
            if self.text.startswith(";", self.position):
                self.position += 1

    def _type(self, schema: dict[str, Any]) -> None:
        """One type, or several joined by `|` or `&`; stops before what follows it."""
        while True:
            self._space()
            if self.text.startswith("{", self.position):
                self.position += 1
                self.members(schema)
            elif self.text.startswith("Array<", self.position):
                self.position += len("Array<")
                items = schema.get("items")
                self._type(items if isinstance(items, dict) else {})
                self.position += 1
            elif self.text[self.position] in "([":
                self.position += 1
                self._type(schema)
                while self.text[self.position] == ",":
                    self.position += 1
                    self._type(schema)
                self.position += 1
            elif self.text[self.position] == '"':
                self.position = _string_end(self.text, self.position) + 1
            else:
                match = re.compile(r"[\w.$-]+").match(self.text, self.position)
                if not match:
                    raise ValueError(f"unexpected type: {self.text[self.position : self.position + 60]!r}")
                self.position = match.end()
                if self.text.startswith("<", self.position):  # a helper type such as OneOf<A, B>
                    self.position += 1
                    self._type(schema)
                    while self.text[self.position] == ",":
                        self.position += 1
                        self._type(schema)
                    self.position += 1
            while self.text.startswith("[]", self.position):
                self.position += 2
            self._space()
            if self.text[self.position] not in "|&":
                return
            self.position += 1

    def _space(self) -> None:
        while self.text[self.position].isspace():
            self.position += 1


def _comment(text: str) -> str:
    lines = [re.sub(r"^\s*\* ?", "", line) for line in text.strip("\n").splitlines()]
    return "\n".join(line.strip() for line in lines).strip().replace("\\*", "*")
