"""Protobuf's wire format: fields of a message as (number, wire type, value).

Source: protobuf.dev/programming-guides/encoding; the sentences are those of Go's generated decoders.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are no message."""


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int | memoryview]]:
    """Each field: its number, its wire type, and an unsigned integer or (for BYTES) a view of its bytes.

    Raises WireError for anything that Go's decoder would refuse: truncation, overflow, groups, field number 0.
    """
    view = memoryview(data)
    at, end = start, len(data) if end is None else end
    while at < end:
        tag, at = varint(view, at, end)
        number, wire_type = tag >> 3, tag & 7
        if number == 0 or number > 0x1FFFFFFF:
            raise WireError(f"proto: illegal tag {number} (wire type {wire_type})")
        if wire_type == VARINT:
            value, at = varint(view, at, end)
            yield number, VARINT, value
        elif wire_type == BYTES:
            length, at = varint(view, at, end)
            if length > end - at:
                raise WireError("unexpected EOF")
            yield number, BYTES, view[at : at + length]
            at += length
        elif wire_type in (FIXED64, FIXED32):
            size = 8 if wire_type == FIXED64 else 4
            if size > end - at:
                raise WireError("unexpected EOF")
            yield number, wire_type, int.from_bytes(view[at : at + size], "little")
            at += size
        else:
            raise WireError(f"proto: illegal wireType {wire_type}")


def varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    """An unsigned 64 bit integer at `at`, and where it ends."""
    value = shift = 0
    while at < end:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift >= 70:
            raise WireError("proto: integer overflow")
    raise WireError("unexpected EOF")


def packed(data: bytes) -> list[int]:
    """The varints of a packed repeated field."""
    view, at = memoryview(data), 0
    numbers: list[int] = []
    while at < len(view):
        number, at = varint(view, at, len(view))
        numbers.append(number)
    return numbers


def signed(value: int) -> int:
    """An int32 or int64 of its varint: both are sign-extended to 64 bits."""
    return value - (1 << 64) if value >> 63 else value


def double(value: int) -> float:
    result: float = struct.unpack("<d", value.to_bytes(8, "little"))[0]
    return result
