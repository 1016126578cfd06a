"""Writes through the registry: identity, conflicts, generation, deletion, namespaces, dry run."""

from __future__ import annotations

from typing import Any

import pytest

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.kinds import Kind, KindTable
from labrunner.sandbox.kube.registry import Registry, copied
from labrunner.sandbox.kube.request import DeleteOptions, Options
from labrunner.sandbox.kube.schemas import NoSchemas
from labrunner.sandbox.kube.status import ApiError
from labrunner.sandbox.kube.store import Store

NAMESPACE = Kind("", "Namespace", "namespaces", ("v1",), namespaced=False, subresources=("status",))
CONFIG = Kind("", "ConfigMap", "configmaps", ("v1",))
POD = Kind("", "Pod", "pods", ("v1",), subresources=("status",))
WIDGET = Kind("example.org", "Widget", "widgets", ("v1",), subresources=("status",), custom=True)


class StoppedClock:
    scale = 1.0

    def now(self) -> float:
        return 1_800_000_000.0


@pytest.fixture
def registry() -> Registry:
    kinds = KindTable([NAMESPACE, CONFIG, POD, WIDGET])
    made = Registry(Store(), kinds, NoSchemas(), StoppedClock())  # type: ignore[arg-type]
    made.create(NAMESPACE, {"metadata": {"name": "default"}}, "", Options())
    return made


def create(registry: Registry, kind: Kind, name: str, **fields: Any) -> Obj:
    return registry.create(kind, {"metadata": {"name": name}, **fields}, "default", Options())


def change(registry: Registry, kind: Kind, name: str, edit: Any, **how: Any) -> Obj:
    def edited(old: Obj | None) -> Obj:
        new = copied(old or {})
        edit(new)
        return new

    return registry.update(kind, "default", name, edited, Options(), **how)[0]


def refused(code: int, reason: str) -> Any:
    class Refusal:
        def __enter__(self) -> Refusal:
            self.message = ""
            return self

        def __exit__(self, type_: Any, error: Any, trace: Any) -> bool:
            assert isinstance(error, ApiError), error
            assert (error.code, error.reason) == (code, reason), str(error)
            self.message = str(error)
            return True

    return Refusal()


def test_a_new_object_gets_its_identity(registry: Registry) -> None:
    made = create(registry, CONFIG, "a", data={"k": "v"})
    meta = made["metadata"]
    assert meta["namespace"] == "default" and meta["uid"] and meta["resourceVersion"]
    assert meta["creationTimestamp"].endswith("Z")
    with refused(409, "AlreadyExists") as refusal:
        create(registry, CONFIG, "a")
    assert refusal.message == 'configmaps "a" already exists'


def test_a_generated_name_ends_in_five_safe_characters(registry: Registry) -> None:
    made = registry.create(CONFIG, {"metadata": {"generateName": "web-"}}, "default", Options())
    name = made["metadata"]["name"]
    assert name.startswith("web-") and len(name) == 9 and not set(name[4:]) & set("aeiou013")


def test_no_namespace_and_a_terminating_one(registry: Registry) -> None:
    with refused(404, "NotFound") as missing:
        registry.create(CONFIG, {"metadata": {"name": "a"}}, "nowhere", Options())
    assert missing.message == 'namespaces "nowhere" not found'
    registry.create(NAMESPACE, {"metadata": {"name": "going"}}, "", Options())
    registry.delete(NAMESPACE, "", "going", DeleteOptions(), Options())
    with refused(403, "Forbidden") as ending:
        registry.create(CONFIG, {"metadata": {"name": "a"}}, "going", Options())
    assert ending.message == (
        'configmaps "a" is forbidden: unable to create new content in namespace going because it is being terminated'
    )
    with refused(409, "Conflict"):
        registry.delete(NAMESPACE, "", "going", DeleteOptions(), Options())
    registry.finalize_namespace("going", {"spec": {"finalizers": []}}, Options())
    assert registry.store.get("Namespace", "", "going") is None


@pytest.mark.parametrize("name", ["default", "kube-system"])
def test_system_namespaces_stay(registry: Registry, name: str) -> None:
    if name != "default":
        registry.create(NAMESPACE, {"metadata": {"name": name}}, "", Options())
    with refused(403, "Forbidden") as refusal:
        registry.delete(NAMESPACE, "", name, DeleteOptions(), Options())
    assert refusal.message == f'namespaces "{name}" is forbidden: this namespace may not be deleted'


def test_an_update_must_not_be_from_an_older_version(registry: Registry) -> None:
    made = create(registry, CONFIG, "a")
    change(registry, CONFIG, "a", lambda new: new.update(data={"k": "v"}))
    with refused(409, "Conflict") as refusal:
        registry.update(CONFIG, "default", "a", lambda old: copied(made), Options())
    assert refusal.message == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes '
        "to the latest version and try again"
    )
    with refused(422, "Invalid") as unconditional:
        create(registry, WIDGET, "w")
        change(registry, WIDGET, "w", lambda new: new["metadata"].pop("resourceVersion"))
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in unconditional.message


def test_an_update_that_changes_nothing_is_not_written(registry: Registry) -> None:
    made = create(registry, CONFIG, "a", data={"k": "v"})
    again = change(registry, CONFIG, "a", lambda new: new["metadata"].update(labels={}))
    assert again is made and registry.store.revision == int(made["metadata"]["resourceVersion"])


def test_name_and_namespace_must_agree_with_the_url(registry: Registry) -> None:
    create(registry, CONFIG, "a")
    with refused(400, "BadRequest") as name:
        change(registry, CONFIG, "a", lambda new: new["metadata"].update(name="b"))
    assert name.message == "the name of the object (b) does not match the name on the URL (a)"
    with refused(400, "BadRequest") as namespace:
        change(registry, CONFIG, "a", lambda new: new["metadata"].update(namespace="b"))
    assert namespace.message == "the namespace of the provided object does not match the namespace sent on the request"


def test_generation_counts_changes_of_the_spec_only(registry: Registry) -> None:
    create(registry, WIDGET, "w", spec={"size": 1}, status={"done": True})
    made = registry.read(WIDGET, "default", "w")
    assert made["metadata"]["generation"] == 1 and "status" not in made
    status = change(
        registry, WIDGET, "w", lambda new: new.update(status={"x": 1}, spec={"size": 9}), subresource="status"
    )
    assert status["status"] == {"x": 1} and status["spec"] == {"size": 1} and status["metadata"]["generation"] == 1
    grown = change(registry, WIDGET, "w", lambda new: new.update(spec={"size": 2}, status={"x": 2}))
    assert grown["metadata"]["generation"] == 2 and grown["status"] == {"x": 1}


def test_finalizers_hold_an_object_until_they_are_gone(registry: Registry) -> None:
    create(registry, WIDGET, "w")
    change(registry, WIDGET, "w", lambda new: new["metadata"].update(finalizers=["example.org/x"]))
    held, gone = registry.delete(WIDGET, "default", "w", DeleteOptions(), Options())
    assert not gone and held["metadata"]["deletionTimestamp"]
    change(registry, WIDGET, "w", lambda new: new["metadata"].update(finalizers=[]))
    assert registry.store.get(WIDGET.id, "default", "w") is None


@pytest.mark.parametrize(("policy", "finalizer"), [("Orphan", "orphan"), ("Foreground", "foregroundDeletion")])
def test_propagation_waits_for_the_garbage_collector(registry: Registry, policy: str, finalizer: str) -> None:
    create(registry, WIDGET, "w")
    held, gone = registry.delete(WIDGET, "default", "w", DeleteOptions(propagation=policy), Options())
    assert not gone and held["metadata"]["finalizers"] == [finalizer]


def test_a_running_pod_is_given_its_grace_and_a_pending_one_is_not(registry: Registry) -> None:
    create(registry, POD, "pending", spec={})
    assert registry.delete(POD, "default", "pending", DeleteOptions(), Options())[1]
    create(registry, POD, "running", spec={"nodeName": "n", "terminationGracePeriodSeconds": 20})
    held, gone = registry.delete(POD, "default", "running", DeleteOptions(), Options())
    assert not gone and held["metadata"]["deletionGracePeriodSeconds"] == 20
    longer, gone = registry.delete(POD, "default", "running", DeleteOptions(grace=60), Options())
    assert not gone and longer["metadata"]["deletionGracePeriodSeconds"] == 20, "only a shorter one counts"
    shorter, gone = registry.delete(POD, "default", "running", DeleteOptions(grace=5), Options())
    assert not gone and shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    assert registry.delete(POD, "default", "running", DeleteOptions(grace=0), Options())[1]


def test_preconditions_of_a_deletion(registry: Registry) -> None:
    made = create(registry, CONFIG, "a")
    for how in (DeleteOptions(uid="other"), DeleteOptions(resource_version="999")):
        with refused(409, "Conflict"):
            registry.delete(CONFIG, "default", "a", how, Options())
    assert registry.delete(CONFIG, "default", "a", DeleteOptions(uid=made["metadata"]["uid"]), Options())[1]


def test_a_dry_run_answers_as_if_and_changes_nothing(registry: Registry) -> None:
    before = registry.store.revision
    dry = Options(dry_run=True)
    made = registry.create(CONFIG, {"metadata": {"name": "a"}}, "default", dry)
    assert made["metadata"]["uid"] and registry.store.get("ConfigMap", "default", "a") is None
    assert registry.store.revision == before
    create(registry, CONFIG, "b")
    assert registry.delete(CONFIG, "default", "b", DeleteOptions(), dry)[1]
    assert registry.store.get("ConfigMap", "default", "b") is not None
