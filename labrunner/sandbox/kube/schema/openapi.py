"""OpenAPI documents of what is served: the v3 index, one v3 document per group-version, v2 of all.

kubectl reads them for `apply` and `diff` (which parameters a PATCH takes), `explain` (types and descriptions) and
server-side apply's diffs. Documents are built at the first request and kept until the kinds of their group change.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from labrunner.sandbox.kube.kinds import Kind, KindTable
from labrunner.sandbox.kube.schema import openapi_v2
from labrunner.sandbox.kube.schema.catalog import SchemaCatalog
from labrunner.sandbox.kube.schema.definitions import read

VERSION = "v1.36.2"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_REF = "#/components/schemas/"
_ALWAYS = tuple(_META + name for name in ("APIResourceList", "DeleteOptions", "Patch", "Status", "WatchEvent"))
_API_VERSION = (
    "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized "
    "schemas to the latest internal value, and may reject unrecognized values. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"
)
_KIND = (
    "Kind is a string value representing the REST resource this object represents. Servers may infer this from the "
    "endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
)
_METADATA = (
    "Standard object's metadata. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
_QUERY = {
    "get": ("pretty", "resourceVersion"),
    "list": ("continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "resourceVersionMatch",
             "sendInitialEvents", "timeoutSeconds", "watch"),
    "create": ("dryRun", "fieldManager", "fieldValidation", "pretty"),
    "update": ("dryRun", "fieldManager", "fieldValidation", "pretty"),
    "patch": ("dryRun", "fieldManager", "fieldValidation", "force", "pretty"),
    "delete": ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy", "pretty"),
    "deletecollection": ("continue", "dryRun", "fieldSelector", "gracePeriodSeconds", "labelSelector", "limit"),
}  # fmt: skip
_ACTIONS = {"update": "put", "create": "post", "list": "list"}
_METHODS = {
    "get": "get",
    "list": "get",
    "create": "post",
    "update": "put",
    "patch": "patch",
    "delete": "delete",
    "deletecollection": "delete",
}
_BOOLEAN = {"watch", "sendInitialEvents", "force", "orphanDependents"}
_INTEGER = {"limit", "timeoutSeconds", "gracePeriodSeconds"}


class OpenApi:
    """Serves `/openapi/v3` and `/openapi/v2` for the kinds in the table."""

    def __init__(self, catalog: SchemaCatalog, kinds: KindTable) -> None:
        self._catalog, self._kinds = catalog, kinds
        self._documents: dict[str, tuple[str, bytes]] = {}
        self._hashes: dict[str, str] = {}
        self._seen: tuple[int, int] = (-1, -1)
        self._v2: tuple[tuple[tuple[str, str], ...], bytes] | None = None

    def index(self) -> bytes:
        """The body of `/openapi/v3`."""
        paths = {p: {"serverRelativeURL": f"/openapi/v3/{p}?hash={h}"} for p, h in sorted(self._current().items())}
        return orjson.dumps({"paths": paths})

    def document(self, path: str) -> bytes | None:
        """The document of `api/v1` or `apis/<group>/<version>`; None where nothing is served."""
        digest = self._current().get(path)
        if digest is None:
            return None
        known = self._documents.get(path)
        if known is None or known[0] != digest:
            known = self._documents[path] = (digest, orjson.dumps(self._build(path)))
        return known[1]

    def v2(self) -> bytes:
        """The body of `/openapi/v2`; built anew when what is served has changed."""
        current = tuple(sorted(self._current().items()))
        if self._v2 is None or self._v2[0] != current:
            documents = (self._build(path) for path, _ in current)
            self._v2 = (current, orjson.dumps(openapi_v2.converted(documents, VERSION)))
        return self._v2[1]

    def _current(self) -> dict[str, str]:
        state = (self._catalog.revision, sum(1 for _ in self._kinds))
        if state != self._seen:
            self._seen = state
            self._hashes = {path: self._hash(path) for path in {_path(k, v) for k in self._kinds for v in k.versions}}
        return self._hashes

    def _hash(self, path: str) -> str:
        digest = hashlib.sha256(orjson.dumps(self._catalog.definitions.header["from"]))
        group = path.split("/")[1] if path.startswith("apis/") else ""
        for kind in self._kinds:
            if kind.group == group:
                digest.update(f"{kind.id} {kind.plural} {kind.versions}".encode())
        for crd in self._catalog.crds():
            if crd["spec"]["group"] == group:
                digest.update(orjson.dumps(crd["spec"]))
        return digest.hexdigest().upper()

    def _build(self, path: str) -> dict[str, Any]:
        group, version = _group_version(path)
        schemas: dict[str, Any] = {}
        paths: dict[str, Any] = {}
        wanted: list[str] = [name for name in _ALWAYS if name in self._catalog.definitions]
        for kind in self._kinds:
            if kind.group != group or version not in kind.versions:
                continue
            if kind.custom:
                name, custom = self._custom(kind, version)
                schemas |= custom
                wanted += [_META + "ObjectMeta", _META + "ListMeta"]
            else:
                name = self._builtin_name(group, version, kind.kind)
                wanted += [n for n in (name, f"{name}List") if n in self._catalog.definitions]
            paths |= _paths(kind, version, name)
        schemas |= self._closure(wanted)
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": VERSION},
            "paths": paths,
            "components": {"schemas": schemas},
        }

    def _builtin_name(self, group: str, version: str, kind: str) -> str:
        return str(self._catalog.definitions.header["objects"].get(f"{group}/{version}/{kind}", ""))

    def _custom(self, kind: Kind, version: str) -> tuple[str, dict[str, Any]]:
        node = self._catalog.lookup(kind.group, version, kind.kind)
        name = ".".join([*reversed(kind.group.split(".")), version, kind.kind])
        raw: dict[str, Any] = dict(node.raw) if node else {"type": "object"}
        properties = dict(raw.get("properties", {}))
        properties["apiVersion"] = {"type": "string", "description": _API_VERSION}
        properties["kind"] = {"type": "string", "description": _KIND}
        properties["metadata"] = {"allOf": [{"$ref": _REF + _META + "ObjectMeta"}], "description": _METADATA}
        raw |= {"properties": properties, "x-kubernetes-group-version-kind": [_gvk(kind, version)]}
        list_schema = {
            "description": f"{kind.list_kind} is a list of {kind.kind}",
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": properties["apiVersion"],
                "kind": properties["kind"],
                "metadata": {"allOf": [{"$ref": _REF + _META + "ListMeta"}], "description": _METADATA},
                "items": {
                    "type": "array",
                    "items": {"$ref": _REF + name},
                    "description": f"List of {kind.plural}. More info: https://git.k8s.io/community/contributors/devel/"
                    "sig-architecture/api-conventions.md",
                },
            },
            "x-kubernetes-group-version-kind": [_gvk(kind, version) | {"kind": kind.list_kind}],
        }
        return name, {name: raw, f"{name}List": list_schema}

    def _closure(self, names: Iterable[str]) -> dict[str, Any]:
        """The definitions and all they refer to, described."""
        texts = orjson.loads(gzip.decompress(read("builtin-descriptions.json.gz")))
        found: dict[str, Any] = {}
        todo = list(names)
        while todo:
            name = todo.pop()
            if name in found or name not in self._catalog.definitions:
                continue
            raw = self._catalog.definitions[name]
            found[name] = _described(raw, texts.get(name, {}))
            todo += _references(raw)
        return found


def _path(kind: Kind, version: str) -> str:
    return f"apis/{kind.group}/{version}" if kind.group else f"api/{version}"


def _group_version(path: str) -> tuple[str, str]:
    parts = path.split("/")
    return ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2])


def _gvk(kind: Kind, version: str) -> dict[str, str]:
    return {"group": kind.group, "version": version, "kind": kind.kind}


def _described(raw: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    out = {k: v for k, v in raw.items() if k not in ("x-definition", "x-quantity")}
    if raw.get("format") == "int-or-string":
        del out["type"]
        out["oneOf"] = [{"type": "integer"}, {"type": "string"}]
    elif raw.get("x-quantity"):
        del out["type"]
        out["oneOf"] = [{"type": "string"}, {"type": "number"}]
    if "properties" in raw:
        out["properties"] = {
            name: _property(schema) | ({"description": texts[name]} if name in texts else {})
            for name, schema in raw["properties"].items()
        }
    if "" in texts:
        out["description"] = texts[""]
    return out


def _property(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A reference beside other keys must stand in an allOf."""
    if "$ref" not in schema:
        return dict(schema)
    return {"allOf": [{"$ref": schema["$ref"]}], **{k: v for k, v in schema.items() if k != "$ref"}}


def _references(schema: Any) -> list[str]:
    found: list[str] = []
    if isinstance(schema, Mapping):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            found.append(reference.rpartition("/")[2])
        for value in schema.values():
            found += _references(value)
    elif isinstance(schema, list):
        for value in schema:
            found += _references(value)
    return found


def _paths(kind: Kind, version: str, schema: str) -> dict[str, Any]:
    base = f"/{_path(kind, version)}"
    where = f"{base}/namespaces/{{namespace}}" if kind.namespaced else base
    collection, item = f"{where}/{kind.plural}", f"{where}/{kind.plural}/{{name}}"
    scope = [_parameter("namespace", "path")] if kind.namespaced else []
    paths: dict[str, Any] = {}
    if kind.namespaced and "list" in kind.verbs:
        paths[f"{base}/{kind.plural}"] = {"get": _operation(kind, version, "list", f"{schema}List")}
    on_collection = {v: f"{schema}List" if v == "list" else schema for v in ("list", "create", "deletecollection")}
    operations = {_METHODS[v]: _operation(kind, version, v, s) for v, s in on_collection.items() if v in kind.verbs}
    if operations:
        paths[collection] = {**operations, "parameters": scope}
    operations = {
        _METHODS[v]: _operation(kind, version, v, schema)
        for v in ("get", "update", "patch", "delete")
        if v in kind.verbs
    }
    if operations:
        paths[item] = {**operations, "parameters": [*scope, _parameter("name", "path")]}
        if "status" in kind.subresources:
            paths[f"{item}/status"] = {
                **{m: o for m, o in operations.items() if m != "delete"},
                "parameters": [*scope, _parameter("name", "path")],
            }
    return paths


def _operation(kind: Kind, version: str, verb: str, schema: str) -> dict[str, Any]:
    body = {"schema": {"$ref": _REF + schema}}
    operation: dict[str, Any] = {
        "operationId": f"{verb}{kind.group.title().replace('.', '').replace('-', '')}{version.title()}{kind.kind}",
        "parameters": [_parameter(name, "query") for name in _QUERY[verb]],
        "responses": {"200": {"description": "OK", "content": {"application/json": body}}},
        "x-kubernetes-action": _ACTIONS.get(verb, verb),
        "x-kubernetes-group-version-kind": _gvk(kind, version),
    }
    if verb in ("create", "update"):
        operation["requestBody"] = {"required": True, "content": {"application/json": body}}
    elif verb == "patch":
        patch = {"schema": {"$ref": _REF + _META + "Patch"}}
        types = ["json-patch+json", "merge-patch+json", "apply-patch+yaml"]
        if not kind.custom:
            types.append("strategic-merge-patch+json")
        operation["requestBody"] = {"required": True, "content": {f"application/{t}": patch for t in types}}
    return operation


def _parameter(name: str, place: str) -> dict[str, Any]:
    kind = "boolean" if name in _BOOLEAN else "integer" if name in _INTEGER else "string"
    parameter: dict[str, Any] = {"name": name, "in": place, "schema": {"type": kind, "uniqueItems": True}}
    return parameter | {"required": True} if place == "path" else parameter
