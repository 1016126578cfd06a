"""Every action that has a key: its id, its default keys, what it does. Help, palette, keymap and docs read it here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from textual.binding import Binding, BindingsMap
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, format_key

CONTEXTS = {
    "app": "Everywhere",
    "catalogue": "The list of labs",
    "lab": "In a lab",
    "block": "On a block",
    "quiz": "On a question",
    "shell": "In the shell",
    "mesh": "The mesh",
    "map": "On the map",
    "matrix": "The matrix",
    "trace": "A trace",
    "ask": "Asking",
    "node": "A workload",
    "summary": "The summary",
    "tour": "The tour",
}
"""Prefix of an action's id -> what the help calls the place; others are named by their prefix. In the help's order."""

ALSO_ACTIVE = {"lab": ("app", "block", "quiz"), "catalogue": ("app",), "mesh": ("app", "map")}
"""Where keys of several prefixes are heard at once, so that one key cannot mean two things."""

TYPING = ("shell", "edit")
"""Prefixes where a plain key is text to somebody else."""

_PACKAGES = ("labrunner.tui.screens", "labrunner.tui.widgets", "labrunner.tui.terminal")


@dataclass(frozen=True, slots=True)
class Action:
    """`keys`: as Textual names them (`question_mark`)."""

    id: str
    keys: tuple[str, ...]
    name: str
    purpose: str

    @property
    def prefix(self) -> str:
        return self.id.partition(".")[0]

    @property
    def context(self) -> str:
        return CONTEXTS.get(self.prefix, f"{self.prefix.capitalize()} dialog")

    @property
    def shown_keys(self) -> str:
        """As the help and the docs print them."""
        return ", ".join(map(show_key, self.keys))


@lru_cache(maxsize=1)
def actions() -> Mapping[str, Action]:
    """All of them by id, in the order of `CONTEXTS`. Imports every screen: not for the first frame."""
    found: dict[str, Action] = {}
    for bindings in _all_bindings():
        for action in actions_of(bindings):
            if action.id not in found:
                found[action.id] = action
    order = list(CONTEXTS)
    return dict(sorted(found.items(), key=lambda item: _rank(item[1].prefix, order)))


def _rank(prefix: str, order: list[str]) -> tuple[int, str]:
    return (order.index(prefix), "") if prefix in order else (len(order), prefix)


def actions_of(bindings: Iterable[object]) -> Iterator[Action]:
    """The named ones among a class's `BINDINGS`, one per id."""
    found: dict[str, Action] = {}
    for binding in bindings:
        if not isinstance(binding, Binding) or not binding.id or not binding.description:
            continue
        keys = tuple(BindingsMap([binding]).key_to_bindings)
        before = found.get(binding.id)
        if before is None:
            found[binding.id] = Action(binding.id, keys, binding.description, binding.tooltip)
        else:
            found[binding.id] = replace(before, keys=before.keys + keys)
    return iter(found.values())


def _all_bindings() -> Iterator[Iterable[object]]:
    from labrunner.tui.app import LabrunnerApp

    yield LabrunnerApp.BINDINGS
    for package in _PACKAGES:
        folder = importlib.import_module(package)
        for module in sorted(m.name for m in pkgutil.iter_modules(folder.__path__)):
            for owner in vars(importlib.import_module(f"{package}.{module}")).values():
                if isinstance(owner, type) and owner.__module__ == f"{package}.{module}" and "BINDINGS" in vars(owner):
                    yield vars(owner)["BINDINGS"]


def keys_by_default(owner: type[object]) -> Mapping[str, tuple[str, ...]]:
    """Action id -> keys, as a class declares them."""
    return {action.id: action.keys for action in actions_of(vars(owner).get("BINDINGS", ()))}


# -- keys ------------------------------------------------------------------------------------------------------------

_MODIFIERS = ("ctrl", "alt", "shift", "super")
_SHOWN = {
    "escape": "Esc", "enter": "Enter", "tab": "Tab", "space": "Space", "backspace": "Backspace", "delete": "Del",
    "pageup": "PgUp", "pagedown": "PgDn", "home": "Home", "end": "End", "insert": "Ins",
    "up": "Up", "down": "Down", "left": "Left", "right": "Right", "ctrl": "Ctrl", "alt": "Alt", "shift": "Shift",
}  # fmt: skip


def show_key(key: str) -> str:
    """A key as people write it: `Ctrl+P`, `F6`, `?`, `Shift+PgUp`."""
    *modifiers, name = key.split("+")
    plain = _SHOWN.get(name) or (name.upper() if name[:1] == "f" and name[1:].isdigit() else format_key(name))
    if modifiers and len(plain) == 1:
        plain = plain.upper()
    return "+".join([*(_SHOWN.get(m, m.capitalize()) for m in modifiers), plain])


@lru_cache(maxsize=1)
def key_names() -> frozenset[str]:
    """Names of keys that are no character, without modifiers."""
    names = {value.rpartition("+")[2] for value in (str(key.value) for key in Keys) if not value.startswith("<")}
    return frozenset(name for name in names if len(name) > 1 and name.isidentifier()) | frozenset(
        KEY_NAME_REPLACEMENTS.values()
    )


def parse_key(written: str) -> str | None:
    """What a person wrote (`?`, `Ctrl+P`, `F6`, `PgUp`) as Textual names it; None when there is no such key."""
    from textual.keys import _character_to_key

    text = written.strip()
    if len(text) == 1:
        return _character_to_key(text)
    *modifiers, name = text.split("+") if not text.endswith("++") else [*text[:-2].split("+"), "+"]
    modifiers = [modifier.strip().lower() for modifier in modifiers]
    name = name.strip()
    if any(modifier not in _MODIFIERS for modifier in modifiers):
        return None
    if len(name) == 1:
        name = _character_to_key(name.lower() if "ctrl" in modifiers or "alt" in modifiers else name)
    else:
        by_shown = {shown.lower(): key for key, shown in _SHOWN.items()}
        name = by_shown.get(name.lower(), name.lower().replace(" ", "_"))
        if name == "return":
            name = "enter"
        if name not in key_names():
            return None
    return "+".join([*sorted(set(modifiers), key=_MODIFIERS.index), name])


def is_text(key: str) -> bool:
    """Whether typing writes with it: a character, Enter, Space, Tab, Backspace, an arrow."""
    if "+" in key and not key.startswith("shift+"):
        return False
    name = key.rpartition("+")[2]
    return not (name[:1] == "f" and name[1:].isdigit()) and name not in (
        "pageup", "pagedown", "home", "end", "insert",
    )  # fmt: skip
