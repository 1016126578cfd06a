"""A protobuf request body: magic, envelope, object.

Source: k8s.io/apimachinery/pkg/runtime/serializer/protobuf. The envelope is runtime.Unknown: {typeMeta: 1 {apiVersion:
1, kind: 2}, raw: 2, contentEncoding: 3, contentType: 4}.
"""

from __future__ import annotations

from typing import Any

import orjson

from labrunner.sandbox.kube.protobuf.message import decode, message_of
from labrunner.sandbox.kube.protobuf.wire import BYTES, WireError, fields
from labrunner.sandbox.kube.status import ApiError

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"


class ProtobufError(ApiError):
    """400: the body is not an object in protobuf."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "BadRequest", message)


def decode_body(body: bytes) -> dict[str, Any]:
    """The object of a body, with apiVersion and kind, as JSON. Zero values that say nothing are left out.

    Raises ProtobufError for anything else than a well-formed body of a kind that has a protobuf form: truncated or
    hostile bytes, an unknown kind.
    """
    if not body.startswith(MAGIC):
        raise ProtobufError(f"provided data does not appear to be a protobuf message, expected prefix {list(MAGIC)}")
    api_version = kind = ""
    try:
        envelope = _strings(body[len(MAGIC) :])
        type_meta = _strings(envelope.get(1, b""))
        api_version, kind = (type_meta.get(number, b"").decode("utf-8", "replace") for number in (1, 2))
        raw = envelope.get(2, b"")
        if envelope.get(4, b"") == b"application/json":
            return _object(raw) | {"apiVersion": api_version, "kind": kind}
        name = message_of(api_version, kind)
        if name is None:
            raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"')
        return {"apiVersion": api_version, "kind": kind, **decode(name, raw)}
    except WireError as error:
        version = api_version.rpartition("/")[2]
        raise ProtobufError(f'{kind} in version "{version}" cannot be handled as a {kind}: {error}') from error


def _strings(data: bytes) -> dict[int, bytes]:
    return {number: bytes(value) for number, wire_type, value in fields(data) if wire_type == BYTES}


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise WireError(str(error)) from error
    if not isinstance(found, dict):
        raise WireError("not an object")
    return found
