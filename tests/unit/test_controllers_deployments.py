"""Deployments and ReplicaSets: rollouts, revisions, scaling, adoption, conditions."""

from __future__ import annotations

import re

import pytest
from controllers_world import World, condition, deployment, pod

from labrunner.sandbox.kube.api import Obj

SAFE_HASH = re.compile(r"[bcdfghjklmnpqrstvwxz2456789]{6,10}")


@pytest.fixture
def world() -> World:
    return World()


def replica_sets(world: World, name: str = "web") -> dict[str, int]:
    """Image -> size."""
    return {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["spec"]["replicas"]
        for rs in world.api.objects("apps/ReplicaSet", "default", {"app": name})
    }


def set_image(world: World, image: str, name: str = "web") -> Obj:
    return world.change(
        "apps/Deployment", name, lambda d: d["spec"]["template"]["spec"]["containers"][0].update(image=image)
    )


def test_a_deployment_becomes_available_through_a_hashed_replica_set(world: World) -> None:
    world.create(deployment(replicas=2))
    world.run()
    status = world.get("apps/Deployment", "web")["status"]
    assert (status["replicas"], status["updatedReplicas"], status["readyReplicas"], status["availableReplicas"]) == (
        2, 2, 2, 2,
    )  # fmt: skip
    assert "unavailableReplicas" not in status
    assert [c["type"] for c in status["conditions"]] == ["Available", "Progressing"]
    [rs] = world.api.objects("apps/ReplicaSet", "default")
    hash_ = rs["metadata"]["labels"]["pod-template-hash"]
    assert SAFE_HASH.fullmatch(hash_) and rs["metadata"]["name"] == f"web-{hash_}"
    assert rs["metadata"]["annotations"] == {
        "deployment.kubernetes.io/revision": "1",
        "deployment.kubernetes.io/desired-replicas": "2",
        "deployment.kubernetes.io/max-replicas": "3",
    }
    assert all(p["metadata"]["labels"]["pod-template-hash"] == hash_ for p in world.pods())
    assert world.events("ScalingReplicaSet") == [f"Scaled up replica set web-{hash_} from 0 to 2"]
    progressing = condition(world.get("apps/Deployment", "web"), "Progressing")
    assert progressing["reason"] == "NewReplicaSetAvailable"
    assert progressing["message"] == f'ReplicaSet "web-{hash_}" has successfully progressed.'


def test_a_rolling_update_never_leaves_the_bounds_of_surge_and_unavailability() -> None:
    world = World(scale=1.0)
    world.create(deployment(replicas=4))
    world.run(20)
    seen: list[tuple[int, int]] = []

    def watch(_change: object) -> None:
        ready = sum(condition(p, "Ready").get("status") == "True" for p in world.pods() if p.get("status"))
        seen.append((sum(replica_sets(world).values()), ready))

    world.api.subscribe(("Pod", "apps/ReplicaSet"), watch)
    set_image(world, "nginx:1.28")
    world.run(60)
    assert replica_sets(world) == {"nginx:1.27": 0, "nginx:1.28": 4}
    assert max(size for size, _ in seen) == 5, "25 % surge of 4 is one pod more"
    assert min(ready for _, ready in seen) >= 3, "25 % unavailable of 4 is one pod less"


def test_undo_brings_the_old_replica_set_back_as_a_new_revision(world: World) -> None:
    world.create(deployment())
    world.run()
    set_image(world, "nginx:1.28")
    world.run()
    assert world.get("apps/Deployment", "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    set_image(world, "nginx:1.27")
    world.run()
    assert world.get("apps/Deployment", "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    [old] = [
        rs
        for rs in world.api.objects("apps/ReplicaSet", "default")
        if rs["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.27"
    ]
    assert old["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    assert replica_sets(world) == {"nginx:1.27": 1, "nginx:1.28": 0}


def test_a_rollout_to_a_missing_image_keeps_the_old_pods_and_misses_its_deadline(world: World) -> None:
    world.create(deployment(replicas=2, progressDeadlineSeconds=60))
    world.run()
    set_image(world, "nginx:typo")
    world.run(30)
    status = world.get("apps/Deployment", "web")
    assert condition(status, "Available")["status"] == "True"
    assert condition(status, "Progressing")["reason"] == "ReplicaSetUpdated"
    world.run(60)
    progressing = condition(world.get("apps/Deployment", "web"), "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert progressing["message"].endswith("has timed out progressing.")
    set_image(world, "nginx:1.28")
    world.run()
    assert condition(world.get("apps/Deployment", "web"), "Progressing")["reason"] == "NewReplicaSetAvailable"


def test_a_paused_deployment_scales_but_does_not_roll(world: World) -> None:
    world.create(deployment())
    world.run()
    world.change("apps/Deployment", "web", lambda d: d["spec"].update(paused=True))
    set_image(world, "nginx:1.28")
    world.change("apps/Deployment", "web", lambda d: d["spec"].update(replicas=3))
    world.run()
    assert replica_sets(world) == {"nginx:1.27": 3}
    assert condition(world.get("apps/Deployment", "web"), "Progressing")["reason"] == "DeploymentPaused"
    world.change("apps/Deployment", "web", lambda d: d["spec"].pop("paused"))
    world.run()
    assert replica_sets(world) == {"nginx:1.27": 0, "nginx:1.28": 3}
    assert condition(world.get("apps/Deployment", "web"), "Progressing")["reason"] == "NewReplicaSetAvailable"


def test_scaling_in_mid_rollout_spreads_over_both_replica_sets(world: World) -> None:
    world.create(deployment(replicas=4, strategy={"type": "RollingUpdate",
                                                  "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}}))  # fmt: skip
    world.run()
    set_image(world, "nginx:typo")
    world.run()
    assert replica_sets(world) == {"nginx:1.27": 4, "nginx:typo": 2}
    world.change("apps/Deployment", "web", lambda d: d["spec"].update(replicas=10))
    world.run()
    assert sum(replica_sets(world).values()) == 12
    assert replica_sets(world)["nginx:typo"] > 2


def test_recreate_starts_new_pods_only_when_the_old_ones_are_gone() -> None:
    world = World(scale=1.0)
    world.create(deployment(replicas=2, strategy={"type": "Recreate"}))
    world.run(20)
    mixed: list[set[str]] = []

    def watch(_change: object) -> None:
        mixed.append({p["spec"]["containers"][0]["image"] for p in world.pods()})

    world.api.subscribe(("Pod",), watch)
    set_image(world, "nginx:1.28")
    world.run(30)
    assert replica_sets(world) == {"nginx:1.27": 0, "nginx:1.28": 2}
    assert {"nginx:1.27", "nginx:1.28"} not in mixed


def test_history_is_limited(world: World) -> None:
    world.create(deployment(revisionHistoryLimit=1))
    world.run()
    for tag in ("1.26", "1.25", "1.28"):
        set_image(world, f"nginx:{tag}")
        world.run()
    assert set(replica_sets(world)) == {"nginx:1.25", "nginx:1.28"}


def test_min_ready_seconds_delay_availability_in_real_time(world: World) -> None:
    world.create(deployment(minReadySeconds=30))
    world.run(5)
    status = world.get("apps/Deployment", "web")["status"]
    assert status["readyReplicas"] == 1 and "availableReplicas" not in status
    world.run(30)
    assert world.get("apps/Deployment", "web")["status"]["availableReplicas"] == 1


def test_a_deleted_pod_is_replaced(world: World) -> None:
    world.create(deployment())
    world.run()
    [first] = world.pods()
    world.api.delete("Pod", first["metadata"]["name"], "default")
    world.run()
    [second] = world.pods()
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert world.events("SuccessfulCreate")[-1] == f"Created pod: {second['metadata']['name']}"


def test_a_relabelled_pod_is_released_and_a_matching_orphan_adopted(world: World) -> None:
    world.create(deployment())
    world.run()
    [first] = world.pods()
    name = first["metadata"]["name"]
    world.change("Pod", name, lambda p: p["metadata"]["labels"].update(app="debug"))
    world.run()
    assert "ownerReferences" not in world.get("Pod", name)["metadata"]
    assert len(world.pods(app="web")) == 1
    world.change("Pod", name, lambda p: p["metadata"]["labels"].update(app="web"))
    world.run()
    assert len(world.pods(app="web")) == 1, "adopted, so one of two was too many"


def test_orphaned_deletion_leaves_the_replica_set_and_a_new_deployment_adopts_it(world: World) -> None:
    world.create(deployment())
    world.run()
    [rs] = world.api.objects("apps/ReplicaSet", "default")
    world.api.delete("apps/Deployment", "web", "default", propagation="Orphan")
    world.run()
    assert not world.exists("apps/Deployment", "web")
    assert "ownerReferences" not in world.get("apps/ReplicaSet", rs["metadata"]["name"])["metadata"]
    assert len(world.pods()) == 1
    world.create(deployment())
    world.run()
    [same] = world.api.objects("apps/ReplicaSet", "default")
    assert same["metadata"]["uid"] == rs["metadata"]["uid"] and same["metadata"]["ownerReferences"]


def test_a_refused_pod_shows_as_replica_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from labrunner.sandbox.kube.status import forbidden

    create = world.api.create

    def refuse(obj: Obj, *, manager: str = "") -> Obj:
        if obj["kind"] == "Pod":
            raise forbidden("pods", "", "", "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0")
        return create(obj, manager=manager)

    monkeypatch.setattr(world.api, "create", refuse)
    world.create(deployment())
    world.run(1)
    failure = condition(world.get("apps/Deployment", "web"), "ReplicaFailure")
    assert failure["reason"] == "FailedCreate" and "exceeded quota" in failure["message"]
    assert world.events("FailedCreate")[0].startswith("Error creating: pods is forbidden: exceeded quota")


def test_the_least_useful_pods_go_first_when_scaling_down(world: World) -> None:
    world.create(deployment(replicas=2))
    world.run()
    keep = sorted(p["metadata"]["name"] for p in world.pods())
    world.change("apps/Deployment", "web", lambda d: d["spec"]["template"]["spec"].update(nodeSelector={"no": "where"}))
    world.run()
    world.change("apps/Deployment", "web", lambda d: d["spec"]["template"]["spec"].pop("nodeSelector"))
    world.run()
    assert sorted(p["metadata"]["name"] for p in world.pods()) == keep


def test_controllers_go_on_after_a_restart_without_touching_what_is_well(world: World) -> None:
    world.create(deployment(replicas=2))
    world.create(pod("alone"))
    world.run()
    before = world.store.revision
    world.restart()
    world.run(60)
    assert world.store.revision == before
    set_image(world, "nginx:1.28")
    world.run()
    assert replica_sets(world) == {"nginx:1.27": 0, "nginx:1.28": 2}
