"""Reading the learner's files for checks: bounded, never blocking, relative to the shell's directory."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from labrunner.check.kind import CheckContext
from labrunner.check.phrase import did_you_mean
from labrunner.check.result import Finding

MAX_BYTES: Final = 8 * 1024 * 1024
"""A larger file is not read."""


class FileProblem(Exception):
    """Why something cannot be read, as the finding to report."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def locate(name: str, context: CheckContext) -> Path:
    """The file meant: `~` is the shell's HOME, relative names start at the shell's directory."""
    if name == "~" or name.startswith("~/"):
        home = context.environment.get("HOME")
        return Path(home) / name[2:] if home else Path(name).expanduser()
    return context.cwd / name


def read_bytes(name: str, context: CheckContext) -> bytes:
    """The file's content. Raises FileProblem: missing, unreadable, not-a-file, too-large."""
    path = locate(name, context)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FileProblem(Finding("not-a-file", f"{name} is a {type_of(status.st_mode)}, not a file.",
                                      "a file", f"a {type_of(status.st_mode)}", str(path)))  # fmt: skip
        if status.st_size > MAX_BYTES:
            raise FileProblem(Finding("too-large", f"{name} is too large to be what is meant.",
                                      f"at most {MAX_BYTES} bytes", f"{status.st_size} bytes", str(path)))  # fmt: skip
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except FileNotFoundError as error:
        raise FileProblem(missing_file(name, path)) from error
    except PermissionError as error:
        message = f"{name} cannot be read: permission denied (see ls -l {name})."
        raise FileProblem(Finding("unreadable", message, "a readable file", "permission denied", str(path))) from error
    except (OSError, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        message = f"{name} cannot be read: {text}."
        raise FileProblem(Finding("unreadable", message, "a readable file", text, str(path))) from error


def missing_file(name: str, path: Path) -> Finding:
    """`missing`, with what is there instead: the nearest name, or the first directory that does not exist."""
    parent = path.parent
    if not parent.is_dir():
        message = f"{name} does not exist; there is no directory {parent} either."
        return Finding("missing", message, name, "no such directory", str(path))
    try:
        names = [entry.name for entry in parent.iterdir()]
    except OSError:
        names = []
    return Finding("missing", f"{name} does not exist.{did_you_mean(path.name, names)}", name, "absent", str(path))


def type_of(mode: int) -> str:
    """`file`, `directory`, `symlink` or `special file`."""
    if stat.S_ISLNK(mode):
        return "symlink"
    if stat.S_ISREG(mode):
        return "file"
    return "directory" if stat.S_ISDIR(mode) else "special file"
