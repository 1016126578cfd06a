"""The tour: a lab of the shell alone (`lab.yaml`), walked on the real lab screen. It leaves nothing behind.

It is no lab of the catalogue: progress does not count it, and each time it begins anew.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from labrunner import paths
from labrunner.lab.model import Lab
from labrunner.run.engine import Engine
from labrunner.target.shell_only import ShellOnly

FOLDER = Path(__file__).parent
SEEN = "tour"
"""Under which name it is remembered that the learner took it, or began a lab without."""

_KEYS = {
    "KEY_RUN": "lab.run", "KEY_HINT": "lab.hint", "KEY_NEXT": "lab.next",
    "KEY_SHELL": "lab.shell", "KEY_LEAVE": "shell.leave", "KEY_STOP": "lab.interrupt", "KEY_BACK": "lab.back",
    "KEY_HELP": "app.help", "KEY_PALETTE": "app.palette", "KEY_LABS": "lab.catalogue",
}  # fmt: skip


def tour_lab(key: Callable[[str], str]) -> Lab:
    """The tour's lab; `key` says which key an action has here."""
    from labrunner.check.registry import kinds
    from labrunner.lab.loader import load_lab

    lab = load_lab(FOLDER, kinds())
    variables = tuple(replace(v, default=key(_KEYS[v.name])) if v.name in _KEYS else v for v in lab.variables)
    return replace(lab, variables=variables)


def is_tour(lab: Lab) -> bool:
    return lab.directory == FOLDER


class TourEngine(Engine):
    """Its folder goes when it is closed."""

    def __init__(self, lab: Lab) -> None:
        parent = paths.state_dir() / "tour"
        parent.mkdir(parents=True, exist_ok=True)
        super().__init__(lab, ShellOnly(), directory=Path(tempfile.mkdtemp(dir=parent)))

    def close(self, reason: str = "quit") -> None:
        super().close(reason)
        shutil.rmtree(self.directory, ignore_errors=True)
