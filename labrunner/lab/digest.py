"""The digest of everything a lab can run: the key of the trust decision, and of a session's "the lab has changed"."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from labrunner.lab.yaml_tree import Document


def digest(documents: Iterable[Document], directory: Path, assets: Path | None) -> str:
    """sha256 (hex) over the lab's documents and assets: names, executable bits, bytes. The same wherever the lab is."""
    total = hashlib.sha256(b"labrunner/v1\n")
    entries = [(_name(d.file, directory), d.raw) for d in documents]
    for name, raw in sorted(entries):
        _add(total, f"lab/{name}", raw)
    if assets is not None:
        for file in sorted(p for p in assets.rglob("*") if os.path.isfile(p)):
            executable = "x" if os.access(file, os.X_OK) else "-"
            try:
                raw = file.read_bytes()
            except OSError:
                raw = b""
            _add(total, f"assets/{executable}/{file.relative_to(assets).as_posix()}", raw)
    return total.hexdigest()


def _name(file: Path, directory: Path) -> str:
    if file.is_relative_to(directory):
        return file.relative_to(directory).as_posix()
    return f"checks/{file.parent.name}/{file.name}"


def _add(total: hashlib._Hash, name: str, raw: bytes) -> None:
    total.update(f"{name}\0{len(raw)}\0".encode("utf-8", "surrogateescape"))
    total.update(raw)
