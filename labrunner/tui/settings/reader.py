"""Reads the user's settings: never raises, never stops the program; every mistake has its place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from textual.theme import Theme

from labrunner.lab import shape
from labrunner.lab.model import Position
from labrunner.lab.problem import Problem, Severity, did_you_mean, in_order
from labrunner.lab.yaml_tree import Document, Mapping, Node, Scalar, read
from labrunner.tui.settings import theme_colours
from labrunner.tui.settings.keymap import check_keymap
from labrunner.tui.settings.loader import FILE
from labrunner.tui.settings.model import HelpAfter, Settings
from labrunner.tui.settings.schema import CONFIG, THEME
from labrunner.tui.themes import PREFIX, THEMES, make_theme

_NAMED = tuple(theme.name.removeprefix(PREFIX) for theme in THEMES)


def read_settings(folder: Path) -> Settings:
    """The settings in a config folder."""
    file = folder / FILE
    problems: list[Problem] = []
    themes = tuple(_themes(folder / "themes", problems))
    if not file.exists():
        return Settings(themes=themes, problems=tuple(in_order(problems)), file=file)
    document = read(file)
    if document.root is None and {p.rule for p in document.problems} == {"empty-file"}:
        document.problems.clear()  # all commented out: no mistake
    values = _valid(document, CONFIG)
    names = [*_NAMED, *(t.name.removeprefix(PREFIX) for t in themes)]
    theme = values.get("theme", "")
    if theme and theme not in names:
        position = _place(document, "theme")
        suggestion = did_you_mean(theme, names) or f"there are: {', '.join(names)}"
        document.report(position, "unknown-theme", f"there is no theme '{theme}'", suggestion)
        theme = ""
    help_after = values.get("helpAfter", {})
    keymap_node = document.root.get("keymap") if isinstance(document.root, Mapping) else None
    keymap = check_keymap(keymap_node, document) if "keymap" in values and isinstance(keymap_node, Mapping) else {}
    return Settings(
        theme=theme,
        symbols=values.get("symbols", "auto"),
        mouse=values.get("mouse", True),
        help_after=HelpAfter(**help_after),
        keymap=keymap,
        themes=themes,
        problems=tuple(in_order([*document.problems, *problems])),
        file=file,
    )


def _valid(document: Document, schema: dict[str, Any]) -> dict[str, Any]:
    """The file's top-level values that fit, as plain data; what does not is reported and left out."""
    root = document.root
    if root is None or (isinstance(root, Scalar) and root.value is None):
        return {}

    def report(position: Position, rule: str, message: str, suggestion: str) -> None:
        document.report(position, rule, message, suggestion)

    if shape.validate(root, schema, report):
        plain = root.plain()
        return plain if isinstance(plain, dict) else {}
    if not isinstance(root, Mapping):
        return {}
    kept: dict[str, Any] = {}
    for key, _, value in root.items():
        wanted = schema["properties"].get(key)
        if wanted is not None and _fitting(value, wanted):
            kept[key] = value.plain()
    return kept


def _fitting(value: Node, schema: dict[str, Any]) -> bool:
    return shape.validate(value, schema, lambda *_: None)


def _place(document: Document, key: str) -> Position:
    node = document.root.get(key) if isinstance(document.root, Mapping) else None
    return node.position if node is not None else Position(document.file, 1, 1)


def _themes(folder: Path, problems: list[Problem]) -> Iterable[Theme]:
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix in (".yaml", ".yml"))
    except OSError:
        return
    for file in files:
        document = read(file)
        theme = _theme(document)
        problems += document.problems
        if theme is not None:
            yield theme


def _theme(document: Document) -> Theme | None:
    name = document.file.stem
    if name in _NAMED:
        document.report(
            Position(document.file, 1, 1), "wrong-name", f"'{name}' is a theme of labrunner's own", "rename it"
        )
        return None
    root = document.root
    if root is None or not shape.validate(root, THEME, document.report):
        return None
    assert isinstance(root, Mapping)
    plain = root.plain()
    colours = theme_colours.completed(plain["colours"])
    node = root.get("colours")
    assert isinstance(node, Mapping)
    for text, behind, ratio in theme_colours.unreadable(colours):
        place = node.get(text) or node.get(behind) or node
        document.report(
            place.position,
            "contrast",
            f"'{text}' on '{behind}' has a contrast of {ratio:.1f}:1",
            f"text is readable from {theme_colours.READABLE}:1",
            Severity.WARNING,
        )
    return make_theme(name, colours, dark=plain["dark"], terminal=plain.get("terminal", ()))
