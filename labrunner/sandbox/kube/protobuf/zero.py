"""What an empty Go object of a kind already has when it is written as JSON: structs that are no pointers, and fields
that are written even when they are empty.

Field ownership compares a new object with this one, so that nobody owns `spec` for having filled it in.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from labrunner.sandbox.kube.protobuf.message import message_fields, message_of, zero_of


@cache
def zero_object(api_version: str, kind: str) -> dict[str, Any]:
    """`{"metadata": {}, "spec": {"strategy": {}, "template": ..}, "status": {}}`; {} for kinds without protobuf.

    Shared: copy before changing.
    """
    name = message_of(api_version, kind)
    return _zero(name) if name else {}


def _zero(message: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for field in message_fields(message).values():
        if field.kind == "inline":
            result |= _zero(field.code)
        elif field.kind == "one" and field.code.startswith("m:") and not field.optional:
            result[field.name] = _zero(field.code[2:])
        elif field.always:
            result[field.name] = zero_of(field.code) if field.kind == "one" else None
    return result
