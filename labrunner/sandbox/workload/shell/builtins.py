"""Commands that the shell runs itself: importing this fills `BUILTINS`."""

from __future__ import annotations

from labrunner.sandbox.workload.shell import (
    builtin_control,
    builtin_jobs,
    builtin_names,
    builtin_output,
    builtin_process,
    builtin_read,
    builtin_variables,
)
from labrunner.sandbox.workload.shell.registry import BUILTINS, Builtin

__all__ = [
    "BUILTINS",
    "Builtin",
    "builtin_control",
    "builtin_jobs",
    "builtin_names",
    "builtin_output",
    "builtin_process",
    "builtin_read",
    "builtin_variables",
]
