"""Objects from files against the schemas of their kinds, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labrunner.sandbox.kube.kinds import KindTable
    from labrunner.sandbox.kube.schema.served import CatalogSchemas


@lru_cache(maxsize=1)
def _catalog() -> tuple[CatalogSchemas, KindTable]:
    from labrunner.sandbox.kube.kinds import KindTable
    from labrunner.sandbox.kube.schema.catalog import SchemaCatalog, builtin_kinds, kind_of_crd, shipped_crds
    from labrunner.sandbox.kube.schema.served import CatalogSchemas

    catalog = SchemaCatalog()
    kinds = KindTable(builtin_kinds())
    for crd in shipped_crds():
        catalog.add_crd(crd)
        kinds.add(kind_of_crd(crd))
    return CatalogSchemas(catalog), kinds


def problems(document: dict[str, Any]) -> Iterator[str]:
    """What is wrong with an object, one sentence each: unknown kind, unknown or malformed fields."""
    from labrunner.sandbox.kube.status import ApiError

    schemas, kinds = _catalog()
    version = str(document.get("apiVersion", "")).rpartition("/")[2]
    kind = kinds.of_object(document)
    if kind is None:
        yield f'unknown kind "{document.get("kind")}" in {document.get("apiVersion", "no apiVersion")}'
        return
    try:
        decoded, warnings = schemas.decode(kind, version, document, None)
        yield from warnings
        if kind.custom:
            yield from (f"{error.field}: {error.body()}" for error in schemas.validate(kind, decoded, None))
    except ApiError as error:
        yield error.message
