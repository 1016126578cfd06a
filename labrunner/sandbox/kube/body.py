"""Request bodies: read with a limit, decoded from JSON, YAML or protobuf into plain objects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.status import ApiError, bad_request

LIMIT = 3 * 1024 * 1024
"""Bytes; k8s.io/apiserver's MaxRequestBodyBytes."""
READ_TIMEOUT = 30.0
"""Seconds a client may take to send a body."""
MAX_DEPTH = 200
"""Nesting; beyond it an object is refused instead of overflowing whoever walks it."""
MAX_NODES = 500_000
"""Of one YAML document with its aliases written out."""

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

ProtobufDecoder = Callable[[bytes], Obj]


async def read(request: web.BaseRequest) -> bytes:
    """The whole body. Raises ApiError 413 when it is too large, 408 when it does not come."""
    declared = request.content_length
    if declared is not None and declared > LIMIT:
        raise too_large()
    if not request.body_exists:
        return b""
    chunks, size = [], 0
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            while True:
                chunk = await request.content.readany()
                if not chunk:
                    break
                size += len(chunk)
                if size > LIMIT:
                    raise too_large()
                chunks.append(chunk)
    except TimeoutError as error:
        raise ApiError(408, "Timeout", "the request body did not arrive in time") from error
    except web.HTTPException:
        raise
    except (ValueError, web.RequestPayloadError) as error:
        raise bad_request("the request body cannot be read") from error
    return b"".join(chunks)


def too_large() -> ApiError:
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LIMIT}")


def media_type(header: str) -> str:
    """The media type of a Content-Type header; JSON when there is none."""
    return header.partition(";")[0].strip().lower() or JSON


def decode(data: bytes, content_type: str, protobuf: ProtobufDecoder | None) -> Obj:
    """The object in a body. Raises ApiError 400 or 415."""
    match content_type:
        case "application/json" | "text/plain":
            found = decode_json(data)
        case "application/yaml" | "application/x-yaml" | "text/yaml":
            found = decode_yaml(data)
        case "application/vnd.kubernetes.protobuf" if protobuf is not None:
            found = protobuf(data)
        case _:
            raise ApiError(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: "
                "application/json, application/yaml, application/vnd.kubernetes.protobuf",
            )
    if not isinstance(found, dict):
        raise bad_request(_not_an_object(found))
    check_depth(found)
    return found


def _not_an_object(found: object) -> str:
    kinds = {list: "array", str: "string", bool: "bool", int: "number", float: "number"}
    what = kinds.get(type(found), "null")
    if what == "null":
        return "Object 'Kind' is missing in 'null'"
    return (
        "couldn't get version/kind; json parse error: json: cannot unmarshal "
        f'{what} into Go value of type struct {{ APIVersion string "json:\\"apiVersion,omitempty\\""; '
        'Kind string "json:\\"kind,omitempty\\"" }'
    )


def decode_json(data: bytes) -> Any:
    """Raises ApiError 400 in the words of Go's decoder."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise bad_request(_json_problem(data, error)) from error


def _json_problem(data: bytes, error: orjson.JSONDecodeError) -> str:
    text = data.decode("utf-8", "replace")
    if not text.strip() or "unexpected end" in str(error) or error.pos >= len(text.rstrip()):
        problem = "unexpected end of JSON input"
    elif "recursion" in str(error).lower() or "depth" in str(error).lower():
        problem = "exceeded max depth"
    else:
        problem = f"invalid character {text[error.pos]!r} looking for beginning of value"
    return f"couldn't get version/kind; json parse error: {problem}"


def decode_yaml(data: bytes) -> Any:
    """One YAML document with JSON's types. Raises ApiError 400."""
    try:
        return orjson.loads(data)  # JSON is YAML, and what kubectl sends
    except orjson.JSONDecodeError:
        pass
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = data.decode()
        _check_yaml(yaml, text, loader)
        found = yaml.load(text, Loader=_untimed(loader))
        return orjson.loads(orjson.dumps(found))
    except UnicodeDecodeError as error:
        raise bad_request("error converting YAML to JSON: yaml: invalid leading UTF-8 octet") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise bad_request(f"error converting YAML to JSON: yaml: line {line}: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, orjson.JSONEncodeError) as error:
        raise bad_request("error converting YAML to JSON: yaml: cannot be decoded") from error


def _check_yaml(yaml: Any, text: str, loader: Any) -> None:
    """Refuse (400), before any node is made, what nests too deeply or grows too large by aliases.

    The C loader recurses on the C stack: deep nesting would end the process.
    """
    open_nodes = [1]
    anchors: list[str | None] = []
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append(1)
            anchors.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            size, anchor = open_nodes.pop(), anchors.pop()
            open_nodes[-1] += size
            if anchor:
                sizes[anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            open_nodes[-1] += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            open_nodes[-1] += 1
        if len(open_nodes) > MAX_DEPTH:
            raise bad_request("error converting YAML to JSON: yaml: exceeded max depth")
        if open_nodes[-1] > MAX_NODES:
            raise bad_request("error converting YAML to JSON: yaml: document contains excessive aliasing")


_loaders: dict[type, type] = {}


def _untimed(loader: Any) -> Any:
    """The loader without YAML 1.1's timestamps, which JSON does not have."""
    if loader not in _loaders:
        resolvers = {
            first: [(tag, regexp) for tag, regexp in entries if tag != "tag:yaml.org,2002:timestamp"]
            for first, entries in loader.yaml_implicit_resolvers.items()
        }
        _loaders[loader] = type("Loader", (loader,), {"yaml_implicit_resolvers": resolvers})
    return _loaders[loader]


def check_depth(value: Any) -> None:
    """Refuse (400) what is nested too deeply to be walked."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise bad_request("json: exceeded max depth")
