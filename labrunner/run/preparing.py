"""What must be there before a lab's shell starts: work directory, environment, features and tools."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from labrunner.errors import EnvironmentFault
from labrunner.lab.model import Lab
from labrunner.target.base import Target


def make_ready(lab: Lab, target: Target, workdir: Path, own: Mapping[str, str]) -> dict[str, str]:
    """Make the work directory; the shell's environment: `own`, then the target's and the lab's.

    Raises `EnvironmentFault` when the lab needs what is not there.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot make the lab's work directory {workdir}: {error.strerror}",
            hint="make the place writable, or choose another with LABRUNNER_HOME",
        ) from error
    environment = {**own, **target.environment(), "LAB_ID": lab.id}
    if lab.assets is not None:
        environment["LAB_ASSETS"] = str(lab.assets)
    lacking = [feature for feature in lab.requires.features if feature not in target.features]
    if lacking:
        raise EnvironmentFault(
            f"lab {lab.id} needs {', '.join(lacking)}, which the target {target.name} lacks",
            hint="`labrunner doctor` says what each target has",
        )
    path = environment.get("PATH", os.defpath)
    missing = [tool for tool in lab.requires.tools if shutil.which(tool, path=path) is None]
    if missing:
        raise EnvironmentFault(
            f"lab {lab.id} needs {', '.join(missing)}, not found on the PATH",
            hint="`labrunner doctor` says how to get it",
        )
    return environment
