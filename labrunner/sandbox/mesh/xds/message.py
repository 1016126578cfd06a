"""The few protobuf messages of discovery: requests read, responses, secrets and extension configurations written.

A TypedStruct carries any message as JSON-like values, so that no generated code is needed.
Source: envoy/service/discovery/v3/discovery.proto, .../transport_sockets/tls/v3/secret.proto and common.proto,
xds/type/v3/typed_struct.proto, google/protobuf/struct.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.kube.protobuf.wire import BYTES, fields

EXTENSION = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
_TYPED_STRUCT = "type.googleapis.com/xds.type.v3.TypedStruct"


@dataclass(frozen=True, slots=True)
class DiscoveryRequest:
    """`error`: why Envoy did not take the response with this nonce; empty when it did."""

    version: str
    names: frozenset[str]
    type_url: str
    nonce: str
    error: str


def read_request(data: bytes) -> DiscoveryRequest:
    """Raises WireError for bytes that are no message."""
    texts: dict[int, str] = {}
    names: set[str] = set()
    error = ""
    for number, wire_type, value in fields(data):
        if wire_type != BYTES or isinstance(value, int):
            continue
        if number == 3:
            names.add(bytes(value).decode())
        elif number in (1, 4, 5):
            texts[number] = bytes(value).decode()
        elif number == 6:
            error = _status_message(bytes(value)) or "refused"
    return DiscoveryRequest(texts.get(1, ""), frozenset(names), texts.get(4, ""), texts.get(5, ""), error)


def _status_message(data: bytes) -> str:
    for number, wire_type, value in fields(data):
        if number == 2 and wire_type == BYTES and not isinstance(value, int):
            return bytes(value).decode("utf-8", "replace")
    return ""


def response(version: str, nonce: str, type_url: str, resources: Iterable[bytes]) -> bytes:
    """A DiscoveryResponse with these messages of one type."""
    body = b"".join(_bytes(2, _any(type_url, resource)) for resource in resources)
    return _text(1, version) + body + _text(4, type_url) + _text(5, nonce)


def extension(name: str, config: dict[str, Any]) -> bytes:
    """A TypedExtensionConfig; `config` has its `@type`."""
    return _text(1, name) + _bytes(2, _any(_TYPED_STRUCT, _typed_struct(config)))


def certificate_secret(name: str, certificate: bytes, key: bytes) -> bytes:
    """A Secret that is a TlsCertificate, from PEM."""
    return _text(1, name) + _bytes(2, _bytes(1, _bytes(2, certificate)) + _bytes(2, _bytes(2, key)))


def validation_secret(name: str, root: bytes) -> bytes:
    """A Secret that is a CertificateValidationContext with this trusted CA."""
    return _text(1, name) + _bytes(4, _bytes(1, _bytes(2, root)))


def _typed_struct(config: dict[str, Any]) -> bytes:
    rest = {key: value for key, value in config.items() if key != "@type"}
    return _text(1, config["@type"]) + _bytes(2, _struct(rest))


def _struct(value: dict[str, Any]) -> bytes:
    return b"".join(_bytes(1, _text(1, key) + _bytes(2, _value(one))) for key, one in value.items())


def _value(value: Any) -> bytes:
    if value is None:
        return b"\x08\x00"
    if isinstance(value, bool):
        return b"\x20\x01" if value else b"\x20\x00"
    if isinstance(value, (int, float)):
        return b"\x11" + struct.pack("<d", value)
    if isinstance(value, str):
        return _text(3, value)
    if isinstance(value, dict):
        return _bytes(5, _struct(value))
    return _bytes(6, b"".join(_bytes(1, _value(one)) for one in value))


def _any(type_url: str, value: bytes) -> bytes:
    return _text(1, type_url) + _bytes(2, value)


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _bytes(number: int, value: bytes) -> bytes:
    return bytes((number << 3 | BYTES,)) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
