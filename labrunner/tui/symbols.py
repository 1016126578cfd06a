"""The symbols that carry meaning (colour only repeats it), and their ASCII stand-ins."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Symbols:
    """All single-width. `steps` and `checks` states look themselves up by state name."""

    passed: str = "✔"
    failed: str = "✘"
    regressed: str = "⚠"
    current: str = "▸"
    todo: str = "·"
    skipped: str = "↷"
    running: str = "◐"
    error: str = "!"
    play: str = "▶"
    stop: str = "■"
    hint: str = "✦"
    dot: str = "●"
    ring: str = "○"
    arrow: str = "→"
    bar: str = "│"
    full: str = "━"
    empty: str = "─"
    separator: str = "·"
    ellipsis: str = "…"
    chosen: str = "◉"
    open: str = "○"
    ascii: bool = False

    def state(self, state: str) -> str:
        """The symbol of a step's, block's or check's state."""
        return {
            "passed": self.passed,
            "ok": self.passed,
            "failed": self.failed,
            "error": self.error,
            "regressed": self.regressed,
            "skipped": self.skipped,
            "running": self.running,
            "current": self.current,
            "active": self.current,
            "started": self.dot,
        }.get(state, self.todo)


UNICODE = Symbols()
ASCII = Symbols(
    passed="v", failed="x", regressed="!", current=">", todo=".", skipped="-", running="~", error="!", play=">",
    stop="#", hint="*", dot="o", ring=".", arrow="->", bar="|", full="=", empty="-", separator="-", ellipsis="...",
    chosen="(x)", open="( )", ascii=True,
)  # fmt: skip


def symbols_for(setting: str = "auto") -> Symbols:
    """`unicode` or `ascii`; `auto`: Unicode where the terminal's encoding is UTF-8. `LABRUNNER_ASCII=1` is ASCII."""
    if os.environ.get("LABRUNNER_ASCII", "") not in ("", "0"):
        return ASCII
    if setting != "auto":
        return ASCII if setting == "ascii" else UNICODE
    encoding = (getattr(sys.__stdout__, "encoding", None) or "").lower().replace("-", "")
    return UNICODE if encoding == "utf8" else ASCII
