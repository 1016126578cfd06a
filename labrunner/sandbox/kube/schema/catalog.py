"""Which schema each served kind has: built-in kinds from generated data, custom kinds from their CRDs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.schema.builtin_kinds import builtin_kinds
from labrunner.sandbox.kube.schema.definitions import Definitions, read
from labrunner.sandbox.kube.schema.node import SchemaNode

__all__ = ["SchemaCatalog", "builtin_kinds", "kind_of_crd", "shipped_crds", "version_order"]

_META = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1."
_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_SHIPPED = ("istio", "gateway-api", "cert-manager", "emissary")
_SHIPPED_AT = "2025-01-01T00:00:00Z"
_VERSION = re.compile(r"^v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?$")


class SchemaCatalog:
    """Schemas by group, version and kind. CRDs come and go while the server runs; `revision` counts those changes."""

    def __init__(self) -> None:
        self.definitions = Definitions(read("builtin.jsonl"))
        self._builtin: dict[str, str] = self.definitions.header["objects"]
        self._custom: dict[tuple[str, str, str], SchemaNode] = {}
        self._crds: dict[str, dict[str, Any]] = {}
        self.revision = 0

    def lookup(self, group: str, version: str, kind: str) -> SchemaNode | None:
        """The schema of an object of this kind; a custom kind's has apiVersion, kind and metadata merged in."""
        node = self._custom.get((group, version, kind))
        if node is None and (name := self._builtin.get(f"{group}/{version}/{kind}")):
            node = SchemaNode(self.definitions[name], self.definitions)
        return node

    def of(self, kind: Kind, version: str = "") -> SchemaNode | None:
        return self.lookup(kind.group, version or kind.storage, kind.kind)

    def of_object(self, obj: dict[str, Any]) -> SchemaNode | None:
        """By the object's own apiVersion and kind."""
        group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
        return self.lookup(group, version, str(obj.get("kind", "")))

    def definition(self, name: str) -> SchemaNode:
        """A shared type, such as `io.k8s.api.core.v1.PodSpec`."""
        return SchemaNode(self.definitions[name], self.definitions)

    def is_builtin(self, group: str, version: str, kind: str) -> bool:
        return f"{group}/{version}/{kind}" in self._builtin

    def add_crd(self, crd: dict[str, Any]) -> None:
        """Serve the schemas of a CustomResourceDefinition; one of the same name is replaced."""
        self.remove_crd(crd)
        spec = crd["spec"]
        for version in spec["versions"]:
            if version.get("served"):
                schema = version.get("schema", {}).get("openAPIV3Schema", {})
                node = self._served(schema, namespaced=spec.get("scope") != "Cluster")
                self._custom[spec["group"], version["name"], spec["names"]["kind"]] = node
        self._crds[crd["metadata"]["name"]] = crd

    def remove_crd(self, crd: dict[str, Any]) -> None:
        """By the CRD's name; unknown ones are ignored."""
        self.revision += 1
        old = self._crds.pop(crd["metadata"]["name"], None)
        if old:
            for version in old["spec"]["versions"]:
                self._custom.pop((old["spec"]["group"], version["name"], old["spec"]["names"]["kind"]), None)

    def crds(self) -> Iterator[dict[str, Any]]:
        return iter(self._crds.values())

    def _served(self, schema: dict[str, Any], *, namespaced: bool) -> SchemaNode:
        properties = {
            **schema.get("properties", {}),
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": _META + "ObjectMeta"},
        }
        return SchemaNode({**schema, "type": "object", "properties": properties}, self.definitions)


def version_order(version: str) -> tuple[int, int, int, str]:
    """Sort key of API versions, most preferred first: v2, v1, v1beta2, v1beta1, v1alpha1, then others by name."""
    match = _VERSION.match(version)
    if not match:
        return (3, 0, 0, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (stage, -int(match[1]), -int(match[3] or 0), version)


def kind_of_crd(crd: dict[str, Any]) -> Kind:
    """The kind a CRD declares, with its served versions."""
    spec, names = crd["spec"], crd["spec"]["names"]
    served = sorted((v["name"] for v in spec["versions"] if v.get("served")), key=version_order)
    subresources = {name for v in spec["versions"] for name in v.get("subresources") or () if v.get("served")}
    return Kind(
        group=spec["group"],
        kind=names["kind"],
        plural=names["plural"],
        versions=tuple(served),
        singular=names.get("singular", ""),
        short_names=tuple(names.get("shortNames") or ()),
        namespaced=spec.get("scope") != "Cluster",
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(sorted(subresources)),
        verbs=_CUSTOM_VERBS,
        storage=next((v["name"] for v in spec["versions"] if v.get("storage")), served[0] if served else ""),
        custom=True,
        list_kind=names.get("listKind", ""),
    )


def shipped_crds(names: Iterable[str] = _SHIPPED) -> list[dict[str, Any]]:
    """CRDs that come with the sandbox, complete and established. Versions with one schema share it: do not edit."""
    found = []
    for name in names:
        for line in read(f"crds-{name}.jsonl").splitlines()[1:]:
            found.append(_complete(orjson.loads(line.partition(b"\t")[2])))
    return found


def _complete(crd: dict[str, Any]) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for version in crd["spec"]["versions"]:
        schema = version["schema"]
        schemas[version["name"]] = schemas[schema] if isinstance(schema, str) else schema
        version["schema"] = {"openAPIV3Schema": schemas[version["name"]]}
    condition = {"lastTransitionTime": _SHIPPED_AT, "status": "True"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": crd["metadata"],
        "spec": {"conversion": {"strategy": "None"}, **crd["spec"]},
        "status": {
            "acceptedNames": crd["spec"]["names"],
            "conditions": [
                condition | {"type": "NamesAccepted", "reason": "NoConflicts", "message": "no conflicts found"},
                condition
                | {
                    "type": "Established",
                    "reason": "InitialNamesAccepted",
                    "message": "the initial names have been accepted",
                },
            ],
            "storedVersions": [v["name"] for v in crd["spec"]["versions"] if v["storage"]],
        },
    }
