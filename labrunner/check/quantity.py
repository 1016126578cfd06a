"""Numbers as Kubernetes writes them, so that `500m`, `1Gi` and `1h30m` can be compared.

Sources: k8s.io/apimachinery/pkg/api/resource (quantities), Go's time.ParseDuration (durations).
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from labrunner.sandbox.kube.schema.quantity import QuantityError, parse

_DURATION = re.compile(r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h)(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))*$")
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {
    "ns": Decimal("1e-9"), "us": Decimal("1e-6"), "µs": Decimal("1e-6"), "ms": Decimal("1e-3"), "s": Decimal(1),
    "m": Decimal(60), "h": Decimal(3600),
}  # fmt: skip


def quantity(value: Any) -> Decimal | None:
    """The number a value stands for: a number itself, or a quantity such as `500m` or `1Gi`."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        try:
            return Decimal(str(value))
        except InvalidOperation:
            return None
    if not isinstance(value, str):
        return None
    try:
        return parse(value).value
    except QuantityError:
        return None


def duration(value: Any) -> Decimal | None:
    """Seconds of a duration such as `30s` or `1h30m`."""
    if not isinstance(value, str) or not _DURATION.match(value):
        return None
    total = sum((Decimal(n) * _SECONDS[unit] for n, unit in _DURATION_PART.findall(value)), Decimal(0))
    return -total if value.startswith("-") else total


def comparable(left: Any, right: Any) -> tuple[Decimal, Decimal] | None:
    """Both as numbers of one sort, or None when they cannot be compared."""
    for read in (quantity, duration):
        a, b = read(left), read(right)
        if a is not None and b is not None:
            return a, b
    return None
