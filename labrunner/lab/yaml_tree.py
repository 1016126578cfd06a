"""YAML as a tree in which every value knows where it stands.

Built from libyaml's events rather than its constructors, so that depth and aliases are bounded (a few hundred bytes
of nested aliases would otherwise expand to gigabytes), duplicate keys are seen, and scalars keep their spelling.
Scalars follow the YAML 1.2 core schema, which is JSON's; spellings that YAML 1.1 readers (kubectl's among them) take
for something else are refused instead of guessed.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labrunner.lab.model import Position
from labrunner.lab.problem import Problem, Severity, shorten

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 100_000
"""Values in one file, aliases counted each time they are used."""


@dataclass(slots=True, eq=False)
class Node:
    """One value and where it stands."""

    position: Position
    size: int = field(default=1, kw_only=True)
    """Values in this one, itself included, aliases expanded."""

    @property
    def label(self) -> str:
        """What an author calls it: `the string 'x'`, `a list`."""
        raise NotImplementedError

    def plain(self) -> Any:
        """As JSON-like Python data."""
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class Scalar(Node):
    value: str | int | float | bool | None
    text: str
    """As written, without quotes."""
    style: str = ""
    """`'`, `"`, `|`, `>` or empty for plain."""

    @property
    def label(self) -> str:
        if self.value is None:
            return "nothing"
        if isinstance(self.value, bool):
            return f"the boolean {self.text}"
        if isinstance(self.value, int | float):
            return f"the number {self.text}"
        return f"the string '{shorten(self.text)}'" if self.text else "an empty string"

    def plain(self) -> Any:
        return self.value

    def position_at(self, offset_line: int, offset_column: int = 0) -> Position:
        """Where line `offset_line` (from 0) of this text stands in the file: exact for `|` blocks."""
        if self.style != "|":
            return self.position
        return Position(self.position.file, self.position.line + 1 + offset_line, 1 + offset_column)


@dataclass(slots=True, eq=False)
class Sequence(Node):
    items: list[Node] = field(default_factory=list)

    @property
    def label(self) -> str:
        return "a list"

    def plain(self) -> Any:
        return [item.plain() for item in self.items]


@dataclass(slots=True, eq=False)
class Mapping(Node):
    keys: dict[str, Scalar] = field(default_factory=dict)
    values: dict[str, Node] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return "a mapping"

    def plain(self) -> Any:
        return {key: value.plain() for key, value in self.values.items()}

    def get(self, key: str) -> Node | None:
        return self.values.get(key)

    def items(self) -> Iterator[tuple[str, Scalar, Node]]:
        """Key, the key's own place, value."""
        for key, value in self.values.items():
            yield key, self.keys[key], value


@dataclass(slots=True)
class Document:
    """A file's content: `root` is None when it could not be read; `problems` says why."""

    file: Path
    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    raw: bytes = b""

    def line(self, number: int) -> str:
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def report(
        self, position: Position, rule: str, message: str, suggestion: str = "", severity: Severity = Severity.ERROR
    ) -> None:
        self.problems.append(Problem(position, rule, message, suggestion, severity, self.line(position.line)))


def read(file: Path) -> Document:
    """Read and parse one file. Never raises for what the file is or holds: see `Document.problems`."""
    document = Document(file)
    start = Position(file, 1, 1)
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            document.report(start, "not-a-file", f"'{file.name}' is a directory", "a lab is a file of YAML")
            return document
        if not stat.S_ISREG(mode):
            document.report(start, "not-a-file", f"'{file.name}' is not a regular file")
            return document
        with file.open("rb") as stream:
            document.raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        document.report(start, "missing-file", f"'{file.name}' does not exist")
        return document
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        document.report(start, "unreadable", f"'{file.name}' cannot be read: {reason}")
        return document
    parse(document)
    return document


def parse(document: Document) -> None:
    """Parse `document.raw` into `document.root`."""
    start = Position(document.file, 1, 1)
    if len(document.raw) > MAX_BYTES:
        limit = MAX_BYTES // 1024
        document.report(
            start, "too-large", f"the file has more than {limit} KiB", "move data to assets/, or parts to files"
        )
        return
    text = _decode(document)
    if text is None:
        return
    document.lines = text.split("\n")
    if not text.strip():
        document.report(start, "empty-file", "the file is empty", "start with 'apiVersion: labrunner/v1'")
        return
    _Builder(document, text).build()


def _decode(document: Document) -> str | None:
    try:
        text = document.raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = document.raw[: error.start].decode("utf-8", "replace")
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        byte = document.raw[error.start]
        document.lines = document.raw.decode("utf-8", "replace").split("\n")
        document.report(
            Position(document.file, line, column),
            "not-utf8",
            f"byte 0x{byte:02x} is not UTF-8",
            "save the file as UTF-8",
        )
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    bad = _UNPRINTABLE.search(text)
    if bad:
        document.lines = text.split("\n")
        before = text[: bad.start()]
        line, column = before.count("\n") + 1, bad.start() - (before.rfind("\n") + 1) + 1
        document.report(
            Position(document.file, line, column),
            "control-character",
            f"control character U+{ord(bad.group()):04X} is not allowed in YAML",
            'write it as an escape in a double-quoted string, e.g. "\\e"',
        )
        return None
    return text


_UNPRINTABLE = re.compile("[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_OCTAL = re.compile(r"[-+]?0[0-9]+\Z")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_OLD_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


class _Stop(Exception):
    """The rest of the file cannot be understood; the problem is recorded."""


@dataclass(slots=True)
class _Frame:
    """A collection that is still open."""

    node: Mapping | Sequence
    anchor: str | None
    key: Scalar | None = None
    merges: list[tuple[Position, Node]] = field(default_factory=list)


class _Builder:
    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.text = text
        self.stack: list[_Frame] = []
        self.anchors: dict[str, Node | None] = {}
        self.root: Node | None = None
        self.total = 0

    def build(self) -> None:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            for event in yaml.parse(self.text, Loader=loader):
                self._event(event)
        except yaml.MarkedYAMLError as error:
            self._syntax_error(error)
        except yaml.YAMLError as error:
            self.document.report(Position(self.document.file, 1, 1), "yaml", f"not YAML: {shorten(str(error))}")
        except _Stop:
            pass
        else:
            self.document.root = self.root
            if self.root is None:
                self.document.report(Position(self.document.file, 1, 1), "empty-file", "the file holds comments alone")

    def _position(self, mark: Any) -> Position:
        return Position(self.document.file, mark.line + 1, mark.column + 1)

    def _event(self, event: Any) -> None:
        import yaml

        if isinstance(event, yaml.DocumentStartEvent):
            if self.root is not None:
                position = self._position(event.start_mark)
                self.document.report(position, "several-documents", "a second document starts here", "one per file")
                raise _Stop
        elif isinstance(event, yaml.ScalarEvent):
            self._refuse_tag(event)
            self._add(self._scalar(event), event.anchor)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event, Mapping if isinstance(event, yaml.MappingStartEvent) else Sequence)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            frame = self.stack.pop()
            self._merge(frame)
            self._add(frame.node, frame.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)

    def _open(self, event: Any, kind: type[Mapping] | type[Sequence]) -> None:
        position = self._position(event.start_mark)
        if len(self.stack) >= MAX_DEPTH:
            self.document.report(position, "too-deep", f"nested more than {MAX_DEPTH} levels deep")
            raise _Stop
        self._refuse_tag(event)
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.node, Mapping) and top.key is None:
            self.document.report(position, "key-type", "a key must be a word, not a collection", "quote it")
            raise _Stop
        if event.anchor:
            self.anchors[event.anchor] = None
        self.stack.append(_Frame(kind(position), event.anchor))

    def _alias(self, event: Any) -> None:
        position = self._position(event.start_mark)
        name = str(event.anchor)
        if name not in self.anchors:
            self.document.report(position, "alias", f"'*{name}' refers to no anchor before it", f"define '&{name}'")
            raise _Stop
        node = self.anchors[name]
        if node is None:
            self.document.report(position, "alias", f"'*{name}' contains itself")
            raise _Stop
        self._add(node, None, at=position)

    def _add(self, node: Node, anchor: str | None, at: Position | None = None) -> None:
        """Put a finished value where it belongs."""
        position = at or node.position
        self.total += node.size if at else 1
        if self.total > MAX_NODES:
            self.document.report(position, "too-many-values", f"more than {MAX_NODES} values, aliases expanded")
            raise _Stop
        if anchor:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        frame.node.size += node.size
        if isinstance(frame.node, Sequence):
            frame.node.items.append(node)
        elif frame.key is None:
            frame.key = self._key(node, position)
        else:
            self._entry(frame, frame.node, frame.key, node)
            frame.key = None

    def _key(self, node: Node, position: Position) -> Scalar:
        if not isinstance(node, Scalar):
            self.document.report(position, "key-type", "a key must be a word, not a collection", "quote it")
            raise _Stop
        if node.value is None or isinstance(node.value, bool):
            kind = "nothing" if node.value is None else "a boolean"
            suggestion = f'quote it: "{node.text}"'
            self.document.report(position, "yaml-1.1", f"the key '{node.text}' is {kind} in YAML", suggestion)
        return node

    def _entry(self, frame: _Frame, mapping: Mapping, key: Scalar, value: Node) -> None:
        if key.text == "<<" and not key.style:
            frame.merges.append((key.position, value))
            return
        if key.text in mapping.keys:
            first = mapping.keys[key.text].position
            self.document.report(
                key.position, "duplicate-key", f"duplicate key '{shorten(key.text)}'", f"first at line {first.line}"
            )
            return
        mapping.keys[key.text] = key
        mapping.values[key.text] = value

    def _merge(self, frame: _Frame) -> None:
        """`<<: *base`: keys of the base that the mapping does not have itself."""
        mapping = frame.node
        if not isinstance(mapping, Mapping):
            return
        for position, value in frame.merges:
            bases = value.items if isinstance(value, Sequence) else [value]
            for base in bases:
                if not isinstance(base, Mapping):
                    self.document.report(position, "merge", "'<<' takes a mapping or a list of mappings")
                    continue
                for key, node, entry in base.items():
                    if key not in mapping.keys:
                        mapping.keys[key] = node
                        mapping.values[key] = entry

    def _refuse_tag(self, event: Any) -> None:
        tag = event.tag
        if tag and tag not in ("!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self.document.report(
                self._position(event.start_mark), "tag", f"the tag '{shorten(shown)}' is not part of the format"
            )

    def _scalar(self, event: Any) -> Scalar:
        position = self._position(event.start_mark)
        style = event.style or ""
        text = event.value
        if style or event.tag or not event.implicit[0]:
            return Scalar(position, text, text, style or ('"' if event.tag else ""))
        lowered = text.casefold()
        if lowered in _OLD_BOOLEANS and text in (lowered, lowered.title(), lowered.upper()):
            self.document.report(
                position,
                "yaml-1.1",
                f"'{text}' is a boolean in YAML 1.1 and a word in YAML 1.2",
                f'write {_OLD_BOOLEANS[lowered]}, or quote it: "{text}"',
            )
        elif _OCTAL.match(text):
            self.document.report(
                position,
                "yaml-1.1",
                f"'{text}' is octal in YAML 1.1 and decimal in YAML 1.2",
                f'quote it: "{text}", or write 0o{text.lstrip("+-0") or "0"}',
            )
        return Scalar(position, _core_value(text), text, style)

    def _syntax_error(self, error: Any) -> None:
        problem = error.problem or "not YAML"
        mark = error.problem_mark or error.context_mark
        context = error.context_mark
        at_end = mark is not None and mark.line >= self.text.rstrip("\n").count("\n") + 1
        if context is not None and (at_end or "end of stream" in problem):
            mark = context
        position = self._position(mark) if mark is not None else Position(self.document.file, 1, 1)
        line = self.document.line(position.line)
        character = line[position.column - 1 : position.column]
        message, suggestion = problem, ""
        if character == "\t":
            message, suggestion = "a tab cannot indent YAML", "use spaces"
        elif "cannot start any token" in problem and character:
            message, suggestion = f"'{character}' cannot start a value", "quote the value"
        elif "mapping values are not allowed" in problem:
            message, suggestion = "a second ': ' in one value", "quote the value, or indent the next key on a new line"
        elif "quoted scalar" in (error.context or ""):
            message, suggestion = "the quote that opens here is never closed", "close it, or use a '|' block"
        elif "flow" in (error.context or "") and context is mark:
            message, suggestion = "the bracket that opens here is never closed", "close it"
        elif error.context and "did not find expected" in problem:
            message = f"{problem} {error.context}"
            suggestion = "look at the indentation of this line and the one before"
        self.document.report(position, "yaml", message, suggestion)


def _core_value(text: str) -> str | int | float | bool | None:
    """A plain scalar's value by the YAML 1.2 core schema (section 10.3)."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > 64:
        return text
    if _INTEGER.match(text):
        return int(text)
    if _BASED.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    return text
