"""How the lab's shell is started: which bash, with what on its command line, in its environment and in its rc file."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from labrunner.errors import EnvironmentFault

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OF_A_SHELL = ("PROMPT_COMMAND", "PS0", "PS1", "PS2", "PS4", "BASH_ENV", "ENV", "HISTFILE", "SHLVL", "_")
NOT_INHERITED = frozenset((*_OF_A_SHELL, "LINES", "COLUMNS", "PWD", "OLDPWD"))
"""Variables of the calling shell and terminal that mean nothing in the lab's."""


def find_bash() -> str:
    """A bash of at least 4.4. Raises `EnvironmentFault` with the way out."""
    for candidate in (shutil.which("bash"), "/opt/homebrew/bin/bash", "/usr/local/bin/bash", "/usr/bin/bash"):
        if candidate and os.access(candidate, os.X_OK):
            with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
                shown = subprocess.run(
                    [candidate, "-c", 'echo "${BASH_VERSINFO[0]} ${BASH_VERSINFO[1]}"'],
                    capture_output=True, text=True, timeout=10, check=True,
                )  # fmt: skip
                major, minor = (int(part) for part in shown.stdout.split())
                if (major, minor) >= (4, 4):
                    return candidate
    raise EnvironmentFault(
        "bash 4.4 or newer was not found",
        hint="install bash with your package manager (macOS: brew install bash) and run again",
    )


def write_rc(directory: Path, *, restore: Path | None, exports: Mapping[str, str]) -> str:
    """Write `directory/bashrc` and return the nonce of its markers. Raises `OSError`.

    `restore`: a state file of an earlier shell; its variables, functions and aliases come first, then `exports`.
    """
    nonce = secrets.token_hex(12)
    lines = []
    if restore is not None and restore.exists():
        kept = directory / "restore"
        os.replace(restore, kept)
        lines.append(f"{{ . {shlex.quote(str(kept))}; }} >/dev/null 2>&1\nunset LINES COLUMNS")
    lines += [f"export {name}={shlex.quote(value)}" for name, value in exports.items() if _NAME.match(name)]
    lines += [
        f"__labrunner_dir={shlex.quote(str(directory))}",
        f"__labrunner_nonce={nonce}",
        f"__labrunner_env={shlex.quote(shutil.which('env') or '/usr/bin/env')}",
        resources.files("labrunner.run").joinpath("shell_integration.bash").read_text(encoding="utf-8"),
    ]
    write_private(directory / "bashrc", "\n".join(lines).encode("utf-8", "surrogateescape"))
    return nonce


def last_state(directory: Path) -> Path | None:
    """The state file of the last prompt that a shell with this directory showed."""
    try:
        number = (directory / "last").read_text("utf-8").strip()
    except OSError:
        return None
    return directory / f"state.{number}" if number.isdigit() else None


def read_environment(file: Path) -> dict[str, str]:
    """The exported variables in a file of `env -0`; empty when it cannot be read."""
    try:
        raw = file.read_bytes()
    except OSError:
        return {}
    entries = (entry.decode("utf-8", "surrogateescape").partition("=") for entry in raw.split(b"\0"))
    return {name: value for name, equals, value in entries if equals and name != "_"}


def write_private(path: Path, data: bytes) -> None:
    """A file that only this user can read."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
