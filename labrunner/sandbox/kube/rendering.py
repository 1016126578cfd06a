"""Answers: objects and lists as JSON or YAML, as they are, as a Table or as metadata only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.conversion import Conversion
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.negotiate import YAML, Representation
from labrunner.sandbox.kube.printers.table import table
from labrunner.sandbox.kube.routes import Path
from labrunner.sandbox.kube.status import ApiError, Cause

Columns = Callable[[Kind, str], Sequence[Mapping[str, Any]] | None]
"""additionalPrinterColumns of a custom kind's version; None for built-in kinds."""


class Renderer:
    """Turns stored objects into what a client asked for."""

    def __init__(self, conversion: Conversion, columns: Columns, now: Callable[[], float]) -> None:
        self._conversion, self._columns, self._now = conversion, columns, now

    def object(self, kind: Kind, version: str, obj: Obj, form: Representation, path: Path) -> Any:
        """One object."""
        if form.transform == "Table":
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return self._table(kind, version, [obj], form, path, metadata)
        shown = self._conversion.outward(kind, version, obj)
        if form.transform == "PartialObjectMetadata":
            return partial(shown, form.version)
        if form.transform:
            raise not_acceptable()
        return shown

    def collection(
        self, kind: Kind, version: str, objects: list[Obj], metadata: dict[str, Any], form: Representation, path: Path
    ) -> Any:
        """A list."""
        if form.transform == "Table":
            return self._table(kind, version, objects, form, path, metadata)
        if form.transform == "PartialObjectMetadataList":
            return {
                "kind": "PartialObjectMetadataList",
                "apiVersion": f"meta.k8s.io/{form.version}",
                "metadata": metadata,
                "items": [partial(obj, form.version) for obj in objects],
            }
        if form.transform:
            raise not_acceptable()
        if kind.custom or self._conversion.converts(kind, version):
            items = [self._conversion.outward(kind, version, obj) for obj in objects]
            if not kind.custom:
                items = [_untyped(obj) for obj in items]
        else:
            # Items of a typed list carry neither kind nor apiVersion, as Go leaves them out.
            items = [_untyped(obj) for obj in objects]
        return {"kind": kind.list_kind, "apiVersion": kind.api_version(version), "metadata": metadata, "items": items}

    def event(self, kind: Kind, version: str, form: Representation, path: Path) -> Callable[[Obj, bool], Any]:
        """What watch events carry in this form."""
        if form.transform == "Table":
            include = include_object(path)

            def as_table(obj: Obj, first: bool) -> Any:
                metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
                return self._tabulated(kind, version, [obj], form, include, metadata, headers=first)

            return as_table
        if form.transform:
            return lambda obj, _: partial(self._conversion.outward(kind, version, obj), form.version)
        return lambda obj, _: self._conversion.outward(kind, version, obj)

    def _table(
        self, kind: Kind, version: str, objects: list[Obj], form: Representation, path: Path, metadata: dict[str, Any]
    ) -> Any:
        return self._tabulated(kind, version, objects, form, include_object(path), metadata)

    def _tabulated(
        self,
        kind: Kind,
        version: str,
        objects: list[Obj],
        form: Representation,
        include: Any,
        metadata: dict[str, Any],
        *,
        headers: bool = True,
    ) -> Any:
        stored = self._conversion.stored_kind(kind)
        if include == "Object" or kind.custom:
            objects = [self._conversion.outward(kind, version, obj) for obj in objects]
        made = table(
            stored.id,
            version,
            objects,
            now=self._now(),
            include_object=include,
            metadata=metadata,
            columns=self._columns(kind, version),
            headers=headers,
        )
        made["apiVersion"] = f"meta.k8s.io/{form.version}"
        return made


def include_object(path: Path) -> str:
    """The includeObject parameter of a Table request."""
    wanted = path.param("includeObject", "Metadata") or "Metadata"
    if wanted not in ("Metadata", "Object", "None"):
        shown = orjson.dumps(wanted).decode()
        detail = f'Invalid value: {shown}: must be "Metadata", "Object", "None", or empty'
        raise ApiError(
            422,
            "Invalid",
            f'TableOptions.meta.k8s.io "" is invalid: includeObject: {detail}',
            group="meta.k8s.io",
            kind="TableOptions",
            causes=[Cause("FieldValueInvalid", detail, "includeObject")],
        )
    return wanted


def partial(obj: Obj, version: str) -> Obj:
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": obj["metadata"]}


def _untyped(obj: Obj) -> Obj:
    return {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}


def not_acceptable() -> ApiError:
    return ApiError(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf",
    )


def serialised(body: Any, media_type: str, *, pretty: bool = False) -> bytes:
    """Bytes of a response body."""
    if media_type == YAML:
        import yaml

        dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        text: str = yaml.dump(body, Dumper=dumper, default_flow_style=False, allow_unicode=True)
        return text.encode()
    data = orjson.dumps(body, option=orjson.OPT_INDENT_2 if pretty else None)
    return data + b"\n"
