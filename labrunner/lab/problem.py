"""What is wrong with a lab's files, and where: compiler style, all at once."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from labrunner.errors import ExitCode, LabrunnerError
from labrunner.lab.model import Position


class Severity(StrEnum):
    ERROR = "error"
    """The lab cannot be used."""
    WARNING = "warning"
    """The lab works, and would teach better without it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `rule` is a stable code in kebab-case; see docs/lab-format.md for the list."""

    position: Position
    rule: str
    message: str
    suggestion: str = ""
    severity: Severity = Severity.ERROR
    text: str = ""
    """The source line, for the caret; empty when there is none (a missing file)."""

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        place = f"{display_path(self.position.file)}:{self.position.line}:{self.position.column}"
        tail = f"; {self.suggestion}" if self.suggestion else ""
        return f"{place}: {self.severity}: {self.message}{tail} [{self.rule}]"

    def to_json(self) -> dict[str, Any]:
        return {
            "file": display_path(self.position.file),
            "line": self.position.line,
            "column": self.position.column,
            "severity": str(self.severity),
            "rule": self.rule,
            "message": self.message,
            "suggestion": self.suggestion,
            "text": self.text,
        }


class LabErrors(LabrunnerError):
    """A lab that cannot be loaded: every problem found in any of its files, in order of place."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(in_order(problems))
        count = len(self.problems)
        found = f"{count} error{'s' * (count != 1)} in the lab's files"
        super().__init__(
            "\n".join([found, *map(str, self.problems)]),
            hint="`labrunner lint` shows these with their source lines; `labrunner schema` gives editors completion.",
        )


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """By file, line, column; without duplicates."""
    unique = dict.fromkeys(problems)
    return sorted(unique, key=lambda p: (str(p.position.file), p.position.line, p.position.column, p.message))


def display_path(path: Path) -> str:
    """Relative to the current directory where it lies below it: what an editor's terminal makes a link of."""
    try:
        return str(path.relative_to(os.getcwd()))
    except (ValueError, OSError):
        return str(path)


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`did you mean 'checks'?`, or nothing when no candidate is near."""
    near = _nearest(word, tuple(str(c) for c in candidates))
    return f"did you mean '{near}'?" if near else ""


@lru_cache(maxsize=1024)
def _nearest(word: str, known: tuple[str, ...]) -> str:
    """The candidate most like the word, else one that differs in case and punctuation alone. Cached, as it is slow."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return near[0] if near else next((c for c in known if _fold(c) == _fold(word)), "")


def _fold(word: str) -> str:
    return word.replace("-", "").replace("_", "").casefold()


def shorten(text: str, limit: int = 60) -> str:
    """The text on one line, cut in the middle of nothing: for quoting what the author wrote."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
