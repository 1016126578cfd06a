"""Checks the user's keys: actions that exist, keys that exist, and no key with two meanings in one place."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as AbstractMapping

from labrunner.lab.problem import did_you_mean
from labrunner.lab.yaml_tree import Document, Mapping, Node, Scalar, Sequence
from labrunner.tui.actions import (
    ALSO_ACTIVE,
    TYPING,
    Action,
    actions,
    is_text,
    key_names,
    parse_key,
    show_key,
)


def check_keymap(node: Mapping, document: Document) -> dict[str, tuple[str, ...]]:
    """The entries that hold; every other is reported at its place and keeps its built-in keys."""
    known = actions()
    wanted: dict[str, tuple[str, ...]] = {}
    for action_id, key_node, value in node.items():
        if action_id not in known:
            suggestion = did_you_mean(action_id, known) or "`labrunner config keys` lists them"
            document.report(key_node.position, "unknown-action", f"there is no action '{action_id}'", suggestion)
            continue
        keys = _keys(value, action_id, document)
        if keys:
            wanted[action_id] = keys
    return _without_conflicts(wanted, known, node, document)


def _keys(value: Node, action_id: str, document: Document) -> tuple[str, ...]:
    """The keys of one action; empty when one of them is wrong."""
    keys: list[str] = []
    right = True
    for item in value.items if isinstance(value, Sequence) else [value]:
        written = item.text if isinstance(item, Scalar) else ""
        key = parse_key(written)
        if key is None:
            near = did_you_mean(written.rpartition("+")[2].lower(), key_names())
            suggestion = near or "a key is a character, or like F6, ctrl+p, shift+pageup"
            document.report(item.position, "unknown-key-name", f"there is no key '{written}'", suggestion)
            right = False
        elif action_id.partition(".")[0] in TYPING and is_text(key) and key not in actions()[action_id].keys:
            message = f"'{written}' cannot be the key of {action_id}: there it is typed"
            document.report(item.position, "typed-key", message, "take a function key, or one with ctrl or alt")
            right = False
        else:
            keys.append(key)
    return tuple(dict.fromkeys(keys)) if right else ()


def _without_conflicts(
    wanted: dict[str, tuple[str, ...]], known: AbstractMapping[str, Action], node: Mapping, document: Document
) -> dict[str, tuple[str, ...]]:
    """Drop, and report, entries whose key means something else in the same place, until none is left."""
    kept = dict(wanted)
    while True:
        clash = next(_clashes(kept, known), None)
        if clash is None:
            return kept
        mine, other, key = clash
        message = f"{show_key(key)} is already the key of {other} ('{known[other].name}')"
        document.report(node.values[mine].position, "key-conflict", message, f"give {other} another key as well")
        del kept[mine]


def _clashes(
    kept: AbstractMapping[str, tuple[str, ...]], known: AbstractMapping[str, Action]
) -> Iterator[tuple[str, str, str]]:
    """(action of the keymap, the other one, the key). The later of two entries of the keymap is at fault."""
    order = list(kept)
    for at, mine in enumerate(order):
        for other, action in known.items():
            if other in order[at:] or not _together(known[mine].prefix, action.prefix):
                continue
            for key in kept[mine]:
                if key in kept.get(other, action.keys):
                    yield mine, other, key


def _together(one: str, other: str) -> bool:
    """Whether keys of two prefixes are heard at once."""
    if one == other:
        return True
    return any({one, other} <= {place, *with_it} for place, with_it in ALSO_ACTIVE.items())
