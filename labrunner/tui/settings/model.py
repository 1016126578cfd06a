"""The settings as the app takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from textual.theme import Theme

from labrunner.lab.problem import Problem

ATTEMPTS = 4
MINUTES = 5.0


@dataclass(frozen=True, slots=True)
class HelpAfter:
    """When a step offers help: whichever comes first; 0 is never."""

    attempts: int = ATTEMPTS
    minutes: float = MINUTES


@dataclass(frozen=True, slots=True)
class Settings:
    """`problems`: what was wrong in the files, and left out."""

    theme: str = ""
    """A theme's name without prefix; empty: the one chosen last, else night."""
    symbols: str = "auto"
    mouse: bool = True
    help_after: HelpAfter = field(default_factory=HelpAfter)
    keymap: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Action id -> keys as Textual names them."""
    themes: tuple[Theme, ...] = ()
    """The user's own."""
    problems: tuple[Problem, ...] = ()
    file: Path | None = None
