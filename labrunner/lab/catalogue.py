"""All labs there are, read once: those that can be walked, and those that cannot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labrunner.lab.content import lab_directories
from labrunner.lab.kinds import Kinds
from labrunner.lab.loader import examine
from labrunner.lab.model import Lab
from labrunner.lab.problem import Problem


@dataclass(frozen=True, slots=True)
class BrokenLab:
    """A lab whose files have errors; it is shown with its name and cannot be opened."""

    id: str
    directory: Path
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    labs: tuple[Lab, ...]
    broken: tuple[BrokenLab, ...]


def read_catalogue(kinds: Kinds | None = None) -> Catalogue:
    """Read every lab, quickly: opening or linting one may find more.

    Raises `UsageError` when LABRUNNER_LABS names something that is not a folder.
    """
    labs: list[Lab] = []
    broken: list[BrokenLab] = []
    for lab_id, directory in lab_directories().items():
        result = examine(directory, kinds, thorough=False)
        if result.lab is not None:
            labs.append(result.lab)
        else:
            broken.append(BrokenLab(lab_id, directory, tuple(p for p in result.problems if p.is_error)))
    return Catalogue(tuple(labs), tuple(broken))
