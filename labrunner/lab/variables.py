"""Rules about names: `${NAME}` that nothing defines, variables that nothing uses, assets that are not there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labrunner.lab.files import Files
from labrunner.lab.model import Lab, Position
from labrunner.lab.problem import did_you_mean, shorten
from labrunner.lab.substitution import references
from labrunner.lab.yaml_tree import Mapping, Node, Scalar, Sequence

BUILT_IN = frozenset({"LAB_ASSETS", "LAB_ID", "HOME", "PWD", "USER", "PATH", "TMPDIR", "KUBECONFIG"})
"""Names that the lab's shell always has."""

RESERVED = BUILT_IN | {"IFS", "SHELL", "BASH_ENV", "ENV", "LD_PRELOAD", "PS1", "PROMPT_COMMAND", "AZURE_CONFIG_DIR"}
"""Names that a lab's variables cannot have: the shell or labrunner need them."""

_EXPORT = re.compile(r"\b(?:export|declare\s+-x)\s+([^\n;&|]*)")
_NAME = re.compile(r"(?:^|\s)([A-Za-z_][A-Za-z0-9_]*)(?==|\s|$)")
_ASSIGN = re.compile(r"(?:^|[\s;&|(])([A-Za-z_][A-Za-z0-9_]*)=", re.MULTILINE)
_ASSET = re.compile(r"\$(?:\{LAB_ASSETS\}|LAB_ASSETS\b)/([A-Za-z0-9_./@+-]*)([$*?\[{]?)")


@dataclass(frozen=True, slots=True)
class _Text:
    """A string of the lab. `shell`: it is run by bash, so `$NAME` is the shell's business."""

    value: str
    node: Scalar
    shell: bool


def check(lab: Lab, root: Mapping, parts: Iterable[Mapping], files: Files, *, complete: bool) -> None:
    texts = [t for top in (root, *(p for p in parts if p is not root)) for t in _texts(top)]
    texts = list({id(t.node): t for t in texts}.values())  # parts written in the lab's own file are met twice
    _reserved(lab, files)
    if complete:
        _undefined(lab, texts, files)
        _unused(lab, texts, files)
    _assets(lab, texts, files)


def _texts(node: Node) -> Iterator[_Text]:
    """Every string below a node; those under `run`, `command` of a variable and shorthand blocks are shell."""
    pending: list[tuple[Node, bool]] = [(node, False)]
    while pending:
        current, shell = pending.pop()
        if isinstance(current, Scalar):
            if isinstance(current.value, str):
                yield _Text(current.value, current, shell)
        elif isinstance(current, Mapping):
            for key, _, value in current.items():
                if key in ("blocks", "variables") and isinstance(value, Mapping):
                    pending += [(v, key == "blocks") for _, _, v in value.items() if isinstance(v, Scalar)]
                    pending += [(v, False) for _, _, v in value.items() if not isinstance(v, Scalar)]
                else:
                    pending.append((value, key in ("run", "command") and isinstance(value, Scalar)))
        elif isinstance(current, Sequence):
            pending += [(child, False) for child in current.items]


def _reserved(lab: Lab, files: Files) -> None:
    for variable in lab.variables:
        if variable.name in RESERVED and variable.position:
            message = f"'{variable.name}' belongs to the shell or to labrunner"
            files.error(variable.position, "reserved-variable", message, "choose another name")


def _undefined(lab: Lab, texts: Iterable[_Text], files: Files) -> None:
    """`${NAME}` outside of commands: a variable, a built-in, or exported by a command of the lab."""
    commands = [t.value for t in texts if t.shell]
    exported = {n for c in commands for words in _EXPORT.findall(c) for n in _NAME.findall(words)}
    assigned = {n for c in commands for n in _ASSIGN.findall(c)}
    known = {v.name for v in lab.variables} | BUILT_IN | exported
    for text in texts:
        if text.shell:
            continue
        for name in dict.fromkeys(references(text.value)):
            if name in known:
                continue
            if name in assigned:
                suggestion = "a command sets it: export it there"
            else:
                suggestion = did_you_mean(name, known) or f"declare it under 'variables', or write $${{{name}}}"
            position = files.find(text.node, f"${{{name}}}", text.node.position)
            files.error(position, "undefined-variable", f"'${{{shorten(name)}}}' is not defined", suggestion)


def _unused(lab: Lab, texts: Iterable[_Text], files: Files) -> None:
    everything = [t.value for t in texts] + list(_asset_texts(lab.assets))
    for variable in lab.variables:
        word = re.compile(rf"\b{re.escape(variable.name)}\b")
        if variable.position and not any(word.search(value) for value in everything):
            files.error(variable.position, "unused-variable", f"the variable '{variable.name}' is never used")


def _asset_texts(assets: Path | None) -> Iterator[str]:
    for file in assets.rglob("*") if assets is not None else ():
        try:
            if os.path.isfile(file) and file.stat().st_size <= 1024 * 1024:
                yield file.read_text("utf-8", "replace")
        except OSError:
            continue


def _assets(lab: Lab, texts: Iterable[_Text], files: Files) -> None:
    for text in texts:
        for match in _ASSET.finditer(text.value):
            name = match.group(1).rstrip(".")
            wanted = name.rpartition("/")[0] if match.group(2) else name
            position = files.find(text.node, match.group(), text.node.position)
            _asset(lab, wanted, position, files)


def _asset(lab: Lab, name: str, position: Position, files: Files) -> None:
    if ".." in Path(name).parts:
        files.error(position, "outside", f"'{shorten(name)}' lies outside the lab's assets")
    elif lab.assets is None:
        message = f"the lab has no assets, so '{shorten(name)}' does not exist"
        files.error(position, "missing-asset", message, f"make the folder assets/{lab.id}")
    elif not os.path.exists(lab.assets / name):
        existing = [f.relative_to(lab.assets).as_posix() for f in lab.assets.rglob("*") if os.path.isfile(f)]
        suggestion = did_you_mean(name, existing)
        files.error(position, "missing-asset", f"the asset '{shorten(name)}' does not exist", suggestion)
