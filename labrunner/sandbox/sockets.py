"""Where a sandbox's Unix sockets are: a folder that only its user can enter.

A socket's address holds about a hundred bytes, fewer than many a state directory's path, so the folder is a short one
among the temporary files, and always the same for the same sandbox.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from labrunner.errors import EnvironmentFault


def sockets_of(directory: Path) -> Path:
    """The folder for the sandbox in `directory`; nothing is made here."""
    name = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"labrunner-{os.getuid()}-{name}"


def make(folder: Path) -> Path:
    """Makes the folder, empty. Raises EnvironmentFault when somebody else has it."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise EnvironmentFault(f"{folder} cannot be made: {error.strerror}", hint="Is its disk full?") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise EnvironmentFault(
            f"{folder} is not a folder of yours alone", hint="Remove it, or set TMPDIR to a folder of your own."
        )
    for left in folder.iterdir():
        left.unlink(missing_ok=True)
    return folder


def remove(folder: Path) -> None:
    """Also what a server that was killed has left."""
    shutil.rmtree(folder, ignore_errors=True)
