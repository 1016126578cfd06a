"""What the interface remembers by itself between two starts: the theme chosen in the palette, the tour's end.

A small JSON file of the state folder. It is a convenience: one that cannot be read or written is as none.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from labrunner import paths


def memory_file() -> Path:
    return paths.state_dir() / "tui.json"


def recall(name: str) -> str:
    """What was remembered under a name, or nothing."""
    try:
        found = json.loads(memory_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""


def remember(name: str, value: str) -> None:
    """Write it beside what is there; two programs at once cannot leave half a file."""
    file = memory_file()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    if not isinstance(found, dict):
        found = {}
    if found.get(name) == value:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps({**found, name: value}), encoding="utf-8")
        beside.replace(file)
    except OSError:
        return
