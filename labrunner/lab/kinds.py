"""What the loader needs to know of a kind of check; `labrunner.check` has them, this package may not import it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping as AbstractMapping
from typing import Any, Protocol

from labrunner.lab import shape
from labrunner.lab.files import Files
from labrunner.lab.yaml_tree import Mapping, Node, Sequence


class KindSpec(Protocol):
    """The part of `labrunner.check.kind.CheckKind` that judges parameters as they are written."""

    params_schema: AbstractMapping[str, Any]

    def lint(self, params: AbstractMapping[str, Any]) -> list[str]:
        """What the schema cannot say: sentences that begin with the parameter's path and a colon."""
        ...


Kinds = AbstractMapping[str, KindSpec]
"""Every kind of check by name."""


def schemas(kinds: Kinds | None) -> dict[str, AbstractMapping[str, Any]] | None:
    """The kinds' schemas by name; each described by the first line of its module, for editors."""
    if kinds is None:
        return None
    return {name: {"description": _question(kind), **kind.params_schema} for name, kind in kinds.items()}


def _question(kind: KindSpec) -> str:
    module = sys.modules.get(type(kind).__module__)
    return (module.__doc__ or "").strip().partition("\n")[0] if module is not None else ""


def check_params(kind: KindSpec, params: Node, files: Files, *, report_schema: bool, lint: bool) -> None:
    """Report what is wrong with a check's parameters.

    `report_schema`: False where the schema was held against the whole file already. `lint`: also ask the kind itself.
    """
    if report_schema:
        sound = shape.validate(params, kind.params_schema, files.error, variables=True)
    else:
        sound = lint and _sound(kind, params)
    plain = params.plain()
    if not sound or not lint or not isinstance(plain, dict):
        return
    for problem in kind.lint(plain):
        path, separator, _ = problem.partition(": ")
        files.error(_at(params, path if separator else "").position, "check-params", problem)


def _sound(kind: KindSpec, params: Node) -> bool:
    return shape.validate(params, kind.params_schema, lambda *_: None, variables=True)


def _at(node: Node, path: str) -> Node:
    """The node at `match.spec.servers[0].port`, or the nearest one above that exists."""
    for word in re.findall(r"[^.\[\]]+", path):
        child: Node | None = None
        if isinstance(node, Mapping):
            child = node.get(word)
        elif isinstance(node, Sequence) and word.isdigit() and int(word) < len(node.items):
            child = node.items[int(word)]
        if child is None:
            break
        node = child
    return node
