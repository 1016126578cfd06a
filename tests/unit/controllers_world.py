"""A small world for controllers' tests: the sandbox's own API in memory, and a clock that the test moves."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers import ControllerSettings, all_controllers, injection, job_pods, service_ip
from labrunner.sandbox.kube.controllers.nodes import ensure_nodes
from labrunner.sandbox.kube.controllers.runner import Runner
from labrunner.sandbox.kube.inside import InsideApi
from labrunner.sandbox.kube.kinds import KindTable
from labrunner.sandbox.kube.registry import Registry
from labrunner.sandbox.kube.request import AdmissionRequest
from labrunner.sandbox.kube.schema.catalog import SchemaCatalog, builtin_kinds
from labrunner.sandbox.kube.schema.served import CatalogSchemas
from labrunner.sandbox.kube.store import Store

START = 1_800_000_000.0


class ManualClock:
    """`call_later` waits in scaled time, `call_at` in real time; both only pass when the test says so."""

    def __init__(self, scale: float = 0.0) -> None:
        self.scale = scale
        self._now = START
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def now(self) -> float:
        return self._now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        return self.call_at(self._now + seconds * self.scale, callback)

    def call_at(self, when: float, callback: Callable[[], None]) -> Callable[[], None]:
        entry = (when, next(self._order), callback)
        heapq.heappush(self._due, entry)
        return lambda: self._due.remove(entry) or heapq.heapify(self._due) if entry in self._due else None

    def advance(self, seconds: float = 0.0, turns: int = 20_000) -> None:
        """Let this much time pass and run everything that falls due; fails when it never comes to rest."""
        end = self._now + seconds
        while self._due and self._due[0][0] <= end:
            when, _, callback = heapq.heappop(self._due)
            self._now = max(self._now, when)
            callback()
            turns -= 1
            assert turns > 0, "the controllers never come to rest"
        self._now = end


class World:
    """Namespace `default`, three nodes, every controller running."""

    def __init__(self, settings: ControllerSettings | None = None, *, scale: float = 0.0) -> None:
        self.clock = ManualClock(scale)
        self.settings = settings or ControllerSettings(ca_pem="CA")
        self.store = Store()
        catalog = SchemaCatalog()
        registry = Registry(self.store, KindTable(builtin_kinds()), CatalogSchemas(catalog), self.clock)  # type: ignore[arg-type]
        self.api: Api = InsideApi(registry, self.clock)  # type: ignore[arg-type]
        registry.inside = self.api
        registry.prepare["Service"] = [lambda service, old, options: service_ip.admit(self.api, service, old)]
        registry.prepare["batch/Job"] = [job_pods.prepare]
        registry.admission = [self._inject]
        self.runner = Runner(self.api, all_controllers(self.settings))
        ensure_nodes(self.api, self.settings)
        for name in ("default", "kube-system"):
            self.namespace(name)
        self.run()

    def _inject(self, api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
        created = request.kind.id == "Pod" and request.operation == "CREATE"
        return injection.inject(api, obj, request.namespace, self.settings.mesh) if created else obj

    def restart(self) -> None:
        """The server's process ends and comes back on the same store."""
        self.runner.stop()
        self.runner = Runner(self.api, all_controllers(self.settings))
        self.run()

    def run(self, seconds: float = 0.0) -> None:
        self.clock.advance(seconds)

    def namespace(self, name: str, labels: dict[str, str] | None = None) -> Obj:
        return self.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}
        )

    def create(self, obj: Obj) -> Obj:
        obj = {**obj, "metadata": {**obj["metadata"]}}
        if obj["kind"] not in ("Namespace", "Node", "PersistentVolume", "StorageClass"):
            obj["metadata"].setdefault("namespace", "default")
        return self.api.create(obj, manager="test")

    def change(self, kind: str, name: str, edit: Callable[[Obj], Any], namespace: str = "default") -> Obj:
        """Edit a copy and write it back."""
        import copy

        obj = copy.deepcopy(self.get(kind, name, namespace))
        edit(obj)
        return self.api.update(obj, manager="test")

    def get(self, kind: str, name: str, namespace: str = "default") -> Obj:
        obj = self.api.get(kind, name, namespace)
        assert obj is not None, f"no {kind} {name}; there are {[o['metadata']['name'] for o in self.api.objects(kind)]}"
        return obj

    def exists(self, kind: str, name: str, namespace: str = "default") -> bool:
        return self.api.get(kind, name, namespace) is not None

    def pods(self, namespace: str = "default", **labels: str) -> list[Obj]:
        return self.api.objects("Pod", namespace, labels)

    def events(self, reason: str = "", namespace: str = "default") -> list[str]:
        """Messages, in the order in which they were first said."""
        found = [e for e in self.api.objects("Event", namespace) if not reason or e["reason"] == reason]
        return [e["message"] for e in sorted(found, key=lambda e: int(e["metadata"]["resourceVersion"]))]


def deployment(name: str = "web", replicas: int = 1, image: str = "nginx:1.27", **spec: Any) -> Obj:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": image}]}},
            **spec,
        },
    }


def pod(name: str = "p", image: str = "nginx:1.27", labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    container = {"name": "c", "image": image, **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {"app": name}},
        "spec": {"containers": [container], **spec},
    }


def condition(obj: Obj, type_: str) -> dict[str, Any]:
    return next((c for c in obj["status"].get("conditions", ()) if c["type"] == type_), {})
