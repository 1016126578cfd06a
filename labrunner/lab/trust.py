"""A lab is code that runs as the learner: whether this one may.

Bundled labs are trusted. Any other needs one consent, keyed by the digest of everything it can run, so that a changed
lab asks again. Consents are in `trust.json` in the state directory.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

from labrunner.errors import EnvironmentFault
from labrunner.lab.content import is_bundled
from labrunner.lab.model import Block, Lab
from labrunner.paths import state_dir


def is_trusted(lab: Lab) -> bool:
    """Whether the lab may run without asking."""
    return is_bundled(lab.directory) or lab.digest in _read()


def trust(lab: Lab) -> None:
    """Remember the learner's consent. Raises `EnvironmentFault` when it cannot be kept."""
    consents = _read()
    consents[lab.digest] = {"lab": lab.id, "directory": str(lab.directory), "at": int(time.time())}
    file = _file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".trust")
        with os.fdopen(descriptor, "w") as stream:
            json.dump(consents, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except OSError as error:
        raise EnvironmentFault(
            f"the consent cannot be kept in '{file}': {error.strerror}", hint="Make the folder writable."
        ) from error


def commands(lab: Lab) -> list[tuple[str, str]]:
    """Everything the lab can run, as (where, command): what a consent is about."""
    found = [(f"variable {v.name}", v.command) for v in lab.variables if v.command]
    found += _of("setup", lab.setup)
    for step in lab.steps:
        mistakes = [b for mistake in step.mistakes for b in mistake.blocks]
        blocks = dict.fromkeys((*step.blocks, *step.solution, *mistakes, *step.cleanup))
        found += _of(f"step {step.id}", blocks)
        found += [(f"step {step.id}, check {c.id}", str(c.params["run"])) for c in step.checks if "run" in c.params]
    return found + _of("cleanup", lab.cleanup)


def _of(where: str, blocks: tuple[Block, ...] | dict[Block, None]) -> list[tuple[str, str]]:
    return [(f"{where}, block {block.id}", block.run) for block in blocks]


def _file() -> Path:
    return state_dir() / "trust.json"


def _read() -> dict[str, object]:
    """The consents; none when the file is missing or damaged, so that one asks again."""
    try:
        data = json.loads(_file().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
