"""The seam between the engine and the kinds of check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from labrunner.check.result import Finding
from labrunner.target.base import Target


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What a check may look at. Checks read the world; they never change it."""

    target: Target
    cwd: Path
    """The shell's current directory: relative file names are taken from here."""
    environment: Mapping[str, str]
    """The shell's exported environment as of the last command."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """Quiz answers by check id."""
    deadline: float = 0.0
    """`time.monotonic()` by which an evaluation must have answered; 0: no deadline."""
    check_id: str = ""
    """The id of the check being evaluated (`labrunner.check.evaluate` sets it)."""


class CheckKind(Protocol):
    """One kind of check. `params_schema` is JSON Schema for its parameters; lint and editors use it.

    `evaluate` returns the findings: empty means the check holds. It raises `EnvironmentFault` when the question
    cannot be put at all. It must be re-callable (waiting calls it again) and safe to run beside other checks.
    """

    name: str
    params_schema: Mapping[str, Any]

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]: ...

    def describe(self, params: Mapping[str, Any]) -> str:
        """One line for the learner when the check has no title of its own."""
        ...

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        """What the schema cannot say: a bad regular expression, CEL that does not parse, an unknown operator.

        One sentence per problem, beginning with the parameter's path. Values that hold `${...}` are not judged.
        """
        ...


@runtime_checkable
class ExplainsPass(Protocol):
    """A kind that has more to say on success than its description: a quiz explains the answer."""

    def passed(self, params: Mapping[str, Any]) -> str: ...
