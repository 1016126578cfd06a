"""The lab's variables: given, remembered, computed by a command, or by default; checked against their type.

Values that a command computed are remembered in `variables.json` (0600) beside the journal, since a session that is
resumed must go on with the same ones and the journal holds no secrets.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from labrunner.errors import EnvironmentFault, UsageError
from labrunner.lab.model import Lab, Variable

Compute = Callable[[Variable], str]
TIMEOUT = 60.0
"""Seconds that a variable's command may take."""


def resolve(lab: Lab, directory: Path, given: Mapping[str, str], compute: Compute) -> dict[str, str]:
    """All variables of the lab. Raises `UsageError` for a value of the wrong type, `EnvironmentFault` otherwise."""
    path = directory / "variables.json"
    remembered = _read(path)
    values: dict[str, str] = {}
    for variable in lab.variables:
        if variable.name in given:
            value = given[variable.name]
        elif variable.name in remembered:
            value = remembered[variable.name]
        elif variable.command is not None:
            value = compute(variable)
        elif variable.default is not None:
            value = variable.default
        else:
            raise UsageError(
                f"the variable {variable.name} of lab {lab.id} has no value",
                hint=f"give it a default or a command in the lab{_at(variable)}",
            )
        _check_type(variable, value)
        values[variable.name] = value
    kept = {v.name: values[v.name] for v in lab.variables if v.command is not None or v.name in given}
    if kept != remembered:
        _write(path, kept)
    return values


def run_command(variable: Variable, environment: Mapping[str, str], cwd: Path) -> str:
    """The trimmed stdout of the variable's command. Raises `EnvironmentFault` when it fails."""
    assert variable.command is not None
    try:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-c", variable.command],
            stdin=subprocess.DEVNULL, capture_output=True, cwd=cwd, env=dict(environment), timeout=TIMEOUT,
            start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFault(
            f"the command of variable {variable.name} did not end within {TIMEOUT:.0f} s", hint=variable.command
        ) from error
    except OSError as error:
        raise EnvironmentFault(f"the command of variable {variable.name} cannot be run: {error}") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise EnvironmentFault(
            f"the command of variable {variable.name} ended with status {done.returncode}"
            + (f": {said[-1]}" if said and not variable.secret else ""),
            hint=variable.command,
        )
    return done.stdout.decode("utf-8", "replace").replace("\0", "").strip()


def _check_type(variable: Variable, value: str) -> None:
    good = True
    if variable.type == "integer":
        try:
            int(value)
        except ValueError:
            good = False
    elif variable.type == "boolean":
        good = value in ("true", "false")
    if not good:
        shown = "its value" if variable.secret else f"'{value}'"
        raise UsageError(f"{shown} is not of type {variable.type}: variable {variable.name}{_at(variable)}")


def _at(variable: Variable) -> str:
    return f" ({variable.position})" if variable.position else ""


def _read(path: Path) -> dict[str, str]:
    try:
        data = json.loads(path.read_text("utf-8"))
        return {str(k): str(v) for k, v in data.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _write(path: Path, values: Mapping[str, str]) -> None:
    new = path.with_suffix(".new")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(values, file)
        os.replace(new, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise EnvironmentFault(f"cannot keep the lab's variables in {path}: {error.strerror}") from error
