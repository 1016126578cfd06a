"""StatefulSets, DaemonSets, Jobs, CronJobs, autoscalers, budgets and volumes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from controllers_world import World, condition, deployment, pod

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.controllers import schedule
from labrunner.sandbox.kube.controllers.bootstrap import install
from labrunner.sandbox.kube.controllers.job_pods import format_indexes, parse_indexes


@pytest.fixture
def world() -> World:
    return World()


def stateful_set(name: str = "db", replicas: int = 3, image: str = "postgres:17", **spec: Any) -> Obj:
    body = deployment(name, replicas, image)
    body["kind"] = "StatefulSet"
    body["spec"] |= {"serviceName": name, **spec}
    return body


def job(name: str = "work", command: tuple[str, ...] = ("true",), policy: str = "Never", **spec: Any) -> Obj:
    container = {"name": "c", "image": "busybox:1.37", "command": list(command)}
    template = {"spec": {"restartPolicy": policy, "containers": [container]}}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec},
    }  # fmt: skip


def names(world: World) -> list[str]:
    return sorted(p["metadata"]["name"] for p in world.pods())


def test_a_stateful_set_starts_its_pods_one_after_the_other() -> None:
    world = World(scale=1.0)
    order: list[str] = []

    def watch(_change: object) -> None:
        for found in world.pods():
            ready = condition(found, "Ready").get("status") == "True" if found.get("status") else False
            entry = f"{found['metadata']['name']} {'ready' if ready else 'made'}"
            if entry not in order:
                order.append(entry)

    world.api.subscribe(("Pod",), watch)
    world.create(stateful_set())
    world.run(60)
    assert order == ["db-0 made", "db-0 ready", "db-1 made", "db-1 ready", "db-2 made", "db-2 ready"]
    assert world.events("SuccessfulCreate")[0] == "create Pod db-0 in StatefulSet db successful"
    first = world.get("Pod", "db-0")
    assert first["spec"]["hostname"] == "db-0" and first["spec"]["subdomain"] == "db"
    assert first["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "0"


def test_a_stateful_set_rolls_from_the_last_pod_and_keeps_a_partition(world: World) -> None:
    world.create(stateful_set())
    world.run()
    old = world.get("apps/StatefulSet", "db")["status"]["currentRevision"]

    def update(owner: Obj) -> None:
        owner["spec"]["template"]["spec"]["containers"][0]["image"] = "postgres:18"
        owner["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}

    world.change("apps/StatefulSet", "db", update)
    world.run()
    images = {p["metadata"]["name"]: p["spec"]["containers"][0]["image"] for p in world.pods()}
    assert images == {"db-0": "postgres:17", "db-1": "postgres:17", "db-2": "postgres:18"}
    status = world.get("apps/StatefulSet", "db")["status"]
    assert status["currentRevision"] == old != status["updateRevision"] and status["updatedReplicas"] == 1
    world.api.delete("Pod", "db-0", "default")
    world.run()
    assert world.get("Pod", "db-0")["spec"]["containers"][0]["image"] == "postgres:17", "below the partition"
    world.change("apps/StatefulSet", "db", lambda s: s["spec"]["updateStrategy"]["rollingUpdate"].update(partition=0))
    world.run()
    status = world.get("apps/StatefulSet", "db")["status"]
    assert status["currentRevision"] == status["updateRevision"] and status["updatedReplicas"] == 3


def test_on_delete_waits_for_the_user(world: World) -> None:
    world.create(stateful_set(updateStrategy={"type": "OnDelete"}))
    world.run()
    world.change(
        "apps/StatefulSet", "db", lambda s: s["spec"]["template"]["spec"]["containers"][0].update(image="postgres:18")
    )
    world.run()
    assert {p["spec"]["containers"][0]["image"] for p in world.pods()} == {"postgres:17"}
    world.api.delete("Pod", "db-1", "default")
    world.run()
    assert world.get("Pod", "db-1")["spec"]["containers"][0]["image"] == "postgres:18"


def test_scaling_a_stateful_set_down_takes_the_last_and_keeps_its_claim(world: World) -> None:
    install(world.api, world.settings)
    template = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    world.create(stateful_set(replicas=2, volumeClaimTemplates=[template]))
    world.run()
    claim = world.get("PersistentVolumeClaim", "data-db-1")
    assert claim["status"]["phase"] == "Bound" and claim["spec"]["storageClassName"] == "default"
    volume = world.get("PersistentVolume", claim["spec"]["volumeName"], "")
    assert volume["status"]["phase"] == "Bound"
    world.change("apps/StatefulSet", "db", lambda s: s["spec"].update(replicas=1))
    world.run()
    assert names(world) == ["db-0"] and world.exists("PersistentVolumeClaim", "data-db-1")
    world.api.delete("PersistentVolumeClaim", "data-db-1", "default")
    world.run()
    assert not world.exists("PersistentVolume", claim["spec"]["volumeName"], ""), "reclaim policy Delete"


def test_a_claim_of_an_unknown_class_keeps_its_pod_pending(world: World) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}
    world.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": spec})
    world.create(pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]))
    world.create(pod("q", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}]))
    world.run()
    assert world.events("ProvisioningFailed") == ['storageclass.storage.k8s.io "fast" not found']
    failed = world.events("FailedScheduling")
    assert any("pod has unbound immediate PersistentVolumeClaims" in m for m in failed)
    assert any('persistentvolumeclaim "none" not found' in m for m in failed)


def test_a_static_volume_is_bound_and_released(world: World) -> None:
    volume = {
        "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "manual",
        "hostPath": {"path": "/data"}, "persistentVolumeReclaimPolicy": "Retain",
    }  # fmt: skip
    world.create({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": volume})
    world.run()
    assert world.get("PersistentVolume", "pv", "")["status"]["phase"] == "Available"
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "manual",
        "resources": {"requests": {"storage": "3Gi"}},
    }
    world.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": spec})
    world.run()
    assert world.get("PersistentVolumeClaim", "c")["status"] == {
        "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "5Gi"},
    }  # fmt: skip
    world.api.delete("PersistentVolumeClaim", "c", "default")
    world.run()
    assert world.get("PersistentVolume", "pv", "")["status"]["phase"] == "Released"


def test_a_daemon_set_has_a_pod_on_each_node_that_will_have_it(world: World) -> None:
    body = deployment("agent", image="busybox:1.37")
    body["kind"] = "DaemonSet"
    del body["spec"]["replicas"]
    body["spec"]["template"]["spec"]["containers"][0]["command"] = ["sleep", "infinity"]
    world.create(body)
    world.run()
    status = world.get("apps/DaemonSet", "agent")["status"]
    assert (status["desiredNumberScheduled"], status["numberReady"]) == (3, 3)
    assert len({p["spec"]["nodeName"] for p in world.pods()}) == 3
    node = world.api.objects("Node")[0]["metadata"]["name"]
    taint = {"key": "gpu", "effect": "NoSchedule"}
    world.change("Node", node, lambda n: n["spec"].update(taints=[taint]), "")
    world.run(5)
    assert world.get("apps/DaemonSet", "agent")["status"]["desiredNumberScheduled"] == 2
    assert node not in {p["spec"]["nodeName"] for p in world.pods()}
    world.change(
        "apps/DaemonSet", "agent", lambda d: d["spec"]["template"]["spec"]["containers"][0].update(image="busybox:1.36")
    )
    world.run(20)
    assert {p["spec"]["containers"][0]["image"] for p in world.pods()} == {"busybox:1.36"}
    assert world.get("apps/DaemonSet", "agent")["status"]["updatedNumberScheduled"] == 2


def test_a_job_runs_to_its_completions(world: World) -> None:
    world.create(job(completions=5, parallelism=2, command=("sh", "-c", "sleep 10")))
    world.run(5)
    assert world.get("batch/Job", "work")["status"]["active"] == 2
    world.run(40)
    status = world.get("batch/Job", "work")["status"]
    assert status["succeeded"] == 5 and status["completionTime"]
    assert [c["type"] for c in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert world.events("Completed") == ["Job completed"]
    assert len(names(world)) == 5, "finished pods stay"
    assert all("finalizers" not in p["metadata"] for p in world.pods())
    world.api.delete("batch/Job", "work", "default")
    world.run()
    assert names(world) == []


def test_a_job_fails_after_its_back_off_limit(world: World) -> None:
    world.create(job(command=("false",), backoffLimit=1))
    world.run(5)
    assert len(names(world)) == 1, "the second try waits 10 s"
    world.run(20)
    found = world.get("batch/Job", "work")
    assert found["status"]["failed"] == 2
    assert condition(found, "Failed")["reason"] == "BackoffLimitExceeded"
    assert world.events("BackoffLimitExceeded") == ["Job has reached the specified backoff limit"]


def test_a_jobs_deadline_ends_it(world: World) -> None:
    world.create(job(command=("sleep", "infinity"), activeDeadlineSeconds=30))
    world.run(60)
    assert condition(world.get("batch/Job", "work"), "Failed")["reason"] == "DeadlineExceeded"
    assert [p for p in world.pods() if p["status"]["phase"] == "Running"] == []


def test_an_indexed_job_gives_each_pod_its_number(world: World) -> None:
    world.create(job(completions=3, parallelism=3, completionMode="Indexed"))
    world.run()
    assert world.get("batch/Job", "work")["status"]["completedIndexes"] == "0-2"
    hosts = sorted(p["spec"]["hostname"] for p in world.pods())
    assert hosts == ["work-0", "work-1", "work-2"]


def test_a_suspended_job_has_no_pods_until_it_is_resumed(world: World) -> None:
    world.create(job(suspend=True))
    world.run()
    assert names(world) == [] and condition(world.get("batch/Job", "work"), "Suspended")["status"] == "True"
    world.change("batch/Job", "work", lambda j: j["spec"].update(suspend=False))
    world.run()
    assert condition(world.get("batch/Job", "work"), "Complete")["status"] == "True"


def test_a_finished_job_with_a_time_to_live_goes_with_its_pods(world: World) -> None:
    world.create(job(ttlSecondsAfterFinished=60))
    world.run(30)
    assert world.exists("batch/Job", "work")
    world.run(60)
    assert not world.exists("batch/Job", "work") and names(world) == []


def cron(**spec: Any) -> Obj:
    template = {"spec": job(command=("sh", "-c", "sleep 90"))["spec"]}
    return {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"},
        "spec": {"schedule": "* * * * *", "jobTemplate": template, **spec},
    }  # fmt: skip


def test_a_cron_job_starts_jobs_on_time_and_keeps_the_last_three(world: World) -> None:
    world.create(cron())
    world.run(600)
    status = world.get("batch/CronJob", "tick")["status"]
    assert status["lastScheduleTime"] == "2027-01-15T08:10:00Z" and len(status["active"]) == 2
    done = [j for j in world.api.objects("batch/Job") if condition(j, "Complete")]
    assert len(done) == 3
    assert done[0]["metadata"]["name"].startswith("tick-3000000")
    assert any(m.startswith("Saw completed job: tick-") for m in world.events("SawCompletedJob"))


@pytest.mark.parametrize(("policy", "most"), [("Allow", 2), ("Forbid", 1), ("Replace", 1)])
def test_concurrency_policies(world: World, policy: str, most: int) -> None:
    world.create(cron(concurrencyPolicy=policy))
    highest = 0
    for _ in range(20):
        world.run(15)
        highest = max(highest, len(world.get("batch/CronJob", "tick").get("status", {}).get("active", ())))
    assert highest == most
    assert bool(world.events("JobAlreadyActive")) == (policy == "Forbid")


@pytest.mark.parametrize(
    ("text", "after", "due"),
    [
        ("15 2 * * *", "2027-01-15T08:00", "2027-01-16T02:15"),
        ("*/20 * * * *", "2027-01-15T08:59", "2027-01-15T09:00"),
        ("0 9-17/4 * * MON-FRI", "2027-01-15T14:00", "2027-01-15T17:00"),
        ("0 0 29 2 *", "2027-01-15T08:00", "2028-02-29T00:00"),
        ("0 0 1 * MON", "2027-01-15T08:00", "2027-01-18T00:00"),
        ("30 6 * JAN,jul sun", "2027-02-01T00:00", "2027-07-04T06:30"),
        ("@monthly", "2027-01-15T08:00", "2027-02-01T00:00"),
    ],
)
def test_schedules(text: str, after: str, due: str) -> None:
    found = schedule.parse(text).next_after(dt.datetime.fromisoformat(after))
    assert found == dt.datetime.fromisoformat(due)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("every day", "expected exactly 5 fields, found 2: [every day]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("@often", "unrecognized descriptor: @often"),
    ],
)
def test_schedules_that_are_none(text: str, why: str) -> None:
    with pytest.raises(ValueError) as refused:
        schedule.parse(text)
    assert str(refused.value) == why


def test_indexes_are_compressed_and_read_back() -> None:
    assert format_indexes({0, 1, 2, 5, 7, 8}) == "0-2,5,7,8"
    assert parse_indexes("0-2,5,7,8") == {0, 1, 2, 5, 7, 8}


def autoscaler(target: str = "web", **spec: Any) -> Obj:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": reference, "minReplicas": 2, "maxReplicas": 4, **spec},
    }  # fmt: skip


def test_an_autoscaler_keeps_its_bounds_and_says_that_metrics_are_missing(world: World) -> None:
    world.create(deployment())
    world.create(autoscaler())
    world.run()
    assert world.get("apps/Deployment", "web")["spec"]["replicas"] == 2
    assert world.events("SuccessfulRescale") == [
        "New size: 2; reason: Current number of replicas below Spec.MinReplicas"
    ]
    found = world.get("autoscaling/HorizontalPodAutoscaler", "h")
    assert found["status"]["currentReplicas"] == 2
    active = condition(found, "ScalingActive")
    assert (active["status"], active["reason"]) == ("False", "FailedGetResourceMetric")
    assert "the server could not find the requested resource (get pods.metrics.k8s.io)" in active["message"]


def test_an_autoscaler_without_target_says_so(world: World) -> None:
    world.create(autoscaler("nothing"))
    world.run()
    able = condition(world.get("autoscaling/HorizontalPodAutoscaler", "h"), "AbleToScale")
    assert able["reason"] == "FailedGetScale" and 'deployments.apps "nothing" not found' in able["message"]


@pytest.mark.parametrize(
    ("spec", "desired", "allowed"),
    [({"minAvailable": 1}, 1, 2), ({"maxUnavailable": 1}, 2, 1), ({"minAvailable": "50%"}, 2, 1)],
)
def test_a_budget_counts_what_may_go(world: World, spec: dict[str, Any], desired: int, allowed: int) -> None:
    world.create(deployment(replicas=3))
    body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}}
    world.create({**body, "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec}})
    world.run()
    status = world.get("policy/PodDisruptionBudget", "b")["status"]
    assert (status["expectedPods"], status["currentHealthy"]) == (3, 3)
    assert (status["desiredHealthy"], status["disruptionsAllowed"]) == (desired, allowed)
    assert status["conditions"][0]["reason"] == "SufficientPods"
