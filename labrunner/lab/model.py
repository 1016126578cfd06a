"""What a lab is, as frozen values. `labrunner.lab.loader` makes them from YAML; nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a source file; line and column count from 1, as editors do."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Variable:
    """A named value: exported into the lab's shell and substituted as `${NAME}` in checks and texts."""

    name: str
    type: str = "string"  # string | integer | boolean
    default: str | None = None
    command: str | None = None
    """Run in the lab's shell when the session starts; its trimmed stdout is the value."""
    secret: bool = False
    """Redacted from journals, events and reports."""
    description: str = ""
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """What a block must do to count as run well: its exit status and, if given, a pattern in its output."""

    exit: int = 0
    output: str | None = None
    """A regular expression searched (multi-line) in the output."""


@dataclass(frozen=True, slots=True)
class Block:
    """A command the learner runs, or has run for them, in the lab's one shell."""

    id: str
    run: str
    title: str = ""
    expect: Expect = Expect()
    interactive: bool = False
    """Needs the learner at the keyboard (a prompt, an editor): never run headless."""
    background: bool = False
    timeout: float = 60.0
    """Seconds."""
    confirm: str = ""
    """When set, this question is asked before the block runs (it deletes, costs, or cannot be undone)."""
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One question put to the world; `kind` names a check kind, `params` are that kind's own."""

    id: str
    kind: str
    params: Mapping[str, Any]
    title: str = ""
    wait: float = 0.0
    """Seconds to keep re-evaluating before a failure counts."""
    already: str = ""
    """Why this check may pass before the step is done; empty: it must fail beforehand."""
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class TargetedHint:
    """A hint for one way of going wrong: shown when check `check` fails and its result matches."""

    id: str
    check: str
    text: str
    reason: str = ""
    """The `reason` code of a finding (see `labrunner.check.result`); empty matches any."""
    matches: str = ""
    """A regular expression searched in the finding's sentence, expected and observed; empty matches any."""
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong way that people really take: its blocks, the check that must catch it, the hint that must appear."""

    id: str
    title: str
    blocks: tuple[Block, ...]
    caught_by: str
    hint: str
    """Id of a `TargetedHint` of the same step."""
    explanation: str = ""
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Step:
    id: str
    title: str
    instructions: str
    """Markdown. A fenced block with info string `run:<block id>` (and an empty body) shows that block there."""
    blocks: tuple[Block, ...] = ()
    checks: tuple[Check, ...] = ()
    hints: tuple[str, ...] = ()
    targeted_hints: tuple[TargetedHint, ...] = ()
    solution: tuple[Block, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    cleanup: tuple[Block, ...] = ()
    position: Position | None = None

    def block(self, block_id: str) -> Block | None:
        return next((b for b in (*self.blocks, *self.solution) if b.id == block_id), None)

    def check(self, check_id: str) -> Check | None:
        return next((c for c in self.checks if c.id == check_id), None)


@dataclass(frozen=True, slots=True)
class Part:
    id: str
    title: str
    steps: tuple[Step, ...]
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Requires:
    """What must be there before the lab starts."""

    labs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    """Commands on the PATH; the sandbox brings kubectl."""
    features: tuple[str, ...] = ()
    """Features of the target: `kubernetes`, `istio-crds`, `mesh`, `azure`."""


@dataclass(frozen=True, slots=True)
class Lab:
    id: str
    title: str
    summary: str
    level: str  # beginner | intermediate | advanced
    minutes: int
    directory: Path
    parts: tuple[Part, ...]
    tags: tuple[str, ...] = ()
    source: str = ""
    requires: Requires = Requires()
    variables: tuple[Variable, ...] = ()
    setup: tuple[Block, ...] = ()
    """Run once before the first step: the world the lab starts in (namespaces, sample applications)."""
    cleanup: tuple[Block, ...] = ()
    """Undoes `setup`; run after the steps' own cleanup."""
    assets: Path | None = None
    """`assets/<lab-id>`; exported to the shell as `LAB_ASSETS`."""
    digest: str = field(default="", compare=False)
    """sha256 over everything the lab can run: the key of the trust decision."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps of all parts, in order."""
        return tuple(step for part in self.parts for step in part.steps)

    def step(self, step_id: str) -> Step | None:
        return next((s for s in self.steps if s.id == step_id), None)
