"""The kubelets of all nodes: one pod at a time, from bound to gone."""

from __future__ import annotations

from collections.abc import Callable

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.kubelet import pod_status, sources
from labrunner.sandbox.kube.controllers.kubelet.addresses import AddressPool
from labrunner.sandbox.kube.controllers.kubelet.lifecycle import Lifecycle
from labrunner.sandbox.kube.controllers.kubelet.probes import Prober
from labrunner.sandbox.kube.controllers.kubelet.record import Worker, containers_of, is_sidecar, restore
from labrunner.sandbox.kube.controllers.kubelet.runtime import Container, PlannedRuntime
from labrunner.sandbox.kube.controllers.meta import is_deleting, key_of, namespace_of, uid_of, with_status
from labrunner.sandbox.kube.controllers.pod import is_finished
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.controllers.settings import ControllerSettings

_SANDBOX_SECONDS = 0.4
"""Scaled seconds to mount volumes and make the pod's sandbox."""
_STOP_SECONDS = 0.4
"""Scaled seconds that a well-behaved container takes to end."""


class KubeletController:
    name = "kubelet"
    watches: tuple[str, ...] = ("Pod", "ConfigMap", "Secret", "PersistentVolumeClaim")

    def __init__(self, settings: ControllerSettings) -> None:
        self._settings = settings
        self._workers: dict[Key, Worker] = {}
        self._blocked: set[Key] = set()
        """Pods that wait for a ConfigMap or Secret."""
        self._pool = AddressPool()
        self._api: Api | None = None
        self._enqueue: Callable[[Key], None] = lambda key: None
        self._keys_of: dict[str, Key] = {}
        self._lifecycle = Lifecycle(settings.runtime or PlannedRuntime(), self)
        self._prober = Prober(self._lifecycle, self)

    def paced_by(self, enqueue: Callable[[Key], None]) -> None:
        self._enqueue = enqueue

    def keys(self, change: Change) -> list[Key]:
        if change.kind != "Pod":
            namespace = namespace_of(change.obj)
            return [key for key in self._blocked if key[0] == namespace] if self._blocked else []
        return [key_of(change.obj)]

    def passed(self, worker: Worker, step: str, seconds: float) -> bool:
        if step in worker.passed:
            return True
        if step not in worker.pending:
            worker.pending.add(step)
            assert self._api is not None

            def elapsed() -> None:
                worker.pending.discard(step)
                worker.passed.add(step)
                self.wake(worker)

            self._api.call_later(seconds, elapsed)
        return False

    def wake(self, worker: Worker) -> None:
        if key := self._keys_of.get(worker.uid):
            self._enqueue(key)

    def reconcile(self, api: Api, key: Key) -> float | None:
        self._api = api
        pod = api.get("Pod", key[1], key[0])
        worker = self._workers.get(key)
        if worker is not None and (pod is None or uid_of(pod) != worker.uid):
            self._forget(key, worker)
            worker = None
        if pod is None:
            return None
        if not pod["spec"].get("nodeName"):
            if is_deleting(pod) and not pod["metadata"].get("finalizers"):
                api.remove("Pod", key[1], key[0])
            return None
        node = api.get("Node", pod["spec"]["nodeName"])
        if node is None:
            if is_deleting(pod):
                api.remove("Pod", key[1], key[0])
            return None
        if worker is None:
            worker = self._adopt(api, key, pod, node)
        if is_deleting(pod):
            return self._stop(api, key, pod, node, worker)
        if is_finished(pod):
            return None
        wait = self._run(api, key, pod, node, worker)
        self._write(api, pod, node, worker)
        return wait

    def _adopt(self, api: Api, key: Key, pod: Obj, node: Obj) -> Worker:
        worker = restore(pod)
        worker.started_at = worker.started_at or api.now()
        if worker.ip and not is_finished(pod):
            self._pool.note(_cidr(node), worker.ip, worker.uid)
        self._workers[key] = worker
        self._keys_of[worker.uid] = key
        if pod["spec"].get("initContainers"):
            for part, container in containers_of(pod):
                if container["name"] not in worker.records and part != "ephemeralContainers":
                    worker.record(container["name"]).waiting = ("PodInitializing", "")
        return worker

    def _forget(self, key: Key, worker: Worker) -> None:
        self._workers.pop(key, None)
        self._keys_of.pop(worker.uid, None)
        self._blocked.discard(key)
        if self._api is not None and worker.ip:
            for node in self._api.objects("Node"):
                self._pool.release(_cidr(node), worker.ip, worker.uid)

    def _run(self, api: Api, key: Key, pod: Obj, node: Obj, worker: Worker) -> float | None:
        limit = pod["spec"].get("activeDeadlineSeconds")
        waits: list[float | None] = []
        if limit:
            left = worker.started_at + float(limit) - api.now()
            if left <= 0:
                self._exceeded(api, pod, worker)
                self._write(api, pod, node, worker)
                return None
            waits.append(left)
        if not worker.mounted:
            wait = self._mount(api, key, pod, node, worker)
            if not worker.mounted:
                return _soonest([wait, *waits])
        for part, container in containers_of(pod):
            if part == "initContainers" or self._initialised(pod, worker):
                waits.append(self._lifecycle.advance(api, pod, worker, part, container))
                waits.append(self._prober.look(api, pod, worker, part, container))
                record = worker.record(container["name"])
                if record.waiting[0] == "CreateContainerConfigError":
                    self._blocked.add(key)
                if part == "initContainers":
                    if is_sidecar(container):
                        if not record.started:
                            break
                    else:
                        done = record.terminated is not None and record.terminated["exitCode"] == 0
                        record.ready = done
                        if not done:
                            break
        self._end_sidecars(api, pod, worker)
        return _soonest(waits)

    def _initialised(self, pod: Obj, worker: Worker) -> bool:
        for container in pod["spec"].get("initContainers") or ():
            record = worker.record(container["name"])
            if is_sidecar(container):
                if not record.started and record.last is None and not record.has_ended():
                    return False
            elif record.terminated is None or record.terminated["exitCode"] != 0:
                return False
        return True

    def _end_sidecars(self, api: Api, pod: Obj, worker: Worker) -> None:
        """Once every main container has ended for good, its sidecars are stopped."""
        for container in pod["spec"].get("containers") or ():
            record = worker.record(container["name"])
            if not record.has_ended() or self._lifecycle.should_restart(pod, "containers", container, record):
                return
        for container in pod["spec"].get("initContainers") or ():
            record = worker.record(container["name"])
            if is_sidecar(container) and record.running_since is not None:
                why = f"Stopping container {record.name}"
                self._lifecycle.kill(api, pod, "initContainers", container, record, why)

    def _mount(self, api: Api, key: Key, pod: Obj, node: Obj, worker: Worker) -> float | None:
        problem = sources.mount_problem(api, pod)
        if problem:
            self._blocked.add(key)
            if problem != worker.mount_problem or api.now() >= worker.mount_at:
                self._lifecycle.say(api, pod, None, "Warning", "FailedMount", problem)
                worker.mount_problem = problem
                worker.mount_at = api.now() + min(2.0**worker.mount_failures, 122.0)
                worker.mount_failures += 1
            return max(worker.mount_at - api.now(), 0.1)
        if sources.waits_for_volume(api, pod):
            self._blocked.add(key)
            return None
        self._blocked.discard(key)
        if not self.passed(worker, "sandbox", _SANDBOX_SECONDS):
            return None
        if not pod["spec"].get("hostNetwork"):
            worker.ip = self._pool.take(_cidr(node), worker.uid)
        else:
            worker.ip = _host_ip(node)
        worker.mounted = True
        return None

    def _exceeded(self, api: Api, pod: Obj, worker: Worker) -> None:
        self.evict(api, pod, worker, "DeadlineExceeded",
                   "Pod was active on the node longer than the specified deadline")  # fmt: skip
        self._lifecycle.say(api, pod, None, "Normal", "DeadlineExceeded", worker.evicted[1] if worker.evicted else "")

    def evict(self, api: Api, pod: Obj, worker: Worker, reason: str, message: str) -> None:
        """End a pod from the kubelet's side: it stays, Failed."""
        for part, container in containers_of(pod):
            record = worker.record(container["name"])
            if record.running_since is not None:
                self._lifecycle.kill(api, pod, part, container, record, f"Stopping container {record.name}")
        worker.evicted = (reason, message)

    def _stop(self, api: Api, key: Key, pod: Obj, node: Obj, worker: Worker) -> float | None:
        grace = pod["metadata"].get("deletionGracePeriodSeconds")
        running = [
            (part, container)
            for part, container in containers_of(pod)
            if worker.record(container["name"]).running_since is not None
        ]
        if running and (grace is None or grace > 0):
            if worker.stopping_since is None:
                worker.stopping_since = api.now()
                for part, container in running:
                    why = f"Stopping container {container['name']}"
                    self._lifecycle.say(api, pod, container, "Normal", "Killing", why, part)
                    self._lifecycle.stop_gently(api, pod, worker, part, container)
            limit = float(pod["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace)
            if worker.hooks and not self.passed(worker, f"hooks:{grace}", limit):
                return None
            alive = [c for _, c in running if self._exit_code(api, worker, c) is None]
            needed = max((self._stopping_time(container, worker, pod, grace) for container in alive), default=0.0)
            if alive and not self.passed(worker, f"stop:{grace}", needed):
                return None
        for _part, container in running:
            record = worker.record(container["name"])
            code = self._exit_code(api, worker, container)
            if code is None:
                code = 0 if record.run is None or record.run.honours_term else 137
            self._lifecycle.end(api, record, code)
            self._lifecycle.runtime.stop(pod, container)
        kept = pod["metadata"].get("finalizers")
        if kept or (running and grace != 0):
            self._write(api, pod, node, worker)  # watchers see how it ended before it goes
        if kept:
            return None
        api.remove("Pod", key[1], key[0])
        self._forget(key, worker)
        return None

    @staticmethod
    def _exit_code(api: Api, worker: Worker, container: Container) -> int | None:
        """With what a container that was told to end has ended; None while it runs."""
        record = worker.record(container["name"])
        run = record.run
        if run is None or run.exit_code is None or record.running_since is None:
            return None
        return run.exit_code if record.running_since + run.after <= api.now() else None

    def _stopping_time(self, container: dict[str, object], worker: Worker, pod: Obj, grace: int | None) -> float:
        record = worker.record(str(container["name"]))
        limit = float(pod["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace)
        if record.run is not None and not record.run.honours_term:
            return limit * self._settings.grace
        return min(limit, _STOP_SECONDS)

    def _write(self, api: Api, pod: Obj, node: Obj, worker: Worker) -> None:
        status = pod_status.render(pod, worker, _host_ip(node), api.now())
        if status != pod.get("status"):
            api.update_status(with_status(pod, status), manager="kubelet")


def _cidr(node: Obj) -> str:
    return str(node["spec"].get("podCIDR") or "10.244.0.0/16")


def _host_ip(node: Obj) -> str:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((a["address"] for a in addresses if a["type"] == "InternalIP"), "")


def _soonest(waits: list[float | None]) -> float | None:
    known = [wait for wait in waits if wait is not None]
    return min(known) if known else None
