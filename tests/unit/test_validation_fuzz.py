"""Whatever a client sends is decoded, defaulted and validated, or refused: never a crash."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from labrunner.sandbox.kube.kinds import KindTable
from labrunner.sandbox.kube.schema.catalog import SchemaCatalog, builtin_kinds, kind_of_crd, shipped_crds
from labrunner.sandbox.kube.schema.served import CatalogSchemas
from labrunner.sandbox.kube.status import ApiError, invalid

CATALOG, KINDS = SchemaCatalog(), KindTable(builtin_kinds())
for _crd in shipped_crds():
    CATALOG.add_crd(_crd)
    KINDS.add(kind_of_crd(_crd))
SCHEMAS = CatalogSchemas(CATALOG)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False), st.text(max_size=6),
    st.sampled_from(["", "*", "1", "50%", "a.b", "1Gi", "http", "Always", "TCP", "10.0.0.0/8", "In", "Exists", "5s"]),
)  # fmt: skip


def value_of(raw: Any, definitions: Any, depth: int) -> st.SearchStrategy[Any]:
    """Mostly of the right shape, sometimes anything."""
    while "$ref" in raw:
        raw = definitions[raw["$ref"].rpartition("/")[2]]
    right: st.SearchStrategy[Any]
    if raw.get("properties") and depth > 0:
        names = sorted(raw["properties"])
        right = st.lists(st.sampled_from(names), max_size=5, unique=True).flatmap(
            lambda keys: st.fixed_dictionaries(
                {key: value_of(raw["properties"][key], definitions, depth - 1) for key in keys}
            )
        )
    elif raw.get("type") == "array" and depth > 0:
        right = st.lists(value_of(raw["items"], definitions, depth - 1), max_size=2)
    elif isinstance(raw.get("additionalProperties"), dict) and depth > 0:
        values = value_of(raw["additionalProperties"], definitions, depth - 1)
        right = st.dictionaries(st.sampled_from(["a", "cpu", "a/b", "", "storage"]), values, max_size=2)
    elif raw.get("type") == "integer":
        right = st.integers(-2, 70000)
    elif raw.get("type") == "boolean":
        right = st.booleans()
    elif raw.get("enum"):
        right = st.sampled_from(raw["enum"])
    else:
        right = SCALARS
    return st.integers(0, 19).flatmap(lambda n: SCALARS if n == 0 else right)


@st.composite
def objects(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    kind = draw(st.sampled_from(sorted(KINDS, key=lambda k: k.id)))
    version = draw(st.sampled_from(kind.versions))
    node = CATALOG.of(kind, version)
    assert node
    fields = draw(
        st.fixed_dictionaries(
            {
                name: value_of(raw, node.definitions, 6)
                for name, raw in node.raw["properties"].items()
                if name not in ("apiVersion", "kind", "status")
            }
        )
    )
    return kind.id, version, {"apiVersion": kind.api_version(version), "kind": kind.kind, **fields}


@settings(max_examples=400, deadline=None)
@given(objects(), objects())
def test_no_object_breaks_the_way_from_decoding_to_validation(
    first: tuple[str, str, dict[str, Any]], second: tuple[str, str, dict[str, Any]]
) -> None:
    stored: dict[str, dict[str, Any]] = {}
    for kind_id, version, obj in (first, second):
        kind = KINDS.get(kind_id)
        assert kind
        try:
            clean, _ = SCHEMAS.decode(kind, version, obj, None)
        except ApiError as error:
            assert error.code == 400
            continue
        SCHEMAS.default(kind, version, clean)
        errors = SCHEMAS.validate(kind, clean, stored.get(kind_id))
        if errors:
            assert invalid(kind.kind, kind.group, "x", [e.cause() for e in errors]).status()["code"] == 422
        stored[kind_id] = clean
