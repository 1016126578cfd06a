"""JSON patch, merge patch and strategic merge patch do and say what the API server does and says."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrunner.sandbox.kube.patch import json_patch, merge_patch, request, strategic_merge
from labrunner.sandbox.kube.patch.go_json import GoJsonError, decode
from labrunner.sandbox.kube.patch.json_value import copied, equal, go_text
from labrunner.sandbox.kube.patch.typed_conversion import conversion_error
from labrunner.sandbox.kube.schema.catalog import SchemaCatalog
from labrunner.sandbox.kube.schema.node import SchemaNode
from labrunner.sandbox.kube.status import ApiError

_CONTAINER = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "image": {"type": "string"},
        "args": {"type": "array", "items": {"type": "string"}},
        "ports": {
            "type": "array",
            "x-kubernetes-patch-merge-key": "containerPort",
            "x-kubernetes-patch-strategy": "merge",
            "items": {"type": "object", "properties": {"containerPort": {"type": "integer", "format": "int32"}}},
        },
    },
}
_NODE = SchemaNode(
    {
        "type": "object",
        "properties": {
            "data": {"type": "object", "additionalProperties": {"type": "string"}},
            "bytes": {"type": "string", "format": "byte"},
            "replicas": {"type": "integer", "format": "int32"},
            "paused": {"type": "boolean"},
            "containers": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/Container"},
                "x-kubernetes-patch-merge-key": "name",
                "x-kubernetes-patch-strategy": "merge",
            },
            "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-patch-strategy": "merge"},
            "volumes": {
                "type": "array",
                "x-kubernetes-patch-merge-key": "name",
                "x-kubernetes-patch-strategy": "merge,retainKeys",
                "items": {"type": "object", "properties": {"name": {"type": "string"}}},
            },
            "strategy": {"type": "object", "x-kubernetes-patch-strategy": "retainKeys", "properties": {}},
            "selector": {"type": "object", "x-kubernetes-patch-strategy": "replace", "properties": {}},
        },
    },
    {"Container": _CONTAINER},
)


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


def strategic(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    return strategic_merge.apply(document, patch, _NODE)


class TestJsonPatch:
    @pytest.mark.parametrize(
        ("document", "operation", "result"),
        [
            ({"a": 1}, {"op": "add", "path": "/b", "value": 2}, {"a": 1, "b": 2}),
            ({"a": [1, 2]}, {"op": "add", "path": "/a/1", "value": 9}, {"a": [1, 9, 2]}),
            ({"a": [1, 2]}, {"op": "add", "path": "/a/-", "value": 9}, {"a": [1, 2, 9]}),
            ({"a": [1, 2]}, {"op": "add", "path": "/a/-1", "value": 9}, {"a": [1, 2, 9]}),
            ({"a": [1, 2]}, {"op": "remove", "path": "/a/-1"}, {"a": [1]}),
            ({"a/b": 1, "m~n": 2}, {"op": "remove", "path": "/a~1b"}, {"m~n": 2}),
            ({"a/b": 1, "m~n": 2}, {"op": "replace", "path": "/m~0n", "value": 3}, {"a/b": 1, "m~n": 3}),
            ({"a": {"b": 1}}, {"op": "move", "from": "/a/b", "path": "/c"}, {"a": {}, "c": 1}),
            ({"a": {"b": 1}}, {"op": "copy", "from": "/a", "path": "/c"}, {"a": {"b": 1}, "c": {"b": 1}}),
            ({"a": 1.0}, {"op": "test", "path": "/a", "value": 1}, {"a": 1.0}),
            ({"a": 1}, {"op": "test", "path": "/b", "value": None}, {"a": 1}),
            ({"a": 1}, {"op": "replace", "path": "", "value": {"z": 1}}, {"z": 1}),
        ],
    )
    def test_operations(self, document: Any, operation: Any, result: Any) -> None:
        before = copied(document)
        assert json_patch.apply(document, [operation]) == result
        assert document == before

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "remove", "path": "/data/zzz"},
            {"op": "replace", "path": "/zzz", "value": 1},
            {"op": "add", "path": "/no/where", "value": 1},
            {"op": "add", "path": "/list/3", "value": 1},
            {"op": "add", "path": "/list/x", "value": 1},
            {"op": "add", "path": "data/b", "value": 1},
            {"op": "add", "path": "/b"},
            {"op": "test", "path": "/data/b", "value": "0"},
            {"op": "test", "path": "/flag", "value": 1},
            {"op": "move", "from": "/data", "path": "/data/b"},
            {"op": "copy", "from": "/zzz", "path": "/b"},
            {"op": "fly", "path": "/b"},
            {"path": "/b"},
        ],
    )
    def test_what_does_not_apply_is_refused_without_saying_which(self, operation: Any) -> None:
        with pytest.raises(ApiError) as caught:
            json_patch.apply({"data": {"b": "9"}, "list": [1, 2], "flag": True}, [operation])
        assert (caught.value.code, caught.value.reason) == (422, "Invalid")
        assert caught.value.message == "the server rejected our request due to an error in our request"

    def test_a_body_that_is_no_list_is_a_bad_request(self) -> None:
        with pytest.raises(ApiError, match=r"cannot unmarshal object into Go value of type jsonpatch\.Patch") as caught:
            json_patch.apply({}, {"op": "add"})
        assert caught.value.code == 400

    @pytest.mark.parametrize(
        "operations",
        [
            [{"op": "copy", "from": "", "path": f"/x{number}"} for number in range(64)],
            [{"op": "add", "path": "/a" * depth, "value": {}} for depth in range(1, 1500)]
            + [{"op": "copy", "from": "/a", "path": "/b"}],
            [{"op": "add", "path": "/a" * depth, "value": {}} for depth in range(1, 1500)]
            + [{"op": "test", "path": "/a", "value": {}}],
        ],
        ids=["doubling", "deep copy", "deep comparison"],
    )
    def test_a_patch_cannot_blow_up(self, operations: Any) -> None:
        with pytest.raises(ApiError) as caught:
            json_patch.apply({"list": list(range(100))}, operations)
        assert caught.value.code == 422


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=12,
)
_without_null = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=12,
)
_objects = st.dictionaries(st.text(max_size=2), _without_null, max_size=4)


class TestMergePatch:
    def test_merges_maps_replaces_lists_and_removes_nulls(self) -> None:
        document = {"a": {"b": 1, "c": 2}, "l": [1, 2]}
        patch = {"a": {"b": None, "d": {"e": None, "f": 1}}, "l": [3]}
        assert merge_patch.apply(document, patch) == {"a": {"c": 2, "d": {"f": 1}}, "l": [3]}

    @given(_objects, _objects)
    def test_the_patch_between_two_objects_turns_one_into_the_other(self, old: Any, new: Any) -> None:
        assert equal(merge_patch.apply(old, merge_patch.create(old, new)), new)

    @given(_objects, _json)
    def test_never_changes_its_arguments(self, old: Any, patch: Any) -> None:
        before, patch_before = copied(old), copied(patch)
        merge_patch.apply(old, patch)
        assert equal(old, before)
        assert equal(patch, patch_before)


class TestStrategicMerge:
    def test_keyed_lists_merge_by_key(self) -> None:
        live = {"containers": [{"name": "a", "image": "x", "args": ["1", "2"]}]}
        result = strategic(live, {"containers": [{"name": "a", "image": "y"}, {"name": "b", "args": ["3"]}]})
        assert result["containers"] == [
            {"name": "a", "image": "y", "args": ["1", "2"]},
            {"name": "b", "args": ["3"]},
        ]

    def test_a_new_item_comes_first_when_its_place_is_not_known(self) -> None:
        assert names(strategic({"containers": [{"name": "a"}, {"name": "b"}]}, {"containers": [{"name": "c"}]})[
            "containers"
        ]) == ["c", "a", "b"]  # fmt: skip

    def test_element_order_places_items_and_keeps_those_it_does_not_name(self) -> None:
        live = {"containers": [{"name": "a"}, {"name": "server"}, {"name": "b"}]}
        patch = {
            "$setElementOrder/containers": [{"name": "b"}, {"name": "c"}, {"name": "a"}],
            "containers": [{"name": "c", "image": "x"}],
        }
        result = strategic(live, patch)["containers"]
        assert [item for item in names(result) if item != "server"] == ["b", "c", "a"]
        assert "server" in names(result)

    def test_element_order_without_changes_reorders(self) -> None:
        live = {"finalizers": ["x", "y"]}
        assert strategic(live, {"$setElementOrder/finalizers": ["y", "x"]}) == {"finalizers": ["y", "x"]}

    def test_element_order_must_contain_what_the_patch_changes(self) -> None:
        patch = {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}
        with pytest.raises(ApiError, match=r"The order in patch list:\n\[map\[name:b\]\]\n doesn't match"):
            strategic({"containers": [{"name": "a"}]}, patch)

    def test_items_are_deleted_and_lists_replaced_by_directive(self) -> None:
        live = {"containers": [{"name": "a"}, {"name": "b"}]}
        assert names(strategic(live, {"containers": [{"name": "b", "$patch": "delete"}]})["containers"]) == ["a"]
        replaced = strategic(live, {"containers": [{"name": "z"}, {"$patch": "replace"}]})
        assert names(replaced["containers"]) == ["z"]

    def test_maps_are_replaced_and_emptied_by_directive(self) -> None:
        live = {"data": {"a": "1"}, "strategy": {"type": "x"}}
        assert strategic(live, {"data": {"$patch": "replace", "b": "2"}})["data"] == {"b": "2"}
        assert strategic(live, {"strategy": {"$patch": "delete"}})["strategy"] == {}

    def test_retain_keys_drops_the_others(self) -> None:
        live = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
        patch = {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}
        assert strategic(live, patch)["strategy"] == {"type": "Recreate"}
        with pytest.raises(ApiError, match="invalid patch format of retainKeys"):
            strategic(live, {"strategy": {"$retainKeys": ["type"], "other": 1}})

    def test_scalar_lists_are_sets_with_a_list_of_deletions(self) -> None:
        live = {"finalizers": ["a", "b"]}
        assert strategic(live, {"finalizers": ["c", "b"]})["finalizers"] == ["c", "a", "b"]
        assert strategic(live, {"$deleteFromPrimitiveList/finalizers": ["a"]})["finalizers"] == ["b"]

    def test_unkeyed_lists_and_replace_maps_are_replaced(self) -> None:
        live = {"containers": [{"name": "a", "args": ["1", "2"]}], "selector": {"a": "1"}}
        result = strategic(live, {"containers": [{"name": "a", "args": ["3"]}], "selector": {"b": "2"}})
        assert result == {"containers": [{"name": "a", "args": ["3"]}], "selector": {"b": "2"}}

    def test_null_removes_and_never_arrives(self) -> None:
        assert strategic({"data": {"a": "1"}}, {"data": {"a": None}, "strategy": {"x": None}}) == {
            "data": {},
            "strategy": {},
        }

    def test_a_directive_where_nothing_is_leaves_nothing(self) -> None:
        patch = {"strategy": {"$patch": "replace", "a": 1}, "containers": [{"name": "a", "$patch": "delete"}]}
        assert strategic({}, patch) == {"containers": []}

    @pytest.mark.parametrize(
        ("patch", "message"),
        [
            ({"containers": [{"image": "x"}]}, "map: map[image:x] does not contain declared merge key: name"),
            ({"containers": [{"name": "a", "$patch": "x"}]}, "unknown patch type: x in map: map[$patch:x name:a]"),
            ({"containers": [{"$patch": "merge"}]}, "merging lists cannot yet be specified in the patch"),
            ({"$setElementOrder/containers": "x"}, "expected a []interface {}, but received a string"),
            ({"$deleteFromPrimitiveList": ["x"]}, "invalid patch format of primitive list"),
        ],
    )
    def test_refusals(self, patch: dict[str, Any], message: str) -> None:
        with pytest.raises(ApiError) as caught:
            strategic({"containers": [{"name": "a"}]}, patch)
        assert caught.value.message == message
        assert caught.value.code == 400

    @given(_objects, _json.filter(lambda value: isinstance(value, dict)))
    def test_any_patch_is_applied_or_refused(self, live: Any, patch: Any) -> None:
        before = copied(live)
        try:
            once = strategic(live, patch)
            assert strategic(once, patch).keys() == once.keys()
        except ApiError as error:
            assert 400 <= error.code < 500
        assert equal(live, before)

    @given(
        st.lists(st.sampled_from("abcdef"), unique=True, max_size=5),
        st.lists(st.sampled_from("abcdef"), unique=True, max_size=5),
    )
    def test_a_keyed_list_is_merged_idempotently_and_loses_nothing(self, live: list[str], patch: list[str]) -> None:
        document = {"containers": [{"name": name, "image": "old"} for name in live]}
        change = {"containers": [{"name": name, "image": "new"} for name in patch]}
        once = strategic(document, change)
        assert strategic(once, change) == once
        assert sorted(names(once["containers"])) == sorted({*live, *patch})
        assert [name for name in names(once["containers"]) if name in patch] == patch


class TestRequest:
    def test_each_media_type_is_applied(self) -> None:
        live = {"data": {"a": "1"}}
        body = b'[{"op":"add","path":"/data/b","value":"2"}]'
        assert request.patched(request.JSON, body, live, _NODE, custom=False) == {"data": {"a": "1", "b": "2"}}
        for media_type in (request.MERGE, request.STRATEGIC):
            result = request.patched(media_type, b'{"data":{"a":null}}', live, _NODE, custom=False)
            assert result == {"data": {}}

    def test_a_custom_resource_knows_no_strategic_merge(self) -> None:
        with pytest.raises(ApiError) as caught:
            request.patched(request.STRATEGIC, b"{}", {}, _NODE, custom=True)
        assert (caught.value.code, caught.value.reason) == (415, "UnsupportedMediaType")
        assert "strategic" not in caught.value.message

    @pytest.mark.parametrize(
        ("media_type", "body", "message"),
        [
            (request.STRATEGIC, b'{"data":', "unexpected end of JSON input"),
            (request.MERGE, b'{"data":', "error decoding patch: unexpected end of JSON input"),
            (request.STRATEGIC, b"[]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
            (request.JSON, b"{]", "invalid character ']' looking for beginning of object key string"),
        ],
    )
    def test_malformed_bodies(self, media_type: str, body: bytes, message: str) -> None:
        with pytest.raises(ApiError) as caught:
            request.patched(media_type, body, {}, _NODE, custom=False)
        assert (caught.value.code, caught.value.message) == (400, message)

    def test_a_result_of_the_wrong_type_names_patch_and_types(self) -> None:
        with pytest.raises(ApiError) as caught:
            request.patched(request.STRATEGIC, b'{"data":{"a":5}}', {}, _NODE, custom=False)
        text = 'Invalid value: "map[data:map[a:5]]": cannot convert int64 to string'
        assert caught.value.status()["details"]["causes"] == [
            {"reason": "FieldValueInvalid", "message": text, "field": "patch"}
        ]
        assert (caught.value.code, caught.value.message) == (422, f' "" is invalid: patch: {text}')

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            ({"replicas": "two"}, "unrecognized type: int32"),
            ({"replicas": 1.5}, "cannot convert float64 to int32"),
            ({"replicas": 2.0, "paused": None, "unknown": [1]}, ""),
            ({"paused": "yes"}, "unrecognized type: bool"),
            ({"data": "x"}, "cannot restore map from string"),
            ({"containers": {}}, "cannot restore slice from map"),
            ({"containers": ["x"]}, "cannot restore struct from: string"),
            ({"bytes": "a*=="}, "illegal base64 data at input byte 1"),
        ],
    )
    def test_conversion_errors(self, value: Any, why: str) -> None:
        assert conversion_error(value, _NODE) == why


class TestGoJson:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "unexpected end of JSON input"),
            (b'{"a":1', "unexpected end of JSON input"),
            (b"{a:1}", "invalid character 'a' looking for beginning of object key string"),
            (b'{"a" 1}', "invalid character '1' after object key"),
            (b'{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
            (b"[1 2]", "invalid character '2' after array element"),
            (b"[1,]", "invalid character ']' looking for beginning of value"),
            (b"{} x", "invalid character 'x' after top-level value"),
            (b"trux", "invalid character 'x' in literal true (expecting 'e')"),
            (b'"\\q"', "invalid character 'q' in string escape code"),
            (b'"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
            (b'"a\nb"', "invalid character '\\n' in string literal"),
            (b"-x", "invalid character 'x' in numeric literal"),
            (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
            (b"01", "invalid character '1' after top-level value"),
        ],
    )
    def test_says_what_go_says(self, body: bytes, message: str) -> None:
        with pytest.raises(GoJsonError) as caught:
            decode(body)
        assert str(caught.value) == message

    def test_deep_nesting_is_refused_not_a_crash(self) -> None:
        with pytest.raises(GoJsonError):
            decode(b"[" * 1_000_000)
        for deep in (b"[" * 500 + b"]" * 500, b'{"a":' * 500 + b"1" + b"}" * 500):
            with pytest.raises(GoJsonError, match="exceeded max depth"):
                decode(deep)
        assert decode(b"[" + b"{}," * 500 + b"1]")

    @given(_json)
    def test_reads_json(self, value: Any) -> None:
        assert equal(decode(orjson.dumps(value)), value)

    @given(st.binary(max_size=40))
    def test_any_bytes_are_read_or_refused(self, body: bytes) -> None:
        try:
            decode(body)
        except GoJsonError as error:
            assert str(error)


def test_values_in_go_words() -> None:
    assert go_text({"b": [1, "x", None, True], "a": {"c": 1.5, "d": 1e21, "e": 2.0}}) == (
        "map[a:map[c:1.5 d:1e+21 e:2] b:[1 x <nil> true]]"
    )


def test_quantities_may_be_numbers_and_named_types_are_called_by_name() -> None:
    node = SchemaCatalog().lookup("apps", "v1", "Deployment")

    def container(**fields: Any) -> dict[str, Any]:
        return {"spec": {"template": {"spec": {"containers": [{"name": "a", **fields}]}}}}

    assert conversion_error(container(resources={"limits": {"cpu": 1}}), node) == ""
    assert conversion_error(container(imagePullPolicy=5), node) == "cannot convert int64 to v1.PullPolicy"
    assert conversion_error({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1}}}}, node) == ""
