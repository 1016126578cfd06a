"""resource.Quantity: numbers of CPUs and bytes as manifests write them."""

from __future__ import annotations

from decimal import Decimal

from labrunner.sandbox.kube.schema import quantity


def parse(text: str | int | float) -> Decimal:
    """`250m` is 0.25, `1Gi` 1073741824. A malformed quantity (validation refuses it) counts as 0."""
    try:
        return quantity.parse(str(text).strip()).value
    except quantity.QuantityError:
        return Decimal(0)


def int_or_percent(value: str | int | None, total: int, *, round_up: bool) -> int:
    """intstr.GetScaledValueFromIntOrPercent: `25%` of `total`, or the number itself."""
    if value is None:
        return 0
    if isinstance(value, str) and value.endswith("%"):
        share = int(value[:-1] or 0) * total
        return -(-share // 100) if round_up else share // 100
    return int(value)
