"""Reusable checks: `use: tls/server-certificate` with `with:`, from checks/<system>/<name>.yaml."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labrunner.lab import files as read
from labrunner.lab import shape
from labrunner.lab.files import Files
from labrunner.lab.model import Position
from labrunner.lab.problem import did_you_mean, shorten
from labrunner.lab.yaml_tree import Mapping, Node, Scalar, Sequence

_PARAMETER = re.compile(r"\$\{params\.([A-Za-z0-9_.-]*)\}")
_JSON_TYPES: dict[str, list[str]] = {
    "string": ["string"], "integer": ["integer"], "number": ["number"], "boolean": ["boolean"],
    "list": ["array"], "object": ["object"], "any": [],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Resolved:
    """A reusable check with its parameters filled in: the same as if the lab had written it out."""

    kind: str
    params: Node
    title: str
    wait: str


def available(roots: AbstractSequence[Path]) -> dict[str, Path]:
    """Every reusable check below the `checks/` folders, by `<system>/<name>`; the first folder that has one wins."""
    found: dict[str, Path] = {}
    for root in roots:
        if os.path.isdir(root):
            for file in sorted(root.glob("*/*.yaml")):
                found.setdefault(f"{file.parent.name}/{file.stem}", file)
    return found


def kind_of(definition: Mapping | None) -> tuple[str, Node] | None:
    """The kind of check that a check file's `check:` names, and its parameters."""
    if definition is None:
        return None
    return next(((k, v) for k, _, v in definition.items() if k not in ("title", "wait")), None)


def resolve(
    use: Scalar, given: Node | None, roots: AbstractSequence[Path], files: Files, validate: Any
) -> Resolved | None:
    """The check that `use` names, with the values of `given`; None when that fails (and is reported).

    `validate(document)` reports what is wrong with a check file by itself.
    """
    known = available(roots)
    file = known.get(use.text)
    if file is None:
        suggestion = did_you_mean(use.text, known)
        files.error(use.position, "unknown-check", f"there is no reusable check '{shorten(use.text)}'", suggestion)
        return None
    document = files.open(file)
    validate(document)
    root = document.root
    named = kind_of(read.mapping(root, "check"))
    if any(p.is_error for p in document.problems) or named is None:
        files.error(use.position, "invalid-check", f"the reusable check '{use.text}' is not valid itself")
        return None
    values = _values(read.mapping(root, "parameters"), use, given, files)
    if values is None:
        return None
    kind, params = named
    definition = read.mapping(root, "check")
    title = read.text(definition, "title") or read.text(root, "title")
    return Resolved(
        kind=kind,
        params=fill(params, values),
        title=_fill_text(title, values),
        wait=read.text(definition, "wait"),
    )


def _values(declared: Mapping | None, use: Scalar, given: Node | None, files: Files) -> dict[str, Node] | None:
    """Each parameter's value; None when one is unknown, missing or of the wrong type."""
    parameters = declared.values if declared is not None else {}
    provided = given if isinstance(given, Mapping) else Mapping(use.position)
    fine = True
    for key, key_node, _ in provided.items():
        if key not in parameters:
            fine = False
            suggestion = did_you_mean(key, parameters) or f"it has: {', '.join(parameters) or 'none'}"
            message = f"'{use.text}' has no parameter '{shorten(key)}'"
            files.error(key_node.position, "unknown-parameter", message, suggestion)
    values: dict[str, Node] = {}
    for name, parameter in parameters.items():
        value = provided.get(name)
        if value is None:
            value = parameter.get("default") if isinstance(parameter, Mapping) else None
            if value is None:
                fine = False
                message = f"'{use.text}' needs the parameter '{name}'"
                purpose = read.text(parameter, "description")
                files.error(use.position, "missing-parameter", message, shorten(purpose))
                continue
        elif not _right(name, value, parameter, files):
            fine = False
        values[name] = value
    return values if fine else None


def parameter_schema(parameter: Node) -> dict[str, Any]:
    """JSON Schema of one declared parameter."""
    types = _JSON_TYPES.get(read.text(parameter, "type"), [])
    schema: dict[str, Any] = {"type": types} if types else {}
    options = parameter.get("enum") if isinstance(parameter, Mapping) else None
    if isinstance(options, Sequence):
        schema["enum"] = options.plain()
    return schema


def _right(name: str, value: Node, parameter: Node, files: Files) -> bool:
    holder = Mapping(value.position, keys={name: Scalar(value.position, name, name)}, values={name: value})
    schema = {"properties": {name: parameter_schema(parameter)}}
    return shape.validate(holder, schema, files.error, variables=True)


def fill(node: Node, values: dict[str, Node]) -> Node:
    """The tree with `${params.NAME}` replaced; a value that is nothing else takes the parameter's type and place."""
    if isinstance(node, Mapping):
        filled = {key: fill(value, values) for key, value in node.values.items()}
        return Mapping(node.position, keys=node.keys, values=filled)
    if isinstance(node, Sequence):
        return Sequence(node.position, [fill(item, values) for item in node.items])
    if isinstance(node, Scalar) and isinstance(node.value, str):
        whole = _PARAMETER.fullmatch(node.value)
        if whole and whole.group(1) in values:
            return values[whole.group(1)]
        filled_text = _fill_text(node.value, values)
        return Scalar(node.position, filled_text, filled_text, node.style)
    return node


def _fill_text(value: str, values: dict[str, Node]) -> str:
    def one(match: re.Match[str]) -> str:
        node = values.get(match.group(1))
        return match.group() if node is None else _as_text(node)

    return _PARAMETER.sub(one, value)


def _as_text(node: Node) -> str:
    plain = node.plain()
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, list):
        return ", ".join(str(item) for item in plain)
    return "" if plain is None else str(plain)


def check_parameters(root: Mapping, files: Files) -> None:
    """The rules of a check file by itself: defaults fit, every parameter is used, every one used is declared."""
    declared = read.mapping(root, "parameters")
    names = declared.values if declared is not None else {}
    for name, parameter in names.items():
        default = parameter.get("default") if isinstance(parameter, Mapping) else None
        if default is not None:
            _right(name, default, parameter, files)
    used: dict[str, Position] = {}
    for top in (root.get("check"), root.get("title")):
        for node in shape.walk(top) if top is not None else ():
            if isinstance(node, Scalar) and isinstance(node.value, str):
                for match in _PARAMETER.finditer(node.value):
                    used.setdefault(match.group(1), files.find(node, match.group(), node.position))
    for name, position in used.items():
        if name not in names:
            suggestion = did_you_mean(name, names)
            files.error(position, "undefined-parameter", f"there is no parameter '{shorten(name)}'", suggestion)
    for name in names:
        if name not in used and declared is not None:
            files.error(declared.keys[name].position, "unused-parameter", f"the parameter '{name}' is never used")
