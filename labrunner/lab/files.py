"""The files of one lab while it is read: each parsed once, all problems in one place."""

from __future__ import annotations

from pathlib import Path

from labrunner.lab import yaml_tree
from labrunner.lab.model import Position
from labrunner.lab.problem import Problem, Severity
from labrunner.lab.yaml_tree import Document, Mapping, Node, Scalar, Sequence


class Files:
    """Opens and remembers documents; collects problems with the source line they are about."""

    def __init__(self) -> None:
        self.documents: dict[Path, Document] = {}
        self.other_problems: list[Problem] = []

    def open(self, file: Path) -> Document:
        if file not in self.documents:
            self.documents[file] = yaml_tree.read(file)
        return self.documents[file]

    @property
    def problems(self) -> list[Problem]:
        return [p for d in self.documents.values() for p in d.problems] + self.other_problems

    def error(self, position: Position, rule: str, message: str, suggestion: str = "") -> None:
        self._report(position, rule, message, suggestion, Severity.ERROR)

    def warning(self, position: Position, rule: str, message: str, suggestion: str = "") -> None:
        self._report(position, rule, message, suggestion, Severity.WARNING)

    def _report(self, position: Position, rule: str, message: str, suggestion: str, severity: Severity) -> None:
        document = self.documents.get(position.file)
        if document is not None:
            document.report(position, rule, message, suggestion, severity)
        else:
            self.other_problems.append(Problem(position, rule, message, suggestion, severity))

    def find(self, node: Node | None, wanted: str, fallback: Position) -> Position:
        """Where `wanted` stands in a text value: the line and column in a `|` block, else the value's own place."""
        if not isinstance(node, Scalar):
            return fallback
        document = self.documents.get(node.position.file)
        if document is None or node.style not in ("|", ">"):
            return node.position
        for number in range(node.position.line + 1, len(document.lines) + 1):
            column = document.line(number).find(wanted)
            if column >= 0:
                return Position(node.position.file, number, column + 1)
        return node.position


def mapping(node: Node | None, key: str) -> Mapping | None:
    """The mapping under `key`, or None when it is absent or something else (which the schema has reported)."""
    value = node.get(key) if isinstance(node, Mapping) else None
    return value if isinstance(value, Mapping) else None


def items(node: Node | None, key: str) -> list[Node]:
    value = node.get(key) if isinstance(node, Mapping) else None
    return value.items if isinstance(value, Sequence) else []


def mappings(node: Node | None, key: str) -> list[Mapping]:
    return [item for item in items(node, key) if isinstance(item, Mapping)]


def text(node: Node | None, key: str, default: str = "") -> str:
    value = node.get(key) if isinstance(node, Mapping) else None
    return value.value if isinstance(value, Scalar) and isinstance(value.value, str) else default


def texts(node: Node | None, key: str) -> tuple[str, ...]:
    return tuple(i.value for i in items(node, key) if isinstance(i, Scalar) and isinstance(i.value, str))


def integer(node: Node | None, key: str, default: int = 0) -> int:
    value = node.get(key) if isinstance(node, Mapping) else None
    plain = value.value if isinstance(value, Scalar) else None
    return plain if isinstance(plain, int) and not isinstance(plain, bool) else default


def flag(node: Node | None, key: str) -> bool:
    value = node.get(key) if isinstance(node, Mapping) else None
    return isinstance(value, Scalar) and value.value is True


def place(node: Node | None, key: str, fallback: Position) -> Position:
    """Where the value under `key` stands."""
    value = node.get(key) if isinstance(node, Mapping) else None
    return value.position if value is not None else fallback
