"""The world around a step as `validate` keeps it, puts it back, and compares it: objects, files, shell, processes."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from labrunner.errors import EnvironmentFault
from labrunner.run import processes
from labrunner.run.engine import Engine
from labrunner.run.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is there: names of objects, of files below the work directory, command lines of processes."""

    objects: frozenset[str]
    files: frozenset[str]
    processes: frozenset[str]

    def beyond(self, before: Inventory) -> list[str]:
        """What is there and was not before, one line each."""
        return [
            *(f"object {name}" for name in sorted(self.objects - before.objects)),
            *(f"file {name}" for name in sorted(self.files - before.files)),
            *(f"process {name}" for name in sorted(self.processes - before.processes)),
        ]


def take_inventory(engine: Engine) -> Inventory:
    """Raises `EnvironmentFault` when the target cannot say what it has."""
    objects: frozenset[str] = frozenset()
    if "kubernetes" in engine.target.features:
        objects = frozenset(str(name) for name in engine.target.kube().inventory())
    running = processes.belonging_to(str(engine.directory))
    return Inventory(
        objects,
        frozenset(_files(engine.workdir)),
        frozenset(p.command for p in running if p.pid != engine.shell.pid and p.command),
    )


def left_over(engine: Engine, before: Inventory, timeout: float = 2.0) -> list[str]:
    """What is left beyond `before` once what is still ending has ended."""
    return wait_for(lambda: take_inventory(engine).beyond(before), lambda left: not left, timeout=timeout).last


class Checkpoints:
    """Keeps the world before a step and puts it back, as often as needed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._base = engine.directory / "checkpoints"

    def save(self, name: str) -> bool:
        """False when the target cannot keep its world; files and shell are kept all the same."""
        place = self._base / name
        try:
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(self._engine.workdir, place / "work", symlinks=True)
        except OSError as error:
            raise EnvironmentFault(f"cannot keep a copy of the work directory in {place}: {error}") from error
        self._engine.shell.checkpoint(place / "shell")
        return self._engine.target.snapshot(name)

    def restore(self, name: str) -> bool:
        """Put files, shell and, where the target can, its world back."""
        place = self._base / name
        work = self._engine.workdir
        try:
            for entry in list(work.iterdir()):
                if entry.is_dir() and not entry.is_symlink():
                    _make_writable(entry)
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            shutil.copytree(place / "work", work, symlinks=True, dirs_exist_ok=True)
        except OSError as error:
            raise EnvironmentFault(f"cannot put the work directory {work} back: {error}") from error
        self._engine.shell.rewind(place / "shell")
        return self._engine.target.restore(name)


def _files(directory: Path) -> list[str]:
    """Files and empty directories below a directory."""
    found = []
    for root, directories, files in os.walk(directory):
        found += [os.path.relpath(os.path.join(root, name), directory) for name in files]
        if not directories and not files and Path(root) != directory:
            found.append(os.path.relpath(root, directory) + "/")
    return found


def _make_writable(directory: Path) -> None:
    for root, _, _ in os.walk(directory):
        os.chmod(root, 0o700)
