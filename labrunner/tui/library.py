"""What the screens need from the rest of labrunner: labs, progress, trust, and an engine for a lab."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from labrunner.lab.model import Lab
from labrunner.run.events import Event
from labrunner.run.protocol import EngineProtocol

Export = Callable[[Lab, Sequence[Event], Path], Sequence[Path]]
"""Writes a session down in a folder and says which files; raises `LabrunnerError`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A lab as the catalogue lists it. `lab` is None when its files have errors: `problem` says which."""

    id: str
    lab: Lab | None
    steps_done: int = 0
    started: bool = False
    finished: bool = False
    missing: tuple[str, ...] = ()
    """Prerequisite labs not finished yet, by title."""
    problem: str = ""

    @property
    def title(self) -> str:
        return self.lab.title if self.lab else self.id

    @property
    def state(self) -> str:
        """finished, begun or new: what the catalogue filters by."""
        return "finished" if self.finished else "begun" if self.started else "new"

    def matches(self, word: str) -> bool:
        """`#tag` is the beginning of a tag, anything else stands somewhere in what is searched."""
        if word.startswith("#"):
            return self.lab is not None and any(tag.casefold().startswith(word[1:]) for tag in self.lab.tags)
        return word in self.text

    @property
    def text(self) -> str:
        """What search looks through."""
        if self.lab is None:
            return self.id
        lab = self.lab
        parts = " ".join(part.title for part in lab.parts)
        steps = " ".join(step.title for step in lab.steps)
        return f"{lab.id} {lab.title} {lab.summary} {lab.level} {' '.join(lab.tags)} {parts} {steps}".casefold()


@dataclass(frozen=True, slots=True)
class Options:
    """How a lab is opened. `at`: id of the step to start at. `context`: of the kubeconfig, for `live`.

    `record`: file for a recording of the shell (asciicast)."""

    target: str = "sandbox"
    context: str | None = None
    at: str | None = None
    record: Path | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """An engine, not started yet. `read_only`: looking on while another runner has the session."""

    engine: EngineProtocol
    options: Options = field(default_factory=Options)
    read_only: bool = False


class Library(Protocol):
    """Blocking; called from worker threads."""

    def entries(self) -> Sequence[Entry]:
        """All labs, in the order to take them. Raises `LabrunnerError`."""
        ...

    def trusted(self, lab: Lab) -> bool:
        """Whether this content may run without asking."""
        ...

    def trust(self, lab: Lab) -> None: ...

    def tour(self, key: Callable[[str], str]) -> Lab:
        """The tour's lab with the keys that hold here; `open` takes it with target `shell`."""
        ...

    def open(self, lab: Lab, options: Options, *, takeover: bool = False, look_on: bool = False) -> Opening:
        """Raises `labrunner.run.lock.SessionHeld` when another runner has the session and neither answer was given."""
        ...
