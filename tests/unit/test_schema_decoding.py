"""Objects are decoded as Go decodes them: unknown fields, wrong types, canonical values."""

from __future__ import annotations

from typing import Any

import pytest

from labrunner.sandbox.kube.schema.catalog import SchemaCatalog, shipped_crds
from labrunner.sandbox.kube.schema.decoding import DecodeError, decode, duplicate_fields


@pytest.fixture(scope="module")
def catalog() -> SchemaCatalog:
    catalog = SchemaCatalog()
    for crd in shipped_crds():
        catalog.add_crd(crd)
    return catalog


def pod(**container: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c", "image": "i", **container}]}}


def decoded(catalog: SchemaCatalog, obj: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    node = catalog.of_object(obj)
    assert node is not None
    return decode(node, obj)


def test_unknown_fields_are_dropped_and_named_in_document_order(catalog: SchemaCatalog) -> None:
    obj = pod(prots=[], ports=[{"containerPort": 80, "nmae": "x"}])
    clean, unknown = decoded(catalog, obj | {"extra": 1})
    assert unknown == ["spec.containers[0].prots", "spec.containers[0].ports[0].nmae", "extra"]
    assert clean["spec"]["containers"] == [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]


@pytest.mark.parametrize(
    ("container", "message"),
    [
        (
            {"name": 5},
            "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
        ),
        (
            {"ports": [{"containerPort": "http"}]},
            "json: cannot unmarshal string into Go struct field "
            "ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            {"ports": [{"containerPort": 1.5}]},
            "json: cannot unmarshal number 1.5 into Go struct field "
            "ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            {"imagePullPolicy": True},
            "json: cannot unmarshal bool into Go struct field "
            "Container.spec.containers.imagePullPolicy of type v1.PullPolicy",
        ),
        (
            {"env": {}},
            "json: cannot unmarshal object into Go struct field Container.spec.containers.env of type []v1.EnvVar",
        ),
        (
            {"resources": []},
            "json: cannot unmarshal array into Go struct field "
            "Container.spec.containers.resources of type v1.ResourceRequirements",
        ),
        (
            {"resources": {"limits": {"cpu": "lots"}}},
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            {"livenessProbe": {"tcpSocket": {"port": True}}},
            "json: cannot unmarshal bool into Go value of type int32",
        ),
    ],
)
def test_a_wrong_type_is_refused_in_the_words_of_gos_decoder(
    catalog: SchemaCatalog, container: dict[str, Any], message: str
) -> None:
    with pytest.raises(DecodeError) as error:
        decoded(catalog, pod(**container))
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "position"),
    [("not base64!", 3), ("YQ=", 3), ("YQ==", None), ("a", 0), ("YWJj*", 4), ("YQ=a", 3), ("YQ==x", 4), ("Y===", 1)],
)
def test_secret_data_must_be_base64(catalog: SchemaCatalog, text: str, position: int | None) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"k": text}}
    if position is None:
        assert decoded(catalog, secret)[0]["data"] == {"k": text}
        return
    with pytest.raises(DecodeError) as error:
        decoded(catalog, secret)
    assert str(error.value) == f"illegal base64 data at input byte {position}"


def test_zero_values_vanish_where_go_omits_them_and_stay_behind_pointers(catalog: SchemaCatalog) -> None:
    obj = pod(stdin=False, command=[], securityContext={"privileged": False}, env=[{"name": "A", "value": ""}])
    obj["spec"] |= {"hostNetwork": False, "nodeSelector": {}, "automountServiceAccountToken": False, "hostname": None}
    clean, _ = decoded(catalog, obj)
    assert clean["spec"] == {
        "automountServiceAccountToken": False,
        "containers": [{"name": "c", "image": "i", "securityContext": {"privileged": False}, "env": [{"name": "A"}]}],
    }


def test_quantities_and_times_become_canonical(catalog: SchemaCatalog) -> None:
    obj = pod(resources={"limits": {"cpu": 0.5, "memory": "1024Mi"}})
    obj["metadata"] = {"name": "p", "deletionTimestamp": "2025-01-01T02:00:00.25+01:00"}
    clean, _ = decoded(catalog, obj)
    assert clean["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}
    assert clean["metadata"]["deletionTimestamp"] == "2025-01-01T01:00:00Z"


def test_custom_resources_are_pruned_but_keep_what_their_schema_leaves_open(catalog: SchemaCatalog) -> None:
    patch = {"operation": "MERGE", "value": {"anything": {"goes": 1}}}
    clean, unknown = decoded(
        catalog,
        {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": {"name": "f", "nmae": "g"},
            "spec": {"configPatches": [{"applyTo": "CLUSTER", "patch": patch}], "typo": 1},
        },
    )
    assert unknown == ["metadata.nmae", "spec.typo"]
    assert clean["spec"]["configPatches"][0]["patch"] == patch


def test_a_field_given_twice_is_named_with_its_path() -> None:
    assert duplicate_fields(b'{"spec": {"a": 1, "a": 2}, "l": [{"b": 1, "b": 1}]}') == [
        'duplicate field "spec.a"',
        'duplicate field "l[0].b"',
    ]
    assert duplicate_fields(b'{"a": {"b": 1}, "c": {"b": 1}}') == []
