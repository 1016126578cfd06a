"""Errors that a user sees, and the exit codes that scripts rely on."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What labrunner's exit status says. Part of the command contract: never renumber."""

    OK = 0
    """Everything asked for was done, and every check held."""
    CHECK_FAILED = 1
    """A check or a proof of a lab's validation did not hold."""
    USAGE = 2
    """The command line or a lab's definition is wrong; nothing was run."""
    ENVIRONMENT = 3
    """A tool is missing, the cluster cannot be reached, a disk is full: not the learner's or the lab's fault."""
    TIMEOUT = 4
    """A time limit was reached before the outcome was known."""
    INTERRUPTED = 130
    """The user pressed Ctrl-C (or sent SIGINT/SIGTERM); state was kept."""


class LabrunnerError(Exception):
    """An error with a way out: what happened (with the object and place), and what to do next.

    `message` is one sentence that names the thing; `hint` is the next step the user can take.
    Subclasses set `exit_code`; the CLI prints message and hint on stderr and exits with it.
    """

    exit_code: ExitCode = ExitCode.ENVIRONMENT

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LabrunnerError):
    """The command line names something that does not exist or cannot be combined."""

    exit_code = ExitCode.USAGE


class EnvironmentFault(LabrunnerError):
    """Something outside the lab is missing, unreachable, full or read-only."""

    exit_code = ExitCode.ENVIRONMENT


class TimedOut(LabrunnerError):
    """A limit passed; the message says which, and what was last observed."""

    exit_code = ExitCode.TIMEOUT


class Interrupted(LabrunnerError):
    """The user interrupted; whatever was acknowledged is kept."""

    exit_code = ExitCode.INTERRUPTED
