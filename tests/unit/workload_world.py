"""A pretended cluster for tests of what runs in pods: objects in a dictionary, machines without a kubelet."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.kube.api import Change, Obj
from labrunner.sandbox.kube.controllers.kubelet.runtime import Run
from labrunner.sandbox.workload import images
from labrunner.sandbox.workload.addresses import AddressPlan
from labrunner.sandbox.workload.machine.container import ContainerMachine
from labrunner.sandbox.workload.machine.stream import Bytes, Collected, Null, Stream
from labrunner.sandbox.workload.machine.terminal import Terminal
from labrunner.sandbox.workload.network import Network, claim_block
from labrunner.sandbox.workload.runtime import WorkloadRuntime

_uids = itertools.count(1)


class FakeApi:
    """As much of `labrunner.sandbox.kube.api.Api` as machines ask for."""

    def __init__(self) -> None:
        self.store: dict[tuple[str, str, str], Obj] = {}

    def put(self, obj: Obj) -> Obj:
        meta = obj.setdefault("metadata", {})
        meta.setdefault("uid", f"uid-{next(_uids)}")
        group = str(obj.get("apiVersion", "v1")).rpartition("/")[0]
        kind = f"{group}/{obj['kind']}" if group else obj["kind"]
        self.store[kind, meta.get("namespace", ""), meta["name"]] = obj
        return obj

    def get(self, kind: str, name: str, namespace: str = "") -> Obj | None:
        return self.store.get((kind, namespace, name))

    def objects(self, kind: str, namespace: str = "", labels: Mapping[str, str] | None = None) -> list[Obj]:
        return [
            obj
            for (k, ns, _), obj in self.store.items()
            if k == kind
            and namespace in ("", ns)
            and all((obj["metadata"].get("labels") or {}).get(a) == b for a, b in (labels or {}).items())
        ]

    def subscribe(self, kinds: tuple[str, ...], callback: Callable[[Change], None]) -> Callable[[], None]:
        return lambda: None

    def now(self) -> float:
        return time.time()


@dataclass(frozen=True, slots=True)
class Outcome:
    out: str
    err: str
    code: int


class World:
    """Pods get addresses in order. Close it."""

    def __init__(self) -> None:
        self.api = FakeApi()
        block, lock = claim_block()
        self.network = Network(AddressPlan(block))
        self.network.lock = lock
        self.runtime = WorkloadRuntime(self.network, lambda pod, audience, seconds: "t.o.ken")
        self.runtime.attach_api(self.api)  # type: ignore[arg-type]
        self._addresses = itertools.count(2)
        self.exits: dict[str, int] = {}
        self.runs: dict[str, Run] = {}

    def close(self) -> None:
        self.runtime.close()

    def pod(
        self,
        name: str,
        image: str = "busybox",
        labels: dict[str, str] | None = None,
        *,
        ready: bool = True,
        **container: Any,
    ) -> ContainerMachine:
        """Create a pod of one container, `c`, and start it. `spec`: further fields of the pod's spec."""
        spec = container.pop("spec", {})
        entry = {"name": "c", "image": image, **container}
        obj = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": labels or {"app": name}},
            "spec": {"containers": [entry], "nodeName": "node", **spec},
            "status": {"podIP": f"10.244.0.{next(self._addresses)}", "phase": "Running"},
        }
        self.api.put(obj)
        return self.start(obj, entry)

    def start(self, pod: Obj, entry: dict[str, Any], restarts: int = 0) -> ContainerMachine:
        reference = images.parse_reference(entry["image"])
        assert reference is not None
        image = images.find(reference)
        assert image is not None, entry["image"]
        name = pod["metadata"]["name"]

        def exited(code: int, message: str) -> None:
            self.exits[name] = code

        self.runs[name] = self.runtime.start(self.api, pod, entry, image, restarts, exited)  # type: ignore[arg-type]
        return self.runtime.pods[pod["metadata"]["uid"]].containers[entry["name"]]

    def service(self, name: str, port: int, target: int, *pods: str, cluster_ip: str = "") -> str:
        """A Service and its EndpointSlice; returns its address (`cluster_ip="None"`: headless)."""
        address = cluster_ip or f"10.96.1.{next(self._addresses)}"
        meta = {"name": name, "namespace": "default"}
        self.api.put({
            "apiVersion": "v1", "kind": "Service", "metadata": dict(meta),
            "spec": {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": port, "targetPort": target}]},
        })  # fmt: skip
        endpoints = []
        for pod in pods:
            found = self.api.get("Pod", pod, "default")
            assert found is not None
            endpoints.append({"addresses": [found["status"]["podIP"]], "conditions": {"ready": True}, "hostname": pod})
        self.api.put({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-x", "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
            "endpoints": endpoints, "ports": [{"name": "", "port": target}],
        })  # fmt: skip
        return address


async def run(
    container: ContainerMachine,
    *argv: str,
    stdin: bytes = b"",
    terminal: Terminal | None = None,
    env: dict[str, str] | None = None,
) -> Outcome:
    """Run a command as exec does, and wait for it."""
    out, err = Collected(), Collected()
    source: Stream = Bytes(stdin) if stdin else Null()
    process = container.execute(
        list(argv),
        descriptors={0: source, 1: out, 2: err},
        env={**container.env, **(env or {})},
        cwd=container.workdir,
        owner=container.owner,
        new_session=True,
    )
    code = await process.wait()
    return Outcome(bytes(out.data).decode("utf-8", "replace"), bytes(err.data).decode("utf-8", "replace"), code)


async def sh(container: ContainerMachine, text: str, *, shell: str = "sh", stdin: bytes = b"") -> Outcome:
    """Run a shell command line."""
    return await run(container, shell, "-c", text, stdin=stdin)
