"""Durations: Istio takes Go's syntax (`1m30s`), Envoy only seconds (`90s`)."""

from __future__ import annotations

import re
from decimal import Decimal

_UNITS = {"ns": "1e-9", "us": "1e-6", "µs": "1e-6", "ms": "1e-3", "s": "1", "m": "60", "h": "3600"}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def seconds(text: str) -> Decimal:
    """Raises ValueError for what Go's time.ParseDuration refuses."""
    body = text.removeprefix("+")
    if body == "0":
        return Decimal(0)
    parts = list(_PART.finditer(body))
    if not parts or "".join(part.group() for part in parts) != body:
        raise ValueError(f'time: invalid duration "{text}"')
    return sum((Decimal(part[1]) * Decimal(_UNITS[part[2]]) for part in parts), Decimal(0))


def envoy_duration(text: str) -> str:
    """`2m` -> `120s`, `1500ms` -> `1.5s`."""
    value = seconds(text).normalize()
    return f"{value:f}s"
