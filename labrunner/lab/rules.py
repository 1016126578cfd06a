"""What no schema can say: references that lead somewhere, variables that are used, a step that can be proven.

Each rule is one function over a lab or a step; `RULES` in docs/lab-format.md lists their codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labrunner.lab import content, markdown, variables
from labrunner.lab import files as read
from labrunner.lab.files import Files
from labrunner.lab.model import Block, Lab, Position, Step
from labrunner.lab.problem import did_you_mean, shorten
from labrunner.lab.yaml_tree import Mapping, Node, Scalar

MIN_HINTS = 2


@dataclass(frozen=True, slots=True)
class StepSource:
    """A step and the tree it was read from."""

    step: Step
    node: Mapping

    def at(self, key: str) -> Position:
        return read.place(self.node, key, self.node.position)


def check(
    lab: Lab,
    root: Mapping,
    parts: Sequence[Mapping],
    sources: Sequence[StepSource],
    files: Files,
    *,
    complete: bool = True,
) -> None:
    """Report everything about a lab that its schema cannot. `complete`: every part could be read."""
    _folder_name(lab, root, files)
    _unique("part", ((read.text(p, "id"), read.place(p, "id", p.position)) for p in parts), files)
    _unique("step", ((s.step.id, s.at("id")) for s in sources), files)
    for key in ("setup", "cleanup"):
        nodes = read.items(root, key)
        _unique("block", _inline_ids(nodes), files)
        _headless(key, nodes, {}, files)
    _required_labs(lab, root, files)
    for source in sources:
        _step(source, files)
        _links(lab, source, files)
    variables.check(lab, root, parts, files, complete=complete)


def _step(source: StepSource, files: Files) -> None:
    node, step = source.node, source.step
    _unique("check", _ids(read.mappings(node, "checks")), files)
    _unique("mistake", _ids(read.mappings(node, "mistakes")), files)
    _unique("targeted hint", _ids(read.mappings(node, "targetedHints")), files)
    _block_ids(source, files)
    _fences(source, files)
    _hints(source, files)
    _mistakes(source, files)
    _solution(source, files)
    own = {b.id: b for b in step.blocks}
    for key in ("solution", "cleanup"):
        _headless(key, read.items(node, key), own, files)
    for mistake in read.mappings(node, "mistakes"):
        _headless("a mistake", read.items(mistake, "blocks"), own, files)


def _folder_name(lab: Lab, root: Mapping, files: Files) -> None:
    metadata = read.mapping(root, "metadata")
    if metadata is not None and read.text(metadata, "id") and lab.id != lab.directory.name:
        position = read.place(metadata, "id", metadata.position)
        message = f"the lab's id is '{shorten(lab.id)}' but its folder is '{shorten(lab.directory.name)}'"
        files.error(position, "id-mismatch", message, "name them alike")


def _required_labs(lab: Lab, root: Mapping, files: Files) -> None:
    """Labs to finish before this one; a warning, as they may be somewhere else on another machine."""
    nodes = read.items(read.mapping(read.mapping(root, "metadata"), "requires"), "labs")
    if not nodes:
        return
    known = content.neighbours(lab.directory)
    for node in nodes:
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value not in known:
            message = f"there is no lab '{shorten(node.value)}' here"
            files.warning(node.position, "unknown-lab", message, did_you_mean(node.value, known))


def _links(lab: Lab, source: StepSource, files: Files) -> None:
    """Relative links and images in the instructions: from the lab's folder, or its assets."""
    text = source.node.get("instructions")
    for target in markdown.local_links(source.step.instructions):
        if not any(content.is_file_below(folder, target) for folder in (lab.directory, lab.assets)):
            position = files.find(text, target, source.at("instructions"))
            files.error(position, "missing-link", f"the file '{shorten(target)}' does not exist")


def _unique(what: str, ids: Iterable[tuple[str, Position]], files: Files) -> None:
    first: dict[str, Position] = {}
    for name, position in ids:
        if name and name in first:
            where = first[name]
            same_file = where.file == position.file
            place = f"line {where.line}" if same_file else f"{where.file.name}:{where.line}"
            files.error(position, "duplicate-id", f"a second {what} '{shorten(name)}'", f"the first is at {place}")
        first.setdefault(name, position)


def _ids(nodes: Iterable[Mapping]) -> list[tuple[str, Position]]:
    return [(read.text(n, "id"), read.place(n, "id", n.position)) for n in nodes]


def _inline_ids(nodes: Iterable[Node]) -> list[tuple[str, Position]]:
    return _ids(n for n in nodes if isinstance(n, Mapping))


def _block_ids(source: StepSource, files: Files) -> None:
    node = source.node
    keyed = read.mapping(node, "blocks")
    found = [(k, key.position) for k, key, _ in keyed.items()] if keyed is not None else []
    lists = [read.items(node, "solution"), read.items(node, "cleanup")]
    lists += [read.items(mistake, "blocks") for mistake in read.mappings(node, "mistakes")]
    for nodes in lists:
        found += _inline_ids(nodes)
    _unique("block", found, files)


def _fences(source: StepSource, files: Files) -> None:
    """Fences that show a block: it exists, and the body is left to labrunner."""
    step = source.step
    text = source.node.get("instructions")
    own = {b.id for b in step.blocks}
    shown: set[str] = set()
    for fence in markdown.fences(step.instructions):
        position = _line(text, fence.line, source.at("instructions"))
        if not fence.closed:
            files.error(position, "open-fence", "the code fence that opens here is never closed")
        block_id = fence.block_id
        if block_id is None:
            continue
        shown.add(block_id)
        if block_id not in own:
            message = f"there is no block '{shorten(block_id)}' in this step"
            files.error(position, "unknown-block", message, did_you_mean(block_id, own))
        if fence.body.strip():
            suggestion = "leave it empty: the block's command is shown there"
            files.error(position, "fence-body", f"the fence of block '{shorten(block_id)}' has a body", suggestion)
    keyed = read.mapping(source.node, "blocks")
    used = shown | _referenced(source.node)
    for block_id, key, _ in keyed.items() if keyed is not None else ():
        if block_id not in used:
            suggestion = f"show it in the instructions: ```run:{shorten(block_id)}"
            files.warning(key.position, "unused-block", f"the block '{shorten(block_id)}' is never used", suggestion)


def _referenced(node: Mapping) -> set[str]:
    lists = [read.items(node, "solution"), read.items(node, "cleanup")]
    lists += [read.items(mistake, "blocks") for mistake in read.mappings(node, "mistakes")]
    return {item.text for nodes in lists for item in nodes if isinstance(item, Scalar)}


def _line(node: Node | None, line: int, fallback: Position) -> Position:
    return node.position_at(line) if isinstance(node, Scalar) else fallback


def _hints(source: StepSource, files: Files) -> None:
    node, step = source.node, source.step
    if len(read.items(node, "hints")) < MIN_HINTS:
        count = "no hints" if not read.items(node, "hints") else "only one hint"
        suggestion = "give two or more, each saying more than the one before"
        files.warning(source.at("hints"), "few-hints", f"the step '{shorten(step.id)}' has {count}", suggestion)
    checks = {c.id for c in step.checks}
    for hint in read.mappings(node, "targetedHints"):
        when = read.mapping(hint, "when")
        _known_check(when, "check", checks, hint, source, files)


def _known_check(
    holder: Mapping | None, key: str, checks: set[str], around: Mapping, source: StepSource, files: Files
) -> None:
    """Silent where the step has no checks at all: that has been said, and this would only follow from it."""
    wanted = read.text(holder, key)
    if wanted and wanted not in checks and "checks" in source.node.values:
        position = read.place(holder, key, around.position)
        message = f"there is no check '{shorten(wanted)}' in this step"
        files.error(position, "unknown-check", message, did_you_mean(wanted, checks))


def _mistakes(source: StepSource, files: Files) -> None:
    node, step = source.node, source.step
    checks = {c.id for c in step.checks}
    hints = {h.id: h for h in step.targeted_hints}
    for mistake in read.mappings(node, "mistakes"):
        _known_check(mistake, "caughtBy", checks, mistake, source, files)
        wanted = read.text(mistake, "hint")
        position = read.place(mistake, "hint", mistake.position)
        if wanted and wanted not in hints:
            message = f"there is no targeted hint '{shorten(wanted)}' in this step"
            files.error(position, "unknown-hint", message, did_you_mean(wanted, hints))
        elif wanted and hints[wanted].check != read.text(mistake, "caughtBy"):
            message = f"the hint '{shorten(wanted)}' is for the check '{shorten(hints[wanted].check)}'"
            suggestion = f"the mistake is caught by '{shorten(read.text(mistake, 'caughtBy'))}': name the same check"
            files.error(position, "hint-check", message, suggestion)
        if "blocks" in mistake.values and not read.items(mistake, "blocks"):
            files.error(read.place(mistake, "blocks", mistake.position), "empty", "a mistake needs a block")
    if not read.mappings(node, "mistakes") and _needs_solution(step):
        suggestion = "show one that people really make"
        files.warning(node.position, "no-mistake", f"the step '{shorten(step.id)}' has no mistake", suggestion)


def _needs_solution(step: Step) -> bool:
    """Whether anything must be done: quiz answers and what holds anyway need no commands."""
    return any(c.kind != "quiz" and not c.already for c in step.checks)


def _solution(source: StepSource, files: Files) -> None:
    if _needs_solution(source.step) and not read.items(source.node, "solution"):
        message = f"the step '{shorten(source.step.id)}' has no solution"
        files.error(source.at("solution"), "no-solution", message, "name the blocks that make its checks pass")


def _headless(key: str, nodes: Iterable[Node], own: dict[str, Block], files: Files) -> None:
    """Blocks that run without anybody at the keyboard."""
    for node in nodes:
        interactive = read.flag(node, "interactive")
        if isinstance(node, Scalar):
            block = own.get(node.text)
            interactive = block is not None and block.interactive
        if interactive:
            suggestion = "write the same without a prompt"
            files.error(node.position, "interactive", f"an interactive block cannot run in {key}", suggestion)
