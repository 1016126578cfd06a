"""JSON Patch (RFC 6902) as the API server applies it.

Source: gopkg.in/evanphx/json-patch.v4, which allows negative indices, replaces the whole document at path "" and
lets `test` of a missing path pass for null; k8s.io/apiserver's patch handler says the refusals.
"""

from __future__ import annotations

from typing import Any

import orjson

from labrunner.sandbox.kube.patch.json_value import copied, equal
from labrunner.sandbox.kube.status import ApiError, bad_request

MAX_OPERATIONS = 10_000
MAX_COPIED = 3 * 1024 * 1024
"""Bytes that the copy operations of one patch may add, as encoded JSON."""
_MISSING = object()


class OperationError(ValueError):
    """An operation that does not apply; the server does not tell the client which."""


def check(operations: Any) -> list[dict[str, Any]]:
    """The operations of a decoded body, or ApiError: 400 when it is no list of objects, 413 when it is too long."""
    if operations is None:
        return []
    if not isinstance(operations, list):
        kind = {dict: "object", str: "string", bool: "bool"}.get(type(operations), "number")
        raise bad_request(f"json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch")
    for operation in operations:
        if not isinstance(operation, dict):
            kind = {list: "array", str: "string", bool: "bool"}.get(type(operation), "number")
            raise bad_request(f"json: cannot unmarshal {kind} into Go value of type jsonpatch.Operation")
    if len(operations) > MAX_OPERATIONS:
        message = f"Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}"
        raise ApiError(413, "RequestEntityTooLarge", f"{message}, got {len(operations)}")
    return operations


def apply(document: Any, operations: Any) -> Any:
    """The patched copy of `document`. Raises ApiError 400 for a malformed patch, 422 where one does not apply."""
    result = copied(document)
    left = MAX_COPIED
    try:
        for operation in check(operations):
            if operation.get("op") == "copy":
                found = _found(result, _pointer(operation, "from"))
                left -= 0 if found is _MISSING else len(orjson.dumps(found))
                if left < 0:
                    raise OperationError("the accumulated size of copies exceeds the limit")
            result = _applied(result, operation)
    except (OperationError, RecursionError, orjson.JSONEncodeError) as error:
        # Operations may nest values deeper than anything that copies, compares or writes them can follow.
        raise ApiError(422, "Invalid", "the server rejected our request due to an error in our request") from error
    return result


def _applied(document: Any, operation: dict[str, Any]) -> Any:
    path = _pointer(operation, "path")
    match operation.get("op"):
        case "add":
            return _added(document, path, copied(_value(operation)))
        case "remove":
            _removed(document, path)
            return document
        case "replace":
            if not path:
                return copied(_value(operation))
            if _found(document, path) is _MISSING:
                raise OperationError("replace operation does not apply: doc is missing key")
            parent, key = _found(document, path[:-1]), path[-1]
            if isinstance(parent, dict):
                parent[key] = copied(_value(operation))
            else:
                parent[_index(key, len(parent))] = copied(_value(operation))
            return document
        case "move":
            source = _pointer(operation, "from")
            if path[: len(source)] == source and len(path) > len(source):
                raise OperationError("move into itself")
            return _added(document, path, _removed(document, source))
        case "copy":
            found = _found(document, _pointer(operation, "from"))
            if found is _MISSING:
                raise OperationError("copy operation does not apply: doc is missing from path")
            return _added(document, path, copied(found))
        case "test":
            found, wanted = _found(document, path), operation.get("value")
            if not (wanted is None if found is _MISSING else equal(found, wanted)):
                raise OperationError("testing value failed")
            return document
        case other:
            raise OperationError(f"unexpected kind: {other}")


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise OperationError("missing value")
    return operation["value"]


def _pointer(operation: dict[str, Any], member: str) -> list[str]:
    pointer = operation.get(member)
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise OperationError(f"bad {member}")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _index(key: str, length: int) -> int:
    """A position among `length` existing items; negative ones count from the end."""
    if not key.removeprefix("-").isascii() or not key.removeprefix("-").isdigit() or len(key) > 10:
        raise OperationError("bad index")
    index = int(key)
    if not -length <= index < length:
        raise OperationError("index out of bounds")
    return index + length if index < 0 else index


def _found(document: Any, path: list[str]) -> Any:
    for key in path:
        if isinstance(document, dict):
            if key not in document:
                return _MISSING
            document = document[key]
        elif isinstance(document, list):
            try:
                document = document[_index(key, len(document))]
            except OperationError:
                return _MISSING
        else:
            return _MISSING
    return document


def _added(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, key = _found(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[key] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if key == "-" else _index(key, len(parent) + 1), value)
    else:
        raise OperationError("add operation does not apply: doc is missing path")
    return document


def _removed(document: Any, path: list[str]) -> Any:
    if not path:
        raise OperationError("remove operation does not apply: doc is missing path")
    parent, key = _found(document, path[:-1]), path[-1]
    if isinstance(parent, dict) and key in parent:
        return parent.pop(key)
    if isinstance(parent, list):
        return parent.pop(_index(key, len(parent)))
    raise OperationError("remove operation does not apply: doc is missing path")
