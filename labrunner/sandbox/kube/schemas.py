"""What the registry asks of schemas, and the schemas of nothing: for tests of the machinery alone."""

from __future__ import annotations

from typing import Protocol

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.schema.node import SchemaNode


class Schemas(Protocol):
    """Decoding, defaulting and validation of objects by their kind's schema."""

    def node(self, kind: Kind, version: str) -> SchemaNode | None:
        """The schema of a kind in a version; None: nothing is known of it."""
        ...

    def decode(self, kind: Kind, version: str, obj: Obj, raw: bytes | None) -> tuple[Obj, list[str]]:
        """A client's object in shape (unknown fields dropped or pruned), and its strict decoding errors.

        Raises ApiError 400 for values of a wrong type, in the words of Go's decoder. `raw`: the JSON it came from,
        where fields given twice still show.
        """
        ...

    def default(self, kind: Kind, version: str, obj: Obj) -> None:
        """Fill in defaults, in place."""
        ...

    def validate(self, kind: Kind, obj: Obj, old: Obj | None, subresource: str = "") -> list[FieldError]: ...


class NoSchemas:
    """Everything is allowed."""

    def node(self, kind: Kind, version: str) -> SchemaNode | None:
        return None

    def decode(self, kind: Kind, version: str, obj: Obj, raw: bytes | None) -> tuple[Obj, list[str]]:
        return obj, []

    def default(self, kind: Kind, version: str, obj: Obj) -> None:
        return None

    def validate(self, kind: Kind, obj: Obj, old: Obj | None, subresource: str = "") -> list[FieldError]:
        return []
