"""Namespaces, garbage collection, the runner itself, and a thousand pods."""

from __future__ import annotations

import time

import pytest
from controllers_world import World, deployment, pod

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.runner import Key, Runner
from labrunner.sandbox.kube.status import conflict


@pytest.fixture
def world() -> World:
    return World()


def config_map(name: str, owners: list[Obj] | None = None, block: bool = False) -> Obj:
    references = [
        {
            "apiVersion": o["apiVersion"],
            "kind": o["kind"],
            "name": o["metadata"]["name"],
            "uid": o["metadata"]["uid"],
            "blockOwnerDeletion": block,
        }
        for o in owners or ()
    ]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": references}}


def test_a_namespace_gets_its_service_account_and_root_certificate_and_keeps_them(world: World) -> None:
    world.namespace("shop")
    world.run()
    assert world.exists("ServiceAccount", "default", "shop")
    assert world.get("ConfigMap", "kube-root-ca.crt", "shop")["data"] == {"ca.crt": "CA"}
    assert not world.exists("ConfigMap", "istio-ca-root-cert", "shop"), "only where the mesh is"
    world.api.delete("ServiceAccount", "default", "shop")
    world.change("ConfigMap", "kube-root-ca.crt", lambda c: c.update(data={"ca.crt": "forged"}), "shop")
    world.run()
    assert world.exists("ServiceAccount", "default", "shop")
    assert world.get("ConfigMap", "kube-root-ca.crt", "shop")["data"] == {"ca.crt": "CA"}


def test_deleting_a_namespace_empties_it_first() -> None:
    world = World(scale=1.0)
    world.namespace("shop")
    body = deployment(replicas=3)
    body["metadata"]["namespace"] = "shop"
    world.create(body)
    world.run(20)
    world.api.delete("Namespace", "shop")
    world.run(0.1)
    conditions = {c["type"]: c["message"] for c in world.get("Namespace", "shop", "")["status"]["conditions"]}
    assert conditions["NamespaceContentRemaining"] == "Some resources are remaining: pods. has 3 resource instances"
    world.run(3)
    assert not world.exists("Namespace", "shop", "")
    assert world.api.objects("Pod", "shop") == [] and world.api.objects("Event", "shop") == []


def test_a_finalizer_inside_keeps_a_namespace_and_is_named(world: World) -> None:
    world.namespace("shop")
    held = config_map("held")
    held["metadata"] |= {"namespace": "shop", "finalizers": ["example.net/wait"]}
    world.create(held)
    world.run()
    world.api.delete("Namespace", "shop")
    world.run(60)
    status = world.get("Namespace", "shop", "")["status"]
    conditions = {c["type"]: c["message"] for c in status["conditions"]}
    assert status["phase"] == "Terminating"
    assert conditions["NamespaceFinalizersRemaining"] == (
        "Some content in the namespace has finalizers remaining: example.net/wait in 1 resource instances"
    )
    world.change("ConfigMap", "held", lambda c: c["metadata"].update(finalizers=[]), "shop")
    world.run()
    assert not world.exists("Namespace", "shop", "")


def test_deleting_an_owner_takes_everything_below_it(world: World) -> None:
    world.create(deployment(replicas=2))
    world.run()
    world.api.delete("apps/Deployment", "web", "default")
    world.run()
    assert world.api.objects("apps/ReplicaSet") == [] and world.pods() == []


def test_foreground_deletion_keeps_the_owner_until_its_dependents_are_gone() -> None:
    world = World(scale=1.0)
    world.create(deployment(replicas=2))
    world.run(20)
    world.api.delete("apps/Deployment", "web", "default", propagation="Foreground")
    world.run(0.1)
    assert world.get("apps/Deployment", "web")["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert len(world.pods()) == 2
    world.run(5)
    assert not world.exists("apps/Deployment", "web") and world.pods() == []


def test_a_dependent_with_another_living_owner_stays_without_the_dead_one(world: World) -> None:
    one, two = world.create(config_map("one")), world.create(config_map("two"))
    world.create(config_map("child", [one, two]))
    world.run()
    world.api.delete("ConfigMap", "one", "default")
    world.run()
    assert [r["name"] for r in world.get("ConfigMap", "child")["metadata"]["ownerReferences"]] == ["two"]
    world.api.delete("ConfigMap", "two", "default")
    world.run()
    assert not world.exists("ConfigMap", "child")


def test_an_object_whose_owner_never_was_is_collected(world: World) -> None:
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ghost", "uid": "no-such-uid"}}
    world.create(config_map("child", [ghost]))
    world.run()
    assert not world.exists("ConfigMap", "child")


def test_garbage_left_by_a_crash_is_collected_at_the_next_start(world: World) -> None:
    owner = world.create(config_map("owner"))
    world.create(config_map("child", [owner]))
    world.run()
    world.runner.stop()
    world.api.delete("ConfigMap", "owner", "default")
    world.restart()
    assert not world.exists("ConfigMap", "child")


class Stubborn:
    """Fails a few times, then works."""

    name = "stubborn"
    watches = ("ConfigMap",)

    def __init__(self, failures: int, error: Exception) -> None:
        self.left, self.error = failures, error
        self.done: list[tuple[float, Key]] = []

    def keys(self, change: Change) -> list[Key]:
        return [("", change.obj["metadata"]["name"])]

    def reconcile(self, api: Api, key: Key) -> float | None:
        self.left -= 1
        if self.left >= 0:
            raise self.error
        self.done.append((api.now(), key))
        return None


@pytest.mark.parametrize("error", [conflict("configmaps", "", "x", "modified"), RuntimeError("a bug")])
def test_a_controller_that_fails_is_tried_again_later_and_harms_no_other(world: World, error: Exception) -> None:
    bad, good = Stubborn(3, error), Stubborn(0, error)
    world.runner.stop()
    runner = Runner(world.api, [bad, good])
    world.run()
    good.done.clear()
    world.create(config_map("x"))
    world.run()
    assert ("", "x") in [key for _, key in good.done]
    world.run(60)
    assert ("", "x") in [key for _, key in bad.done]
    runner.stop()


def test_many_changes_of_one_object_are_one_look(world: World) -> None:
    counting = Stubborn(0, RuntimeError())
    runner = Runner(world.api, [counting])
    world.run()
    counting.done.clear()
    world.create(config_map("x"))
    for number in range(10):
        world.change("ConfigMap", "x", lambda c, n=number: c.update(data={"n": str(n)}))
    world.run()
    assert [key for _, key in counting.done] == [("", "x")]
    runner.stop()


def test_nothing_is_done_when_nothing_happens(world: World) -> None:
    world.create(deployment(replicas=5))
    world.create(pod())
    world.run(30)
    before = world.store.revision
    world.run(3600)
    assert world.store.revision == before


def test_a_thousand_pods(world: World) -> None:
    world.create(deployment(replicas=1000))
    began = time.process_time()
    world.clock.advance(turns=100_000)
    assert world.get("apps/Deployment", "web")["status"]["availableReplicas"] == 1000
    assert time.process_time() - began < 20, "seconds of CPU"
    assert len({p["status"]["podIP"] for p in world.pods()}) == 1000
    world.api.delete("apps/Deployment", "web", "default")
    world.clock.advance(5, turns=100_000)
    assert world.pods() == []
