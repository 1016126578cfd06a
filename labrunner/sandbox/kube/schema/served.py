"""The schema side of the API server as its registry asks for it: decode, default and validate by kind."""

from __future__ import annotations

import base64
from typing import Any

from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.schema.catalog import SchemaCatalog
from labrunner.sandbox.kube.schema.decoding import (
    DecodeError,
    decode,
    decode_error_message,
    duplicate_fields,
    unknown_fields,
)
from labrunner.sandbox.kube.schema.defaults import default_builtin, default_custom
from labrunner.sandbox.kube.schema.gotypes import fill
from labrunner.sandbox.kube.schema.node import SchemaNode
from labrunner.sandbox.kube.schema.validation import validate, validate_builtin
from labrunner.sandbox.kube.status import bad_request

Obj = dict[str, Any]


class CatalogSchemas:
    """`Schemas` of `labrunner.sandbox.kube.schemas`, backed by a catalog."""

    def __init__(self, catalog: SchemaCatalog | None = None) -> None:
        self.catalog = catalog or SchemaCatalog()

    def node(self, kind: Kind, version: str) -> SchemaNode | None:
        return self.catalog.lookup(kind.group, version, kind.kind)

    def decode(self, kind: Kind, version: str, obj: Obj, raw: bytes | None) -> tuple[Obj, list[str]]:
        """The object in shape, and its strict decoding errors (`unknown field "x"`). Raises ApiError 400."""
        node = self.node(kind, version)
        if node is None:
            return obj, []
        try:
            clean, unknown = decode(node, obj)
        except DecodeError as error:
            raise bad_request(decode_error_message(kind.kind, version, error)) from error
        if kind.id == "Secret":
            _merge_string_data(clean)
        problems = duplicate_fields(raw) if raw else []
        return clean, problems + unknown_fields(unknown)

    def default(self, kind: Kind, version: str, obj: Obj) -> None:
        """In place."""
        node = self.node(kind, version)
        if node is None:
            return
        if kind.custom:
            default_custom(node, obj)
        else:
            fill(node.raw, obj, node.definitions)
            default_builtin(kind.id, obj)

    def validate(self, kind: Kind, obj: Obj, old: Obj | None, subresource: str = "") -> list[FieldError]:
        """In the order the server reports them."""
        if not kind.custom:
            return validate_builtin(kind.id, obj, old, subresource)
        node = self.catalog.of_object(obj)
        return validate(node, obj, old) if node is not None else []


def _merge_string_data(secret: Obj) -> None:
    """stringData is write-only: it overwrites data."""
    text = secret.pop("stringData", None)
    if text:
        data = secret.setdefault("data", {})
        for key, value in text.items():
            data[key] = base64.b64encode(value.encode()).decode()
