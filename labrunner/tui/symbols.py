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
    mtls: str = "◆"
    plaintext: str = "◇"
    gateway: str = "◈"
    outside: str = "◌"
    head: str = "▶"
    deciding: str = "▌"
    policy: str = "§"
    ascii: bool = False

    def verdict(self, state: str) -> str:
        """Of a request: whether it was let in. A `?` behind it is a forecast: the rules changed since it was sent."""
        return {
            "allowed": self.passed,
            "denied": self.failed,
            "answered": self.regressed,
            "failed": self.error,
            "fault": self.separator,
            "expect-allowed": f"{self.passed}?",
            "expect-denied": f"{self.failed}?",
        }.get(state, "?")

    def lock(self, mtls: bool | None) -> str:
        """Whether it went over mutual TLS; a space where nobody knows."""
        return " " if mtls is None else self.mtls if mtls else self.plaintext

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
    chosen="(x)", open="( )", mtls="#", plaintext="o", gateway="G", outside="@", head=">", deciding="|", policy="P",
    ascii=True,
)  # fmt: skip


def symbols_for(setting: str = "auto") -> Symbols:
    """`unicode` or `ascii`; `auto`: Unicode where the terminal's encoding is UTF-8. `LABRUNNER_ASCII=1` is ASCII."""
    if os.environ.get("LABRUNNER_ASCII", "") not in ("", "0"):
        return ASCII
    if setting != "auto":
        return ASCII if setting == "ascii" else UNICODE
    encoding = (getattr(sys.__stdout__, "encoding", None) or "").lower().replace("-", "")
    return UNICODE if encoding == "utf8" else ASCII
