"""resource.Quantity: parsing, comparison and the canonical form the server writes back.

Source: k8s.io/apimachinery/pkg/api/resource/quantity.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from functools import lru_cache

FORMAT_ERROR = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
SUFFIX_ERROR = "unable to parse quantity's suffix"

_SPLIT = re.compile(r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$")
_NUMBER = re.compile(r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)$")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX = {power: suffix for suffix, power in _DECIMAL.items()}
_EXPONENT = re.compile(r"^[eE]([+-]?[0-9]+)$")
_NANO = Decimal("1e-9")


class QuantityError(ValueError):
    """Not a quantity; the message is the server's."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount and the notation it was written in: `DecimalSI`, `BinarySI` or `DecimalExponent`."""

    value: Decimal
    format: str

    def __str__(self) -> str:
        if self.value == 0:
            return "0"
        if self.format == "BinarySI" and abs(self.value) >= 1024:
            return self._binary()
        mantissa, power = self._decimal()
        if self.format == "DecimalExponent":
            return f"{mantissa}e{power}" if power else str(mantissa)
        return f"{mantissa}{_DECIMAL_SUFFIX[power]}"

    def _binary(self) -> str:
        amount, index = int(self.value.to_integral_value(ROUND_CEILING)), 0
        while index < 6 and amount % 1024 == 0:
            amount //= 1024
            index += 1
        return f"{amount}{['', *_BINARY][index]}"

    def _decimal(self) -> tuple[int, int]:
        """The mantissa and the largest power of 1000 that leaves it whole."""
        power = 18
        while power > -9 and self.value % (Decimal(10) ** power):
            power -= 3
        return int(self.value / Decimal(10) ** power), power


@lru_cache(maxsize=4096)
def parse(text: str) -> Quantity:
    """Raises QuantityError."""
    match = _SPLIT.match(text)
    if not match or not _NUMBER.match(match[1]):
        raise QuantityError(FORMAT_ERROR)
    number, suffix = match[1], match[2]
    with localcontext() as context:
        context.prec = 60
        if suffix in _DECIMAL:
            value, format_ = Decimal(number).scaleb(_DECIMAL[suffix]), "DecimalSI"
        elif suffix in _BINARY:
            value, format_ = Decimal(number) * (2 ** _BINARY[suffix]), "BinarySI"
        elif exponent := _EXPONENT.match(suffix):
            if abs(int(exponent[1])) > 60:
                raise QuantityError(SUFFIX_ERROR)
            value, format_ = Decimal(number).scaleb(int(exponent[1])), "DecimalExponent"
        else:
            raise QuantityError(SUFFIX_ERROR)
        value = value.quantize(_NANO, ROUND_CEILING) if value % _NANO else value
    return Quantity(value, format_)


def canonical(text: str) -> str:
    """`1000m` -> `1`, `0.5` -> `500m`, `1024Mi` -> `1Gi`. Raises QuantityError."""
    return str(parse(text))
