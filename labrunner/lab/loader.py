"""Makes a `Lab` from its files, or says everything that is wrong with them.

Reading goes on past what is wrong, so that all problems of all files are reported together: the schema first, then
the model is read leniently, then the rules that no schema can say (`labrunner.lab.rules`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from labrunner.lab import content, digest, durations, reusable, rules, schema, shape
from labrunner.lab import files as read
from labrunner.lab.files import Files
from labrunner.lab.kinds import Kinds, check_params, schemas
from labrunner.lab.model import (
    Block,
    Check,
    Expect,
    Lab,
    Mistake,
    Part,
    Position,
    Requires,
    Step,
    TargetedHint,
    Variable,
)
from labrunner.lab.problem import LabErrors, Problem, did_you_mean, in_order, shorten
from labrunner.lab.yaml_tree import Document, Mapping, Node, Scalar

LAB_FILE = "lab.yaml"


@dataclass(frozen=True, slots=True)
class Examination:
    """What came of reading a lab: `lab` is None when there is an error among the problems."""

    lab: Lab | None
    problems: tuple[Problem, ...]


def load_lab(path: Path, kinds: Kinds | None = None) -> Lab:
    """The lab in a folder (or its lab.yaml). Raises `LabErrors` with all problems.

    `kinds`: `labrunner.check.registry` has them; without, checks and their parameters are taken as they are.
    """
    result = examine(path, kinds)
    if result.lab is None:
        raise LabErrors(p for p in result.problems if p.is_error)
    return result.lab


def examine(path: Path, kinds: Kinds | None = None, *, thorough: bool = True) -> Examination:
    """Read a lab and report errors and warnings; never raises for what its files hold.

    `thorough=False` leaves out what takes time to ask (CEL is compiled, regular expressions too).
    """
    files = Files()
    lab = _Reader(files, kinds, thorough).lab(lab_file(path))
    problems = tuple(in_order(files.problems))
    return Examination(None if any(p.is_error for p in problems) else lab, problems)


def examine_check(path: Path, kinds: Kinds | None = None) -> Examination:
    """Read a reusable check by itself; `lab` is always None."""
    files = Files()
    _Reader(files, kinds).check_file(files.open(_absolute(path)))
    return Examination(None, tuple(in_order(files.problems)))


def lab_file(path: Path) -> Path:
    path = _absolute(path)
    return path if path.suffix in (".yaml", ".yml") and not os.path.isdir(path) else path / LAB_FILE


def _absolute(path: Path) -> Path:
    return Path.cwd() / path.expanduser()


class _Reader:
    def __init__(self, files: Files, kinds: Kinds | None, thorough: bool = True) -> None:
        self.files = files
        self.kinds = kinds
        self.thorough = thorough
        self.schema = schema.build(schemas(kinds))
        self.check_roots: tuple[Path, ...] = ()
        self.checked: set[Path] = set()

    # -- files -----------------------------------------------------------------------------------------------------

    def lab(self, file: Path) -> Lab | None:
        document = self.files.open(file)
        root = self._root(document, "Lab")
        if root is None:
            return None
        directory = file.parent
        self.check_roots = content.check_roots(directory)
        metadata = read.mapping(root, "metadata")
        lab_id = read.text(metadata, "id") or directory.name
        part_nodes = self._part_nodes(root, directory)
        sources: list[rules.StepSource] = []
        parts = []
        for node in part_nodes:
            steps = [self._step(child) for child in read.mappings(node, "steps")]
            sources += [rules.StepSource(s, c) for s, c in zip(steps, read.mappings(node, "steps"), strict=True)]
            title, summary = read.text(node, "title"), read.text(node, "summary")
            parts.append(Part(read.text(node, "id"), title, tuple(steps), summary))
        assets = content.assets_of(directory, lab_id)
        lab = Lab(
            id=lab_id,
            title=read.text(metadata, "title"),
            summary=read.text(metadata, "summary").strip(),
            level=read.text(metadata, "level"),
            minutes=read.integer(metadata, "minutes"),
            directory=directory,
            parts=tuple(parts),
            tags=read.texts(metadata, "tags"),
            source=read.text(metadata, "source"),
            requires=_requires(read.mapping(metadata, "requires")),
            variables=self._variables(read.mapping(root, "variables")),
            setup=self._blocks(read.items(root, "setup"), {}),
            cleanup=self._blocks(read.items(root, "cleanup"), {}),
            assets=assets,
            digest=digest.digest([*self.files.documents.values()], directory, assets),
        )
        complete = len(part_nodes) == len(read.items(root, "parts"))
        rules.check(lab, root, part_nodes, sources, self.files, complete=complete)
        return lab

    def check_file(self, document: Document) -> None:
        """Report what is wrong with a reusable check; once per file."""
        if document.file in self.checked:
            return
        self.checked.add(document.file)
        root = self._root(document, "Check")
        if root is None:
            return
        named = reusable.kind_of(read.mapping(root, "check"))
        if named is not None:
            self._check_params(named[0], named[1], report_schema=True)
        reusable.check_parameters(root, self.files)

    def _root(self, document: Document, kind: str) -> Mapping | None:
        """The file's top mapping, after the schema has been held against it."""
        if document.root is None:
            return None
        if not isinstance(document.root, Mapping):
            position = document.root.position
            self.files.error(position, "wrong-type", f"the file must be a mapping, not {document.root.label}")
            return None
        root = document.root
        for key, wanted in (("apiVersion", schema.API_VERSION), ("kind", kind)):
            value = root.get(key)
            if isinstance(value, Scalar) and value.text != wanted:
                message = f"'{key}' must be {wanted} here, not '{shorten(value.text)}'"
                self.files.error(value.position, "wrong-value", message)
        skipped = {"apiVersion", "kind"}
        definition = self.schema["$defs"][schema.FILE_KINDS[kind]]
        known = {k: True if k in skipped else v for k, v in definition["properties"].items()}
        shape.validate(root, {**definition, "properties": known}, self.files.error, root=self.schema, variables=True)
        return root

    def _part_nodes(self, root: Mapping, directory: Path) -> list[Mapping]:
        nodes = []
        for node in read.mappings(root, "parts"):
            if "file" not in node.values:
                nodes.append(node)
                continue
            name = read.text(node, "file")
            position = read.place(node, "file", node.position)
            if not name.strip():
                continue
            try:
                file = directory / name
                inside = file.resolve().is_relative_to(directory.resolve())
                exists = inside and os.path.exists(file)
            except (OSError, ValueError, RuntimeError) as error:
                self.files.error(position, "missing-file", f"'{shorten(name)}' cannot be opened: {error}")
                continue
            if not inside:
                self.files.error(position, "outside", f"'{shorten(name)}' lies outside the lab's folder")
            elif not exists:
                near = [str(p.relative_to(directory)) for p in sorted(directory.glob("*/*.yaml"))]
                self.files.error(
                    position, "missing-file", f"there is no file '{shorten(name)}'", did_you_mean(name, near)
                )
            elif file in self.files.documents:
                self.files.error(position, "duplicate", f"the file '{shorten(name)}' is used twice")
            else:
                part = self._root(self.files.open(file), "Part")
                if part is not None:
                    nodes.append(part)
        return nodes

    # -- the model -------------------------------------------------------------------------------------------------

    def _step(self, node: Mapping) -> Step:
        own: dict[str, Block] = {}
        keyed = read.mapping(node, "blocks")
        for block_id, _, value in keyed.items() if keyed is not None else ():
            own[block_id] = _block(block_id, value)
        return Step(
            id=read.text(node, "id"),
            title=read.text(node, "title"),
            instructions=read.text(node, "instructions"),
            blocks=tuple(own.values()),
            checks=tuple(c for c in map(self._check, read.mappings(node, "checks")) if c is not None),
            hints=read.texts(node, "hints"),
            targeted_hints=tuple(_targeted_hint(n) for n in read.mappings(node, "targetedHints")),
            solution=self._blocks(read.items(node, "solution"), own),
            mistakes=tuple(self._mistake(n, own) for n in read.mappings(node, "mistakes")),
            cleanup=self._blocks(read.items(node, "cleanup"), own),
            position=node.position,
        )

    def _blocks(self, nodes: list[Node], own: dict[str, Block]) -> tuple[Block, ...]:
        """Inline blocks, and the step's own by id; ids of neither are reported by `rules`."""
        blocks = []
        for node in nodes:
            if isinstance(node, Mapping):
                blocks.append(_block(read.text(node, "id"), node))
            elif isinstance(node, Scalar):
                if node.text in own:
                    blocks.append(own[node.text])
                elif isinstance(node.value, str):
                    message = f"there is no block '{shorten(node.text)}' in this step"
                    self.files.error(node.position, "unknown-block", message, did_you_mean(node.text, own))
        return tuple(blocks)

    def _check(self, node: Mapping) -> Check | None:
        params: Node | None
        use = node.get("use")
        title, wait = read.text(node, "title"), read.text(node, "wait")
        if isinstance(use, Scalar):
            resolved = reusable.resolve(use, node.get("with"), self.check_roots, self.files, self.check_file)
            if resolved is None:
                return Check(read.text(node, "id"), "", {}, title, position=node.position)
            kind, params = resolved.kind, resolved.params
            title, wait = title or resolved.title, wait or resolved.wait
            own = False
        else:
            own = True
            named = next(((k, v) for k, _, v in node.items() if k not in schema.CHECK_KEYS), None)
            if named is None:
                return None
            kind, params = named
        self._check_params(kind, params, report_schema=not own)
        plain = params.plain()
        return Check(
            id=read.text(node, "id"),
            kind=kind,
            params=plain if isinstance(plain, dict) else {},
            title=title,
            wait=_seconds(wait, 0.0),
            already=read.text(node, "already"),
            position=node.position,
        )

    def _check_params(self, kind: str, params: Node, *, report_schema: bool) -> None:
        if self.kinds is not None and kind in self.kinds:
            check_params(self.kinds[kind], params, self.files, report_schema=report_schema, lint=self.thorough)

    def _mistake(self, node: Mapping, own: dict[str, Block]) -> Mistake:
        return Mistake(
            id=read.text(node, "id"),
            title=read.text(node, "title"),
            blocks=self._blocks(read.items(node, "blocks"), own),
            caught_by=read.text(node, "caughtBy"),
            hint=read.text(node, "hint"),
            explanation=read.text(node, "explanation"),
            position=node.position,
        )

    def _variables(self, node: Mapping | None) -> tuple[Variable, ...]:
        return tuple(self._variable(n, k, v) for n, k, v in node.items()) if node is not None else ()

    def _variable(self, name: str, key: Scalar, node: Node) -> Variable:
        if isinstance(node, Scalar):
            return Variable(name, _type_of(node), _default_text(node), position=key.position)
        kind = read.text(node, "type") or "string"
        default = node.get("default") if isinstance(node, Mapping) else None
        if isinstance(default, Scalar) and kind != "string" and _type_of(default) != kind:
            message = f"the default of '{name}' must be of type {kind}, not {default.label}"
            self.files.error(default.position, "wrong-type", message)
        return Variable(
            name=name,
            type=kind,
            default=_default_text(default) if isinstance(default, Scalar) else None,
            command=read.text(node, "command") or None,
            secret=read.flag(node, "secret"),
            description=read.text(node, "description"),
            position=key.position,
        )


def _type_of(node: Scalar) -> str:
    kind = shape.json_type(node)
    return kind if kind in ("integer", "boolean") else "string"


def _default_text(node: Scalar) -> str:
    return str(node.value).lower() if isinstance(node.value, bool) else str(node.value)


def _requires(node: Mapping | None) -> Requires:
    return Requires(read.texts(node, "labs"), read.texts(node, "tools"), read.texts(node, "features"))


def _block(block_id: str, node: Node) -> Block:
    if isinstance(node, Scalar):
        return Block(block_id, str(node.plain() or ""), position=node.position)
    expect = read.mapping(node, "expect")
    return Block(
        id=block_id,
        run=read.text(node, "run"),
        title=read.text(node, "title"),
        expect=Expect(read.integer(expect, "exit"), read.text(expect, "output") or None),
        interactive=read.flag(node, "interactive"),
        background=read.flag(node, "background"),
        timeout=_seconds(read.text(node, "timeout"), 60.0),
        confirm=read.text(node, "confirm"),
        position=node.position,
    )


def _targeted_hint(node: Mapping) -> TargetedHint:
    when = read.mapping(node, "when")
    return TargetedHint(
        id=read.text(node, "id"),
        check=read.text(when, "check"),
        text=read.text(node, "text"),
        reason=read.text(when, "reason"),
        matches=read.text(when, "matches"),
        position=node.position,
    )


def _seconds(value: str, default: float) -> float:
    """A wrong duration is reported by the schema already."""
    try:
        return durations.seconds(value) if value else default
    except ValueError:
        return default


__all__ = ["Examination", "Kinds", "Position", "examine", "examine_check", "lab_file", "load_lab"]
