"""`/openapi/v3` and `/openapi/v2`."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from aiohttp import web

from labrunner.sandbox.kube import meta_routes
from labrunner.sandbox.kube.request import User
from labrunner.sandbox.kube.routes import Path, page_not_found
from labrunner.sandbox.kube.schema.catalog import SchemaCatalog
from labrunner.sandbox.kube.schema.openapi import OpenApi
from labrunner.sandbox.kube.server import ApiServer

_FOREVER = "public, immutable"
_EXPLAIN = "kubectl explain"
_TERSE = "terse"
"""Query parameter of the documents that `index` points every other kubectl command to.

kubectl parses the whole document again for each object it applies: 45 ms for api/v1 as it is, 10 ms without prose.
"""
_STRUCTURE = frozenset({"type", "$ref", "allOf", "items", "properties", "additionalProperties"})
_MERGING = frozenset({"x-kubernetes-patch-merge-key", "x-kubernetes-patch-strategy", "x-kubernetes-group-version-kind"})
_OF_PATCH = frozenset({"parameters", "x-kubernetes-action", "x-kubernetes-group-version-kind"})
_ENVELOPES = frozenset({"DeleteOptions", "WatchEvent", "Status", "StatusDetails", "StatusCause", "Patch", "ListMeta"})
_PROTOBUF_ASKED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field of under 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


_V2_PROTOBUF = (
    _field(1, b"2.0")
    + _field(2, _field(1, b"Kubernetes") + _field(2, meta_routes.VERSION.encode()))
    + _field(8, b"")
    + _field(9, b"")
)
"""An openapi.v2.Document without definitions, in which kubectl finds that it has nothing to check on its side."""


def serve_openapi(server: ApiServer, catalog: SchemaCatalog) -> None:
    """Serve the documents of everything in the server's table of kinds."""
    documents = OpenApi(catalog, server.kinds)

    terse: dict[tuple[str, str], bytes] = {}

    async def index(_: ApiServer, request: web.BaseRequest, path: Path, user: User | None) -> web.StreamResponse:
        data = documents.index()
        if request.headers.get("Kubectl-Command", _EXPLAIN) != _EXPLAIN:
            data = data.replace(b"?hash=", b"?" + _TERSE.encode() + b"=1&hash=")
        return _answer(data, request)

    async def document(_: ApiServer, request: web.BaseRequest, path: Path, user: User | None) -> web.StreamResponse:
        data = documents.document(path.raw.removeprefix("/openapi/v3/"))
        if data is None:
            raise page_not_found()
        if path.flag(_TERSE):
            key = (path.raw, path.param("hash"))
            if key not in terse:
                for old in [known for known in terse if known[0] == path.raw]:
                    del terse[old]
                terse[key] = without_prose(data)
            data = terse[key]
        return _answer(data, request, immutable="hash" in path.query)

    async def v2(_: ApiServer, request: web.BaseRequest, path: Path, user: User | None) -> web.StreamResponse:
        if _PROTOBUF_ASKED in request.headers.get("Accept", ""):
            return web.Response(body=_V2_PROTOBUF, headers={"Content-Type": _PROTOBUF})
        return _answer(documents.v2(), request)

    server.extra["/openapi/v3"] = index
    server.extra["/openapi/v3/"] = document
    server.extra["/openapi/v2"] = v2


def _answer(data: bytes, request: web.BaseRequest, *, immutable: bool = False) -> web.Response:
    etag = '"' + hashlib.sha256(data).hexdigest().upper() + '"'
    headers = {"Cache-Control": _FOREVER} if immutable else {"Cache-Control": "no-cache, private"}
    return meta_routes.etagged(data, etag, request, "application/json", **headers)


def without_prose(document: bytes) -> bytes:
    """A v3 document with what merging and the check of query parameters need: types, merge keys, PATCH parameters."""
    found = orjson.loads(document)
    found["paths"] = {
        path: {"patch": {key: value for key, value in item["patch"].items() if key in _OF_PATCH}}
        for path, item in found.get("paths", {}).items()
        if "patch" in item and path.endswith("{name}")
    }
    schemas = found.get("components", {}).get("schemas", {})
    kept = {name: schema for name, schema in schemas.items() if not _never_applied(name, schema)}
    found["components"] = {"schemas": {name: _bare(schema) for name, schema in kept.items()}}
    return orjson.dumps(found)


def _never_applied(name: str, schema: dict[str, Any]) -> bool:
    return name.rpartition(".")[2] in _ENVELOPES or (
        name.endswith("List") and {"items", "metadata"} <= schema.get("properties", {}).keys()
    )


def _bare(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    if len(schema.get("allOf", ())) == 1:
        return {**_bare(schema["allOf"][0]), **{key: value for key, value in schema.items() if key in _MERGING}}
    bare = {key: value for key, value in schema.items() if key in _STRUCTURE or key in _MERGING}
    if isinstance(bare.get("properties"), dict):
        bare["properties"] = {name: _bare(value) for name, value in bare["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in bare:
            bare[key] = _bare(bare[key])
    if "allOf" in bare:
        bare["allOf"] = [_bare(value) for value in bare["allOf"]]
    return bare
