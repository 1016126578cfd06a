"""Server-side apply and managedFields follow structured-merge-diff."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrunner.sandbox.kube.patch.apply import LAST_APPLIED, apply_patch
from labrunner.sandbox.kube.patch.field_set import (
    FieldSet,
    difference,
    intersection,
    is_well_formed,
    path_text,
    paths,
    union,
    without_below,
)
from labrunner.sandbox.kube.patch.field_type import field_type
from labrunner.sandbox.kube.patch.json_value import copied
from labrunner.sandbox.kube.patch.ownership import MAX_UPDATE_MANAGERS, reset_fields, track_update
from labrunner.sandbox.kube.patch.typed_value import compare, merge, to_field_set
from labrunner.sandbox.kube.protobuf.zero import zero_object
from labrunner.sandbox.kube.schema.catalog import SchemaCatalog, shipped_crds
from labrunner.sandbox.kube.schema.node import SchemaNode
from labrunner.sandbox.kube.status import ApiError

CATALOG = SchemaCatalog()
for crd in shipped_crds():
    CATALOG.add_crd(crd)
DEPLOYMENT = CATALOG.lookup("apps", "v1", "Deployment")
CONFIG_MAP = CATALOG.lookup("", "v1", "ConfigMap")
SERVICE = CATALOG.lookup("", "v1", "Service")
VIRTUAL_SERVICE = CATALOG.lookup("networking.istio.io", "v1", "VirtualService")
T1, T2, T3 = "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z", "2026-01-01T00:00:03Z"


def config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": data}


def deployment(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "n"},
        "spec": spec,
    }


def pod_template(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": list(containers)}}


def applied(
    live: dict[str, Any] | None, config: dict[str, Any], manager: str = "a", now: str = T1, force: bool = False
) -> dict[str, Any]:
    nodes = {"Deployment": DEPLOYMENT, "ConfigMap": CONFIG_MAP, "Service": SERVICE, "VirtualService": VIRTUAL_SERVICE}
    return apply_patch(
        live,
        config,
        nodes[config["kind"]],
        manager=manager,
        api_version=config["apiVersion"],
        now=now,
        force=force,
        zero=zero_object(config["apiVersion"], config["kind"]),
    )


def updated(
    old: dict[str, Any] | None, new: dict[str, Any], manager: str = "u", now: str = T2, subresource: str = ""
) -> dict[str, Any]:
    node = {"Deployment": DEPLOYMENT, "ConfigMap": CONFIG_MAP, "Service": SERVICE}[new["kind"]]
    result = copied(new)
    result["metadata"]["managedFields"] = track_update(
        old,
        new,
        node,
        manager=manager,
        api_version=new["apiVersion"],
        now=now,
        subresource=subresource,
        reset=reset_fields(has_status=True, subresource=subresource),
        zero=zero_object(new["apiVersion"], new["kind"]),
    )
    return result


def owned(obj: dict[str, Any], manager: str, subresource: str = "") -> FieldSet | None:
    for entry in obj["metadata"]["managedFields"]:
        if entry["manager"] == manager and entry.get("subresource", "") == subresource:
            fields: FieldSet = entry["fieldsV1"]
            return fields
    return None


class TestApply:
    def test_creates_and_owns_what_is_applied(self) -> None:
        made = applied(None, config_map(a="1"))
        assert made["data"] == {"a": "1"}
        assert made["metadata"]["managedFields"] == [
            {
                "manager": "a",
                "operation": "Apply",
                "apiVersion": "v1",
                "time": T1,
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:data": {"f:a": {}}},
            }
        ]

    def test_the_same_again_changes_nothing_not_even_the_time(self) -> None:
        made = applied(None, config_map(a="1"))
        assert applied(made, config_map(a="1"), now=T2) == made

    def test_what_others_own_is_a_conflict_unless_forced(self) -> None:
        made = applied(None, config_map(color="blue", size="small"), "team-a")
        with pytest.raises(ApiError) as caught:
            applied(made, config_map(color="red"), "team-b")
        assert caught.value.message == 'Apply failed with 1 conflict: conflict with "team-a": .data.color'
        status = caught.value.status()
        assert (status["code"], status["reason"]) == (409, "Conflict")
        assert status["details"]["causes"] == [
            {"reason": "FieldManagerConflict", "message": 'conflict with "team-a"', "field": ".data.color"}
        ]
        forced = applied(made, config_map(color="red"), "team-b", force=True)
        assert forced["data"] == {"color": "red", "size": "small"}
        assert owned(forced, "team-a") == {"f:data": {"f:size": {}}}
        assert owned(forced, "team-b") == {"f:data": {"f:color": {}}}

    def test_many_conflicts_are_listed_by_manager(self) -> None:
        made = applied(None, config_map(a="1", b="1"), "one")
        made = applied(made, config_map(c="1"), "two")
        with pytest.raises(ApiError) as caught:
            applied(made, config_map(a="2", b="2", c="2"), "three")
        assert caught.value.message == (
            'Apply failed with 3 conflicts: conflicts with "one":\n- .data.a\n- .data.b\n'
            'conflicts with "two":\n- .data.c'
        )
        assert len(caught.value.causes) == 3

    def test_the_same_value_is_shared_and_stays_until_the_last_owner_drops_it(self) -> None:
        obj = applied(None, config_map(a="1", b="1"), "m1")
        obj = applied(obj, config_map(b="1", c="1"), "m2")
        obj = applied(obj, config_map(a="1"), "m1")
        assert obj["data"] == {"a": "1", "b": "1", "c": "1"}
        obj = applied(obj, config_map(c="1"), "m2")
        assert obj["data"] == {"a": "1", "c": "1"}

    def test_what_an_updater_set_since_stays(self) -> None:
        obj = applied(None, config_map(a="1", b="1"))
        changed = updated(obj, {**obj, "data": {"a": "1", "b": "9"}})
        obj = applied(changed, config_map(a="1"), now=T3)
        assert obj["data"] == {"a": "1", "b": "9"}

    def test_a_conflict_with_an_update_names_subresource_and_version(self) -> None:
        obj = applied(None, deployment(replicas=1))
        scaled = updated(obj, {**obj, "spec": {"replicas": 3}}, "kubectl", subresource="scale")
        with pytest.raises(ApiError) as caught:
            applied(scaled, deployment(replicas=2))
        assert caught.value.message == (
            'Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1: '
            ".spec.replicas"
        )

    def test_lists_of_maps_merge_by_key_in_the_order_applied(self) -> None:
        obj = applied(None, deployment(template=pod_template({"name": "a", "image": "1"}, {"name": "b", "image": "1"})))
        spec = copied(obj["spec"])
        spec["template"]["spec"]["containers"].insert(0, {"name": "injected", "image": "x"})
        obj = updated(obj, {**obj, "spec": spec}, "injector")
        config = deployment(template=pod_template({"name": "b", "image": "2"}, {"name": "c", "image": "1"}))
        obj = applied(obj, config)
        containers = obj["spec"]["template"]["spec"]["containers"]
        assert [c["name"] for c in containers] == ["injected", "b", "c"]
        assert containers[1]["image"] == "2"
        fields = owned(obj, "a")
        assert fields == {
            "f:spec": {
                "f:template": {
                    "f:spec": {
                        "f:containers": {
                            'k:{"name":"b"}': {".": {}, "f:image": {}, "f:name": {}},
                            'k:{"name":"c"}': {".": {}, "f:image": {}, "f:name": {}},
                        }
                    }
                }
            }
        }

    def test_keys_may_be_left_to_their_default(self) -> None:
        config = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s", "namespace": "n"},
            "spec": {"ports": [{"port": 80}, {"port": 80, "protocol": "UDP"}]},
        }
        fields = owned(applied(None, config), "a")
        assert fields is not None
        assert set(fields["f:spec"]["f:ports"]) == {
            'k:{"port":80,"protocol":"TCP"}',
            'k:{"port":80,"protocol":"UDP"}',
        }

    def test_atomic_lists_are_owned_and_replaced_as_one(self) -> None:
        config = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "v", "namespace": "n"},
            "spec": {"hosts": ["a"], "http": [{"route": [{"destination": {"host": "a"}, "weight": 90}]}]},
        }
        made = applied(None, config, "pilot-lab")
        assert owned(made, "pilot-lab") == {"f:spec": {"f:hosts": {}, "f:http": {}}}
        other = copied(config)
        other["spec"]["http"][0]["route"][0]["weight"] = 10
        with pytest.raises(ApiError, match=r'conflict with "pilot-lab": \.spec\.http$'):
            applied(made, other, "other")

    def test_untyped_objects_merge_by_field(self) -> None:
        made = apply_patch(None, {"spec": {"a": 1, "l": [1]}}, None, manager="x", api_version="v1", now=T1)
        made = apply_patch(made, {"spec": {"b": 2}}, None, manager="y", api_version="v1", now=T2)
        assert made["spec"] == {"a": 1, "l": [1], "b": 2}

    def test_what_was_there_before_the_first_apply_has_an_owner(self) -> None:
        live = config_map(a="1", b="2")
        with pytest.raises(ApiError, match=re.escape('conflict with "before-first-apply" using v1: .data.a')):
            applied(live, config_map(a="9"))
        obj = applied(live, config_map(a="1"))
        assert owned(obj, "before-first-apply") == {"f:data": {".": {}, "f:a": {}, "f:b": {}}}

    def test_status_is_not_owned_through_the_main_resource(self) -> None:
        config = {**deployment(replicas=1), "status": {"replicas": 1}}
        reset = reset_fields(has_status=True)
        made = apply_patch(None, config, DEPLOYMENT, manager="a", api_version="apps/v1", now=T1, reset=reset)
        assert owned(made, "a") == {"f:spec": {"f:replicas": {}}}

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ({"replicas": "two"}, ".spec.replicas: expected numeric (int or float), got string"),
            ({"nonsense": 1}, ".spec.nonsense: field not declared in schema"),
            (
                {"template": pod_template({"image": "x"})},
                ".spec.template.spec.containers: element 0: associative list with keys has an element that omits key "
                'field "name" (and doesn\'t have default value)',
            ),
            (
                {"template": pod_template({"name": "x"}, {"name": "x"})},
                '.spec.template.spec.containers: duplicate entries for key [name="x"]',
            ),
        ],
    )
    def test_what_the_schema_does_not_allow_is_refused(self, spec: dict[str, Any], message: str) -> None:
        with pytest.raises(ApiError) as caught:
            applied(None, deployment(**spec))
        assert caught.value.message == (
            f"failed to create typed patch object (n/d; apps/v1, Kind=Deployment): {message}"
        )
        assert caught.value.code == 400

    def test_conflicting_paths_name_keys(self) -> None:
        made = applied(None, deployment(template=pod_template({"name": "a", "image": "1"})), "one")
        with pytest.raises(ApiError, match=r'\.spec\.template\.spec\.containers\[name="a"\]\.image$'):
            applied(made, deployment(template=pod_template({"name": "a", "image": "2"})), "two")


class TestClientSideMigration:
    def live(self) -> dict[str, Any]:
        config = config_map(a="1", b="2")
        obj = copied(config)
        obj["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(config)}
        return updated(None, obj, "kubectl-client-side-apply", now=T1)

    def test_kubectl_takes_over_what_it_applied_itself(self) -> None:
        obj = applied(self.live(), config_map(a="9"), "kubectl", now=T2)
        assert obj["data"]["a"] == "9"
        assert json.loads(obj["metadata"]["annotations"][LAST_APPLIED])["data"] == {"a": "9"}

    def test_others_do_not(self) -> None:
        with pytest.raises(ApiError, match=re.escape('conflict with "kubectl-client-side-apply" using v1: .data.a')):
            applied(self.live(), config_map(a="9"), "someone")

    def test_nor_does_kubectl_what_changed_since(self) -> None:
        live = self.live()
        live = updated(live, {**live, "data": {"a": "5", "b": "2"}}, "editor")
        with pytest.raises(ApiError, match=re.escape('conflict with "editor" using v1: .data.a')):
            applied(live, config_map(a="9"), "kubectl")

    def test_managed_fields_may_be_rewritten_by_a_patch(self) -> None:
        live = self.live()
        entry = {**live["metadata"]["managedFields"][0], "manager": "kubectl", "operation": "Apply"}
        new = copied(live)
        new["metadata"]["managedFields"] = [entry]
        assert updated(live, new, "kubectl")["metadata"]["managedFields"] == [entry]


class TestTrackUpdate:
    def test_a_created_deployment_is_owned_as_on_a_server(self) -> None:
        spec = {
            "progressDeadlineSeconds": 600,
            "replicas": 1,
            "selector": {"matchLabels": {"app": "x"}},
            "strategy": {"rollingUpdate": {"maxSurge": "25%"}, "type": "RollingUpdate"},
            "template": {
                "metadata": {"labels": {"app": "x"}},
                "spec": {
                    "containers": [{"image": "nginx", "name": "n", "resources": {}}],
                    "restartPolicy": "Always",
                    "securityContext": {},
                },
            },
        }
        obj = deployment(**spec)
        obj["metadata"] |= {"labels": {"app": "x"}, "uid": "u", "generation": 1, "creationTimestamp": T1}
        made = updated(None, obj, "kubectl-create")
        assert owned(made, "kubectl-create") == {
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:progressDeadlineSeconds": {},
                "f:replicas": {},
                "f:selector": {},
                "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
                "f:template": {
                    "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                    "f:spec": {
                        "f:containers": {'k:{"name":"n"}': {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}},
                        "f:restartPolicy": {},
                        "f:securityContext": {},
                    },
                },
            },
        }

    def test_the_last_to_change_a_field_owns_it(self) -> None:
        made = updated(None, config_map(a="1", b="1"), "one", now=T1)
        changed = updated(made, {**made, "data": {"a": "1", "b": "2", "c": "3"}}, "two", now=T2)
        assert owned(changed, "one") == {"f:data": {".": {}, "f:a": {}}}
        assert owned(changed, "two") == {"f:data": {"f:b": {}, "f:c": {}}}

    def test_what_is_removed_is_nobodys(self) -> None:
        made = updated(None, config_map(a="1", b="1"), "one", now=T1)
        changed = updated(made, {**made, "data": {"a": "1"}}, "two", now=T2)
        assert [entry["manager"] for entry in changed["metadata"]["managedFields"]] == ["one"]
        assert owned(changed, "one") == {"f:data": {".": {}, "f:a": {}}}

    def test_nothing_changed_keeps_times(self) -> None:
        made = updated(None, config_map(a="1"), "one", now=T1)
        assert updated(made, made, "one", now=T2) == made

    def test_status_has_an_entry_of_its_own(self) -> None:
        made = updated(None, deployment(replicas=1), "one", now=T1)
        status = {**made, "status": {"replicas": 1}}
        changed = updated(made, status, "controller", subresource="status")
        entry = next(e for e in changed["metadata"]["managedFields"] if e["manager"] == "controller")
        assert (entry["subresource"], entry["fieldsV1"]) == ("status", {"f:status": {"f:replicas": {}}})

    def test_objects_that_track_nothing_stay_so(self) -> None:
        assert updated(config_map(a="1"), config_map(a="2"))["metadata"]["managedFields"] == []

    def test_one_empty_entry_resets(self) -> None:
        made = updated(None, config_map(a="1"), "one", now=T1)
        reset = copied(made)
        reset["metadata"]["managedFields"] = [{}]
        assert updated(made, reset, "two")["metadata"]["managedFields"] == []

    def test_nonsense_from_clients_leaves_what_was(self) -> None:
        made = updated(None, config_map(a="1"), "one", now=T1)
        for nonsense in ("x", [1], [{"operation": "Fly"}], [{"operation": "Apply", "fieldsV1": {"bad": {}}}], {}):
            broken = copied(made)
            broken["metadata"]["managedFields"] = nonsense
            assert updated(made, broken)["metadata"]["managedFields"] == made["metadata"]["managedFields"]

    def test_old_updaters_are_put_together(self) -> None:
        obj = updated(None, config_map(k="0"), "m0", now=T1)
        for number in range(1, MAX_UPDATE_MANAGERS + 5):
            data = {**obj["data"], f"k{number}": "1"}
            obj = updated(obj, {**obj, "data": data}, f"m{number}", now=f"2026-01-01T00:01:{number:02}Z")
        managers = [entry["manager"] for entry in obj["metadata"]["managedFields"]]
        assert len(managers) == MAX_UPDATE_MANAGERS
        assert managers[0] == "ancient-changes"
        everything: FieldSet = {}
        for entry in obj["metadata"]["managedFields"]:
            everything = union(everything, entry["fieldsV1"])
        assert {element[2:] for element in everything["f:data"] if element != "."} == set(obj["data"])


# Sets, against a plain model of sets of paths.

_trees = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(st.sampled_from([".", "f:a", "f:b", 'k:{"n":1}', 'v:"x"']), inner, max_size=4),
    max_leaves=10,
)


def normal(tree: FieldSet, root: bool = True) -> FieldSet:
    """As sets are written: no `.` at the root or alone, nothing below `.`."""
    result = {element: normal(child, False) for element, child in tree.items() if element != "."}
    return {".": {}, **result} if "." in tree and result and not root else result


sets = _trees.map(normal)


def members(tree: FieldSet) -> set[tuple[str, ...]]:
    return set(paths(tree))


class TestFieldSets:
    @given(sets, sets)
    def test_algebra(self, a: FieldSet, b: FieldSet) -> None:
        assert members(union(a, b)) == members(a) | members(b)
        assert members(difference(a, b)) == members(a) - members(b)
        assert members(intersection(a, b)) == members(a) & members(b)
        below = {path for path in members(a) if not any(path[: len(other)] == other for other in members(b))}
        assert members(without_below(a, b)) == below
        for result in (union(a, b), difference(a, b), intersection(a, b), without_below(a, b)):
            assert result == normal(result)
            assert is_well_formed(result)

    def test_paths_are_said_as_on_a_server(self) -> None:
        path = ("f:spec", 'k:{"port":80,"protocol":"TCP"}', 'v:"x"', "i:3", "f:a.b/c")
        assert path_text(path) == '.spec[port=80,protocol="TCP"][="x"][3].a.b/c'


_NODE = SchemaNode(
    {
        "type": "object",
        "properties": {
            "data": {"type": "object", "additionalProperties": {"type": "string"}},
            "list": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "v": {"type": "string"}},
                },
            },
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "atomic": {"type": "array", "items": {"type": "string"}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    },
    {},
)
_letters = st.sampled_from("abc")
_configs = st.fixed_dictionaries(
    {},
    optional={
        "data": st.dictionaries(_letters, _letters, min_size=1, max_size=3),
        "list": st.lists(_letters, unique=True, min_size=1, max_size=3).flatmap(
            lambda names: st.tuples(*(_letters.map(lambda v, n=n: {"name": n, "v": v}) for n in names)).map(list)  # type: ignore[misc]
        ),
        "set": st.lists(_letters, unique=True, min_size=1, max_size=3),
        "atomic": st.lists(_letters, min_size=1, max_size=3),
        "free": st.dictionaries(_letters, st.lists(_letters, max_size=2) | _letters, min_size=1, max_size=2),
    },
)


def one(live: Any, config: Any, manager: str, now: str = T1) -> dict[str, Any]:
    return apply_patch(live, config, _NODE, manager=manager, api_version="v1", now=now, force=True)


class TestProperties:
    @given(_configs, _configs)
    def test_apply_is_idempotent(self, first: Any, second: Any) -> None:
        obj = one(one(None, first, "x"), second, "y")
        assert one(obj, second, "y", T2) == obj

    @given(_configs, _configs)
    def test_the_only_applier_has_exactly_what_it_applied(self, first: Any, second: Any) -> None:
        obj = one(one(None, first, "x"), second, "x")
        obj.pop("metadata")
        assert obj == second

    @given(_configs, _configs, _configs)
    def test_what_is_applied_is_there_whatever_others_do(self, first: Any, second: Any, third: Any) -> None:
        obj = one(one(one(None, first, "x"), second, "y"), third, "x")
        type_ = field_type(_NODE)
        assert merge(type_, obj, third) == obj
        fields = to_field_set(type_, third)
        assert owned(obj, "x") == fields or not fields

    @given(_configs, _configs)
    def test_a_comparison_names_every_difference_once(self, old: Any, new: Any) -> None:
        type_ = field_type(_NODE)
        changes = compare(type_, old, new)
        parts = [members(part) for part in (changes.removed, changes.modified, changes.added)]
        assert sum(map(len, parts)) == len(set().union(*parts))
        assert any(parts) or {k: sorted(v) if k in ("set",) else v for k, v in old.items()}.keys() == new.keys()
        reverse = compare(type_, new, old)
        assert (members(reverse.added), members(reverse.removed)) == (parts[0], parts[2])
