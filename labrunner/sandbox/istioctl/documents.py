"""Objects in YAML and JSON files, each with the place it came from."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from labrunner.sandbox.istioctl.kube import CommandError


def read(names: Sequence[str], *, recursive: bool = False) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """(file, line, object); `-` is stdin. Raises CommandError for a file that is not there or no YAML."""
    import yaml

    for name in names:
        for path in _files(name, recursive):
            try:
                text = sys.stdin.read() if path == "-" else Path(path).read_text()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise CommandError(f"open {path}: {reason.lower()}") from error
            try:
                for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
                    document = yaml.SafeLoader("").construct_document(node) if node else None
                    if isinstance(document, dict):
                        line = node.start_mark.line + 1
                        items = document["items"] if document.get("kind") == "List" else [document]
                        for item in items:
                            yield path, line, item
            except yaml.YAMLError as error:
                raise CommandError(f"{path}: {' '.join(str(error).split())}") from error


def _files(name: str, recursive: bool) -> list[str]:
    path = Path(name)
    if name == "-" or not path.is_dir():
        return [name]
    found = path.rglob("*") if recursive else path.iterdir()
    return sorted(str(p) for p in found if p.suffix in (".yaml", ".yml", ".json") and p.is_file())
