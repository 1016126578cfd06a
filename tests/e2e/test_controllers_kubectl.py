"""What a learner sees with kubectl while controllers work: the sentences, tables and events."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrunner.sandbox.instance import Sandbox


class Learner:
    """kubectl in one namespace of a sandbox."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self.namespace = "default"

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = ["kubectl", "--namespace", self.namespace, *words]
        return subprocess.run(command, env=self._environment, input=stdin, capture_output=True, text=True, timeout=60)

    def ok(self, *words: str, stdin: str = "") -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def wait(self, what: str, condition: str) -> None:
        self.ok("wait", what, f"--for={condition}", "--timeout=30s")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    directory: Path = tmp_path_factory.mktemp("controllers") / "sandbox"
    running = Sandbox("controllers", directory)
    running.start(owned=True, instant=True)
    yield running
    running.stop()


@pytest.fixture
def learner(sandbox: Sandbox, request: pytest.FixtureRequest) -> Iterator[Learner]:
    someone = Learner(sandbox.environment())
    name = "t-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:40].strip("-")
    someone.ok("create", "namespace", name)
    someone.namespace = name
    yield someone
    someone.ok("delete", "namespace", name, "--wait=false")


def test_rollout_history_undo_and_restart(learner: Learner) -> None:
    learner.ok("create", "deployment", "web", "--image=nginx:1.26", "--replicas=2")
    learner.ok("rollout", "status", "deploy/web", "--timeout=30s")
    learner.ok("set", "image", "deploy/web", "nginx=nginx:1.27")
    learner.ok("rollout", "status", "deploy/web", "--timeout=30s")
    assert learner.ok("rollout", "undo", "deploy/web") == "deployment.apps/web rolled back\n"
    learner.ok("rollout", "status", "deploy/web", "--timeout=30s")
    assert learner.ok("get", "deploy", "web", "-o", "jsonpath={..image}") == "nginx:1.26"
    assert [line.split()[0] for line in learner.ok("rollout", "history", "deploy/web").splitlines()[2:4]] == ["2", "3"]
    learner.ok("rollout", "restart", "deploy/web")
    learner.ok("rollout", "status", "deploy/web", "--timeout=30s")
    described = learner.ok("describe", "deploy", "web")
    assert "2 desired | 2 updated | 2 total | 2 available | 0 unavailable" in described


def test_a_stateful_set_can_be_watched_and_undone(learner: Learner) -> None:
    manifest = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: "postgres:17", volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
    learner.ok("apply", "-f", "-", stdin=manifest)
    shown = learner.ok("rollout", "status", "sts/db", "--timeout=30s")
    assert shown.endswith("partitioned roll out complete: 2 new pods have been updated...\n")
    claims = learner.ok("get", "pvc", "--no-headers").splitlines()
    assert [line.split()[:2] for line in claims] == [["data-db-0", "Bound"], ["data-db-1", "Bound"]]
    learner.ok("set", "image", "sts/db", "db=postgres:18")
    learner.ok("rollout", "status", "sts/db", "--timeout=30s")
    learner.ok("rollout", "undo", "sts/db")
    learner.ok("rollout", "status", "sts/db", "--timeout=30s")
    assert learner.ok("get", "pod", "db-0", "-o", "jsonpath={.spec.containers[0].image}") == "postgres:17"


def test_failures_have_the_words_of_a_cluster(learner: Learner) -> None:
    learner.ok("run", "typo", "--image=nginx:typo")
    learner.ok("run", "crash", "--image=busybox:1.37", "--", "sh", "-c", "exit 3")
    learner.wait("pod/typo", "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff")
    learner.wait("pod/crash", "jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff")
    table = learner.ok("get", "pods", "--no-headers").splitlines()
    assert [line.split()[1:3] for line in table] == [["0/1", "CrashLoopBackOff"], ["0/1", "ImagePullBackOff"]]
    described = learner.ok("describe", "pod", "typo")
    assert "docker.io/library/nginx:typo: not found" in described and "Back-off pulling image" in described
    assert "Back-off restarting failed container crash" in learner.ok("events", "--for=pod/crash")


def test_a_job_from_a_cron_job(learner: Learner) -> None:
    learner.ok("create", "cronjob", "nightly", "--image=busybox:1.37", "--schedule=15 2 * * *", "--", "date")
    learner.ok("create", "job", "now", "--from=cronjob/nightly")
    learner.wait("job/now", "condition=complete")
    assert learner.ok("get", "pods", "--no-headers").split()[1:3] == ["0/1", "Completed"]


def test_a_namespace_in_the_mesh_gives_two_of_two(learner: Learner) -> None:
    learner.ok("label", "namespace", learner.namespace, "istio.io/rev=asm-1-25")
    learner.ok("create", "deployment", "web", "--image=nginx:1.27")
    learner.ok("rollout", "status", "deploy/web", "--timeout=30s")
    assert learner.ok("get", "pods", "--no-headers").split()[1:3] == ["2/2", "Running"]


def test_draining_a_node_moves_its_pods(learner: Learner) -> None:
    learner.ok("create", "deployment", "web", "--image=nginx:1.27", "--replicas=3")
    learner.ok("rollout", "status", "deploy/web", "--timeout=30s")
    node = learner.ok("get", "pods", "-o", "jsonpath={.items[0].spec.nodeName}")
    learner.ok("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=30s")
    try:
        learner.ok("rollout", "status", "deploy/web", "--timeout=30s")
        assert node not in learner.ok("get", "pods", "-o", "wide", "--no-headers")
        assert "SchedulingDisabled" in learner.ok("get", "node", node)
    finally:
        learner.ok("uncordon", node)


def test_the_gateways_of_the_mesh_have_addresses(learner: Learner) -> None:
    learner.namespace, own = "aks-istio-ingress", learner.namespace
    try:
        learner.ok("rollout", "status", "deploy/aks-istio-ingressgateway-internal-asm-1-25", "--timeout=30s")
        service = "svc/aks-istio-ingressgateway-internal"
        learner.wait(service, "jsonpath={.status.loadBalancer.ingress[0].ip}")
        assert learner.ok("get", service, "-o", "jsonpath={..ingress[0].ip}").startswith("10.224.")
    finally:
        learner.namespace = own
