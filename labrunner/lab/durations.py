"""Durations as lab files write them: `500ms`, `90s`, `2m`, `1m30s`, `1h`."""

from __future__ import annotations

import re

PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """The duration in seconds. Raises ValueError for anything that does not match `PATTERN`."""
    if len(text) > 32 or not re.match(PATTERN, text):
        raise ValueError(f"not a duration: {text!r}")
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _PART.findall(text))
