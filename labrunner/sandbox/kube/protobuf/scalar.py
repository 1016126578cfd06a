"""Kubernetes types that are messages in protobuf and a scalar (or anything at all) in JSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from labrunner.sandbox.kube.protobuf.wire import BYTES, VARINT, WireError, fields, signed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _parts(view: memoryview) -> dict[int, Any]:
    """The fields of a small message; of a repeated one the last."""
    return {number: value for number, wire_type, value in fields(bytes(view)) if wire_type in (VARINT, BYTES)}


def _text(value: Any) -> str:
    if not isinstance(value, memoryview):
        raise WireError("proto: wrong wireType")
    return str(value, "utf-8", "replace")


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise WireError("proto: wrong wireType")
    return signed(value)


def quantity(view: memoryview) -> str:
    """{string: 1}; an unset one is 0."""
    return _text(_parts(view).get(1, memoryview(b""))) or "0"


def int_or_string(view: memoryview) -> int | str:
    """{type: 1 (0 int, 1 string), intVal: 2, strVal: 3}."""
    parts = _parts(view)
    if _number(parts.get(1, 0)) == 1:
        return _text(parts.get(3, memoryview(b"")))
    return _number(parts.get(2, 0))


def time(view: memoryview) -> str | None:
    """{seconds: 1, nanos: 2}, to the second; None for the zero time."""
    moment = _moment(view)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def micro_time(view: memoryview) -> str | None:
    moment = _moment(view)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


def _moment(view: memoryview) -> datetime | None:
    parts = _parts(view)
    seconds, nanos = _number(parts.get(1, 0)), _number(parts.get(2, 0))
    if not seconds and not nanos:
        return None
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError as error:
        raise WireError("Time.MarshalJSON: year outside of range [0,9999]") from error


def duration(view: memoryview) -> str:
    """{duration: 1}, nanoseconds, as Go's Duration.String: `1h0m5s`, `1.5s`, `300ms`."""
    nanos = _number(_parts(view).get(1, 0))
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    if nanos < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if nanos >= size:
                return f"{sign}{_decimal(nanos, size)}{unit}"
        return "0s"
    minutes, rest = divmod(nanos, 60_000_000_000)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
    return sign + text


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = str(fraction).zfill(len(str(unit)) - 1).rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)


def raw(view: memoryview) -> Any:
    """{raw: 1}: JSON. Of RawExtension and FieldsV1."""
    data = _parts(view).get(1)
    if not isinstance(data, memoryview) or not data:
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise WireError(f"json: error calling MarshalJSON for type runtime.RawExtension: {error}") from error


SPECIAL: dict[str, Callable[[memoryview], Any]] = {
    "q": quantity, "o": int_or_string, "t": time, "T": micro_time, "D": duration, "r": raw, "F": raw,
}  # fmt: skip
"""By the letter that stands for the type in data/protobuf.jsonl."""
