"""Pods on their nodes: placing, pulling, starting, probing, failing, ending."""

from __future__ import annotations

from typing import Any

import pytest
from controllers_world import World, condition, pod

from labrunner.sandbox.kube.api import Change, Obj


@pytest.fixture
def world() -> World:
    return World()


def state(obj: Obj, container: str = "c") -> dict[str, Any]:
    entries = [*obj["status"].get("initContainerStatuses", ()), *obj["status"].get("containerStatuses", ())]
    return next(e for e in entries if e["name"] == container)


def waiting(world: World, name: str = "p", container: str = "c") -> tuple[str, str]:
    shown = state(world.get("Pod", name), container)["state"]["waiting"]
    return shown["reason"], shown.get("message", "")


def test_a_pod_passes_through_pending_and_creating_to_ready() -> None:
    world = World(scale=1.0)
    seen: list[tuple[str, str, bool]] = []

    def watch(_change: object) -> None:
        if not world.exists("Pod", "p"):
            return
        found = world.get("Pod", "p")
        shown = found["status"].get("containerStatuses")
        what = next(iter(shown[0]["state"])) if shown else "unplaced"
        entry = (found["status"]["phase"], what, condition(found, "Ready").get("status") == "True")
        if not seen or seen[-1] != entry:
            seen.append(entry)

    world.api.subscribe(("Pod",), watch)
    world.create(pod(container={"readinessProbe": {"httpGet": {"port": 80}, "initialDelaySeconds": 2}}))
    world.run(30)
    assert seen == [
        ("Pending", "unplaced", False),
        ("Pending", "waiting", False),
        ("Running", "running", False),
        ("Running", "running", True),
    ]
    status = world.get("Pod", "p")["status"]
    assert status["podIP"].startswith("10.244.") and status["podIPs"] == [{"ip": status["podIP"]}]
    assert status["hostIP"].startswith("10.224.") and status["qosClass"] == "BestEffort"
    assert [c["type"] for c in status["conditions"]] == [
        "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled",
    ]  # fmt: skip
    container = status["containerStatuses"][0]
    assert container["image"] == "docker.io/library/nginx:1.27"
    assert container["imageID"].startswith("docker.io/library/nginx@sha256:")
    assert container["containerID"].startswith("containerd://") and container["started"] is True


def test_the_events_of_a_start_are_those_of_a_kubelet(world: World) -> None:
    world.create(pod())
    world.run()
    events = {e["reason"]: e for e in world.api.objects("Event", "default")}
    node = world.get("Pod", "p")["spec"]["nodeName"]
    assert events["Scheduled"]["message"] == f"Successfully assigned default/p to {node}"
    assert events["Pulling"]["message"] == 'Pulling image "nginx:1.27"'
    assert events["Pulled"]["message"].startswith('Successfully pulled image "nginx:1.27" in ')
    assert events["Created"]["message"] == "Container created"
    assert events["Started"]["message"] == "Container started"
    assert events["Started"]["involvedObject"]["fieldPath"] == "spec.containers{c}"
    assert events["Started"]["source"] == {"component": "kubelet", "host": node}


def test_an_image_is_pulled_once_per_node(world: World) -> None:
    world.create(pod("a", nodeName="aks-nodepool1-12345678-vmss000000"))
    world.run()
    world.create(pod("b", nodeName="aks-nodepool1-12345678-vmss000000"))
    world.run()
    assert len(world.events("Pulling")) == 1
    present = 'Container image "nginx:1.27" already present on machine and can be accessed by the pod'
    assert world.events("Pulled")[-1] == present


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("nginx:no-such-tag", "docker.io/library/nginx:no-such-tag: not found"),
        ("nginx:1.99", "docker.io/library/nginx:1.99: not found"),
        ("your-registry/order-service:v1.0.0", "pull access denied, repository does not exist or may require"),
        ("ngnix", "pull access denied, repository does not exist or may require authorization"),
        ("registry.example.test/app:v1", "dial tcp: lookup registry.example.test on"),
    ],
)
def test_an_unknown_image_backs_off_in_containerds_words(world: World, image: str, words: str) -> None:
    world.create(pod(image=image))
    world.run()
    reason, message = waiting(world)
    assert reason == "ErrImagePull" and words in message
    world.run(2)
    reason, message = waiting(world)
    assert reason == "ImagePullBackOff"
    assert message.startswith(f'Back-off pulling image "{image}": ErrImagePull: ')
    world.run(30)
    pulling = next(e for e in world.api.objects("Event", "default") if e["reason"] == "Pulling")
    assert pulling["count"] == 3, "tried again after 10 s and 20 s"
    assert world.get("Pod", "p")["status"]["phase"] == "Pending"


def test_an_invalid_image_name_is_not_pulled(world: World) -> None:
    world.create(pod(image="Nginx:1.27"))
    world.run()
    reason, message = waiting(world)
    assert reason == "InvalidImageName" and 'couldn\'t parse image name "Nginx:1.27"' in message
    assert world.events("Pulling") == []


def test_a_crashing_container_restarts_with_growing_back_off(world: World) -> None:
    world.create(pod(image="busybox:1.37", container={"command": ["sh", "-c", "echo no; exit 3"]}))
    world.run(1)
    found = world.get("Pod", "p")
    assert found["status"]["phase"] == "Running" and state(found)["restartCount"] == 1
    reason, message = waiting(world)
    uid = found["metadata"]["uid"]
    assert reason == "CrashLoopBackOff"
    assert message == f"back-off 10s restarting failed container=c pod=p_default({uid})"
    assert state(found)["lastState"]["terminated"]["exitCode"] == 3
    assert state(found)["lastState"]["terminated"]["reason"] == "Error"
    assert world.events("BackOff") == [f"Back-off restarting failed container c in pod p_default({uid})"]
    restarts = []
    for _ in range(4):
        world.run(10)
        restarts.append(state(world.get("Pod", "p"))["restartCount"])
    assert restarts == [2, 2, 3, 3], "10 s, 20 s, then 40 s"
    assert waiting(world)[1].startswith("back-off 40s ")


@pytest.mark.parametrize(
    ("policy", "command", "phase", "reason", "code"),
    [
        ("Never", ["true"], "Succeeded", "Completed", 0),
        ("Never", ["sh", "-c", "exit 4"], "Failed", "Error", 4),
        ("OnFailure", ["echo", "done"], "Succeeded", "Completed", 0),
        ("Never", ["sh", "-c", "sleep 5 && false"], "Failed", "Error", 1),
    ],
)
def test_a_pod_that_ends_says_how(
    world: World, policy: str, command: list[str], phase: str, reason: str, code: int
) -> None:
    world.create(pod(image="busybox:1.37", restartPolicy=policy, container={"command": command}))
    world.run(8)
    found = world.get("Pod", "p")
    assert found["status"]["phase"] == phase
    ended = state(found)["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == (reason, code)
    assert condition(found, "Ready")["reason"] == ("PodCompleted" if phase == "Succeeded" else "PodFailed")


def test_a_program_that_is_not_in_the_image_cannot_be_started(world: World) -> None:
    world.create(pod(image="nginx:1.27", restartPolicy="Never", container={"command": ["kubectl"]}))
    world.run()
    ended = state(world.get("Pod", "p"))["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert ended["message"].endswith('exec: "kubectl": executable file not found in $PATH')


def test_a_missing_config_map_key_is_a_config_error_until_it_appears(world: World) -> None:
    reference = {"configMapKeyRef": {"name": "settings", "key": "level"}}
    world.create(pod(container={"env": [{"name": "LEVEL", "valueFrom": reference}]}))
    world.run()
    assert waiting(world) == ("CreateContainerConfigError", 'configmap "settings" not found')
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"other": "x"}}
    world.create(settings)
    world.run()
    assert waiting(world)[1] == "couldn't find key level in ConfigMap default/settings"
    world.change("ConfigMap", "settings", lambda c: c["data"].update(level="debug"))
    world.run()
    assert condition(world.get("Pod", "p"), "Ready")["status"] == "True"


def test_a_volume_without_its_source_is_not_mounted_until_it_appears(world: World) -> None:
    world.create(pod(volumes=[{"name": "tls", "secret": {"secretName": "gateway-cert"}}]))
    world.run(5)
    assert waiting(world)[0] == "ContainerCreating"
    assert world.events("FailedMount") == [
        'MountVolume.SetUp failed for volume "tls" : secret "gateway-cert" not found'
    ]
    world.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "gateway-cert"}})
    world.run()
    assert condition(world.get("Pod", "p"), "Ready")["status"] == "True"


def test_root_is_refused_where_it_must_not_run(world: World) -> None:
    world.create(pod(securityContext={"runAsNonRoot": True}))
    world.run()
    reason, message = waiting(world)
    assert reason == "CreateContainerConfigError"
    assert message.startswith("container has runAsNonRoot and image will run as root (pod: ")


def test_a_failing_liveness_probe_restarts_the_container(world: World) -> None:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 5, "failureThreshold": 2}
    world.create(pod(container={"livenessProbe": probe}))
    world.run(6)
    found = world.get("Pod", "p")
    ip = found["status"]["podIP"]
    refused = f'Liveness probe failed: Get "http://{ip}:8080/healthz": dial tcp {ip}:8080: connect: connection refused'
    assert world.events("Unhealthy") == [refused]
    assert "Container c failed liveness probe, will be restarted" in world.events("Killing")
    assert state(found)["restartCount"] == 1


def test_a_failing_readiness_probe_keeps_the_pod_unready_without_restarting_it(world: World) -> None:
    world.create(pod(container={"readinessProbe": {"tcpSocket": {"port": 81}, "periodSeconds": 5}}))
    world.run(60)
    found = world.get("Pod", "p")
    assert state(found)["restartCount"] == 0 and state(found)["ready"] is False
    assert condition(found, "Ready")["message"] == "containers with unready status: [c]"
    unhealthy = next(e for e in world.api.objects("Event", "default") if e["reason"] == "Unhealthy")
    assert unhealthy["count"] == 13, "every 5 s"


def test_init_containers_run_in_order_and_block_the_rest(world: World) -> None:
    first = {"name": "first", "image": "busybox:1.37", "command": ["sh", "-c", "sleep 10"]}
    world.create(pod(initContainers=[first, {**first, "name": "second", "command": ["true"]}]))
    world.run(5)
    found = world.get("Pod", "p")
    assert found["status"]["phase"] == "Pending"
    assert "running" in state(found, "first")["state"]
    assert state(found, "second")["state"]["waiting"]["reason"] == "PodInitializing"
    assert condition(found, "Initialized")["message"] == "containers with incomplete status: [first second]"
    world.run(10)
    found = world.get("Pod", "p")
    assert condition(found, "Ready")["status"] == "True"
    assert state(found, "first")["state"]["terminated"]["reason"] == "Completed"


def test_a_failing_init_container_never_lets_the_pod_start(world: World) -> None:
    broken = {"name": "wait", "image": "busybox:1.37", "command": ["false"]}
    world.create(pod(initContainers=[broken]))
    world.create(pod("once", restartPolicy="Never", initContainers=[broken]))
    world.run(5)
    assert waiting(world, "p", "wait")[0] == "CrashLoopBackOff"
    assert waiting(world, "p", "c")[0] == "PodInitializing"
    assert world.get("Pod", "once")["status"]["phase"] == "Failed"


@pytest.mark.parametrize(
    ("spec", "reason", "preemption"),
    [
        ({"nodeSelector": {"zone": "nowhere"}}, "3 node(s) didn't match Pod's node affinity/selector",
         "3 Preemption is not helpful for scheduling"),
        ({"container": {"resources": {"requests": {"cpu": "100"}}}}, "3 Insufficient cpu",
         "3 Preemption is not helpful for scheduling"),
        ({"container": {"resources": {"requests": {"memory": "1Ti"}}}}, "3 Insufficient memory",
         "3 Preemption is not helpful for scheduling"),
    ],
)  # fmt: skip
def test_an_unschedulable_pod_says_what_each_node_lacks(
    world: World, spec: dict[str, Any], reason: str, preemption: str
) -> None:
    world.create(pod(**spec))
    world.run()
    message = (
        f"0/3 nodes are available: {reason}. no new claims to deallocate, preemption: "
        f"0/3 nodes are available: {preemption}."
    )
    assert world.events("FailedScheduling") == [message]
    found = world.get("Pod", "p")
    assert condition(found, "PodScheduled") | {"lastTransitionTime": ""} == {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastTransitionTime": "",
    }  # fmt: skip


def test_taints_repel_and_a_pod_waits_for_a_node_that_will_have_it(world: World) -> None:
    nodes = [n["metadata"]["name"] for n in world.api.objects("Node")]
    for name in nodes:
        taint = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
        world.change("Node", name, lambda n, taint=taint: n["spec"].update(taints=[taint]), "")
    world.create(pod())
    world.create(pod("tolerant", tolerations=[{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]))
    world.run()
    assert "3 node(s) had untolerated taint(s)" in world.events("FailedScheduling")[0]
    assert world.get("Pod", "tolerant")["spec"].get("nodeName")
    world.change("Node", nodes[1], lambda n: n["spec"].pop("taints"), "")
    world.run()
    assert world.get("Pod", "p")["spec"]["nodeName"] == nodes[1]


def test_requests_fill_nodes_and_a_deletion_makes_room(world: World) -> None:
    wants = {"resources": {"requests": {"cpu": "5"}}}
    for number in range(4):
        world.create(pod(f"p{number}", container=wants))
    world.run()
    unplaced = [p for p in world.pods() if not p["spec"].get("nodeName")]
    assert len(unplaced) == 1
    assert "3 No preemption victims found for incoming pod" in world.events("FailedScheduling")[0]
    placed = next(p for p in world.pods() if p["spec"].get("nodeName"))
    world.api.delete("Pod", placed["metadata"]["name"], "default")
    world.run()
    assert all(p["spec"].get("nodeName") for p in world.pods())


def test_deletion_is_graceful_and_takes_as_long_as_the_program_needs() -> None:
    world = World(scale=1.0)
    world.create(pod("server"))
    world.create(pod("sleeper", image="busybox:1.37", container={"command": ["sleep", "infinity"]}))
    world.run(20)
    for name in ("server", "sleeper"):
        world.api.delete("Pod", name, "default")
    assert world.get("Pod", "server")["metadata"]["deletionGracePeriodSeconds"] == 30
    world.run(1)
    assert not world.exists("Pod", "server"), "nginx ends on SIGTERM"
    assert world.exists("Pod", "sleeper"), "sleep as process 1 does not"
    world.run(3)
    assert not world.exists("Pod", "sleeper")
    assert world.events("Killing") == ["Stopping container c", "Stopping container c"]


def test_an_active_deadline_fails_the_pod(world: World) -> None:
    world.create(pod(activeDeadlineSeconds=20))
    world.run(25)
    status = world.get("Pod", "p")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")


def test_addresses_are_unique_and_come_back(world: World) -> None:
    for number in range(30):
        world.create(pod(f"p{number}"))
    world.run()
    addresses = [p["status"]["podIP"] for p in world.pods()]
    assert len(set(addresses)) == 30
    world.restart()
    world.create(pod("late"))
    world.run()
    assert world.get("Pod", "late")["status"]["podIP"] not in addresses


def test_running_pods_survive_a_restart_of_the_server_and_still_end_on_time(world: World) -> None:
    world.create(pod())
    world.create(pod("job", image="busybox:1.37", restartPolicy="Never", container={"command": ["sleep", "100"]}))
    world.run(50)
    ids = state(world.get("Pod", "p"))["containerID"]
    world.restart()
    world.run(20)
    assert state(world.get("Pod", "p"))["containerID"] == ids
    assert world.get("Pod", "job")["status"]["phase"] == "Running"
    world.run(40)
    assert world.get("Pod", "job")["status"]["phase"] == "Succeeded"
    world.api.delete("Pod", "p", "default")
    world.run()
    assert not world.exists("Pod", "p")


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}, "Burstable"),
    ],
)
def test_quality_of_service(world: World, resources: dict[str, Any], expected: str) -> None:
    world.create(pod(container={"resources": resources}))
    world.run()
    assert world.get("Pod", "p")["status"]["qosClass"] == expected


def test_watchers_see_how_a_deleted_pod_ended_before_it_goes(world: World) -> None:
    world.create(pod("p"))
    world.run()
    seen: list[tuple[str, str, str]] = []

    def note(change: Change) -> None:
        status = change.obj["status"]
        ready = next(c["status"] for c in status["conditions"] if c["type"] == "Ready")
        seen.append((change.type, status["phase"], ready))

    end = world.api.subscribe(("Pod",), note)
    world.api.delete("Pod", "p", "default")
    world.run(60)
    end()
    assert [entry[0] for entry in seen] == ["MODIFIED", "MODIFIED", "DELETED"]
    assert seen[0][1:] == ("Running", "True")
    assert seen[-1][1:] == seen[-2][1:] == ("Succeeded", "False")
