"""Signals by name and number."""

from __future__ import annotations

NUMBERS = {
    "HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10,
    "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CONT": 18, "STOP": 19,
    "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28,
    "POLL": 29, "PWR": 30, "SYS": 31,
}  # fmt: skip
NAMES = {number: name for name, number in NUMBERS.items()}
IGNORED_BY_DEFAULT = frozenset({17, 18, 19, 20, 21, 22, 23, 28})
"""Signals that do not end a process. (Stopping is not pretended.)"""


def parse(text: str) -> int | None:
    """`TERM`, `SIGTERM`, `term` or `15`; None for what is no signal. 0 and `EXIT` are 0."""
    if text.isdigit():
        number = int(text)
        return number if number == 0 or number in NAMES else None
    name = text.upper().removeprefix("SIG")
    return 0 if name == "EXIT" else NUMBERS.get(name)
