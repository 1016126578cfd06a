"""The catalogue knows every served kind, built in or custom, and OpenAPI says so."""

from __future__ import annotations

import json

import pytest

from labrunner.sandbox.kube.kinds import KindTable
from labrunner.sandbox.kube.schema.catalog import SchemaCatalog, builtin_kinds, kind_of_crd, shipped_crds, version_order
from labrunner.sandbox.kube.schema.openapi import OpenApi
from labrunner.sandbox.kube.schema.validation import validate_builtin


@pytest.fixture(scope="module")
def world() -> tuple[SchemaCatalog, KindTable]:
    catalog, kinds = SchemaCatalog(), KindTable(builtin_kinds())
    for crd in shipped_crds():
        catalog.add_crd(crd)
        kinds.add(kind_of_crd(crd))
    return catalog, kinds


def test_every_kind_has_a_schema_in_every_served_version(world: tuple[SchemaCatalog, KindTable]) -> None:
    catalog, kinds = world
    assert [f"{k.id}/{v}" for k in kinds for v in k.versions if catalog.of(k, v) is None] == []


def test_names_and_short_names_are_unique_among_the_resources_learners_type(
    world: tuple[SchemaCatalog, KindTable],
) -> None:
    shorts = [(short, k.id) for k in world[1] for short in k.short_names if k.id != "events.k8s.io/Event"]
    assert len({short for short, _ in shorts}) == len(shorts)


def test_shipped_definitions_pass_the_checks_of_definitions() -> None:
    for crd in shipped_crds():
        errors = validate_builtin("apiextensions.k8s.io/CustomResourceDefinition", crd)
        assert errors == [], crd["metadata"]["name"]


def test_a_removed_definition_is_no_longer_known() -> None:
    catalog = SchemaCatalog()
    (crd, *_) = shipped_crds(("istio",))
    kind = kind_of_crd(crd)
    catalog.add_crd(crd)
    assert catalog.of(kind) is not None
    before = catalog.revision
    catalog.remove_crd(crd)
    assert catalog.of(kind) is None
    assert catalog.revision > before


def test_versions_are_preferred_by_stability_then_number() -> None:
    versions = ["v1alpha1", "foo", "v2", "v1beta1", "v1", "v10", "v1beta2"]
    assert sorted(versions, key=version_order) == ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]


def test_a_definitions_kind_lists_served_versions_most_preferred_first() -> None:
    crds = {c["metadata"]["name"]: c for c in shipped_crds(("istio",))}
    kind = kind_of_crd(crds["virtualservices.networking.istio.io"])
    assert (kind.versions, kind.storage, kind.short_names) == (("v1", "v1beta1", "v1alpha3"), "v1", ("vs",))
    assert kind.subresources == ("status",)


def test_openapi_has_a_document_for_each_group_version_with_the_parameters_kubectl_looks_for(
    world: tuple[SchemaCatalog, KindTable],
) -> None:
    documents = OpenApi(*world)
    index = json.loads(documents.index())["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/networking.istio.io/v1", "apis/cert-manager.io/v1"} <= index.keys()
    for path in ("apis/apps/v1", "apis/networking.istio.io/v1"):
        document = json.loads(documents.document(path) or b"")
        patches = [item["patch"] for item in document["paths"].values() if "patch" in item]
        assert patches
        assert all("fieldValidation" in [p["name"] for p in patch["parameters"]] for patch in patches)
        assert all(patch["x-kubernetes-group-version-kind"] for patch in patches)


def test_openapi_references_resolve_within_their_document(world: tuple[SchemaCatalog, KindTable]) -> None:
    documents = OpenApi(*world)
    for path in json.loads(documents.index())["paths"]:
        body = documents.document(path)
        assert body
        schemas = json.loads(body)["components"]["schemas"]
        targets = {part.split('"')[0] for part in body.decode().split('"#/components/schemas/')[1:]}
        assert targets <= schemas.keys(), path


def test_openapi_of_a_group_changes_its_hash_with_its_definitions_only() -> None:
    catalog, kinds = SchemaCatalog(), KindTable(builtin_kinds())
    documents = OpenApi(catalog, kinds)
    first, *rest = shipped_crds(("istio",))
    before = json.loads(documents.index())["paths"]
    for crd in (first, *rest):
        catalog.add_crd(crd)
        kinds.add(kind_of_crd(crd))
    after = json.loads(documents.index())["paths"]
    assert after["api/v1"] == before["api/v1"]
    assert "apis/networking.istio.io/v1" in after.keys() - before.keys()
    assert documents.document("apis/nosuch/v1") is None
