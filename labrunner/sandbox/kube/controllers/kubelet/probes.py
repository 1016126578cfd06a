"""Startup, liveness and readiness probes: when they are due, and what their results do to the container.

Source: k8s.io/kubernetes/pkg/kubelet/prober.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers.kubelet.lifecycle import Lifecycle, Timers
from labrunner.sandbox.kube.controllers.kubelet.record import ProbeRecord, Record, Worker
from labrunner.sandbox.kube.controllers.kubelet.runtime import Container

_WORDS = {"startupProbe": "Startup", "livenessProbe": "Liveness", "readinessProbe": "Readiness"}


class Prober:
    """Probes running containers. First probes wait in pretended time; failing ones repeat at their real period."""

    def __init__(self, lifecycle: Lifecycle, timers: Timers) -> None:
        self._lifecycle = lifecycle
        self._timers = timers

    def look(self, api: Api, pod: Obj, worker: Worker, part: str, container: Container) -> float | None:
        """Run what is due; real seconds until the next probe. Sets `started` and `ready`, kills when liveness fails."""
        record = worker.record(container["name"])
        if record.running_since is None:
            return None
        waits = []
        if "startupProbe" in container and not record.started:
            waits.append(self._run(api, pod, worker, part, container, record, "startupProbe"))
            if not record.started:
                return _soonest(waits)
        if "livenessProbe" in container:
            waits.append(self._run(api, pod, worker, part, container, record, "livenessProbe"))
            if record.running_since is None:
                return 0.05
        if "readinessProbe" in container:
            waits.append(self._run(api, pod, worker, part, container, record, "readinessProbe"))
        elif record.started:
            record.ready = True
        return _soonest(waits)

    def _run(
        self, api: Api, pod: Obj, worker: Worker, part: str, container: Container, record: Record, which: str
    ) -> float | None:
        probe: dict[str, Any] = container[which]
        result = record.probes.setdefault(which, ProbeRecord())
        if result.settled:
            if not self._lifecycle.runtime.may_change(pod, container, probe):
                return None
            result.settled = False
        if result.due_at > api.now():
            return result.due_at - api.now()
        run = record.run
        assert run is not None
        delay = max(float(probe.get("initialDelaySeconds") or 0), run.ready_after)
        if not self._timers.passed(worker, f"{which}:{record.name}:{record.attempt}", delay):
            return None
        period = float(probe.get("periodSeconds") or 10)
        failure = self._lifecycle.runtime.probe(api, pod, container, run, probe, lambda: self._timers.wake(worker))
        if failure is None:
            return None
        result.due_at = api.now() + period
        if not failure:
            result.failures, result.successes = 0, result.successes + 1
            if result.successes < int(probe.get("successThreshold") or 1):
                return period
            self._passed(record, which)
            if not self._lifecycle.runtime.may_change(pod, container, probe):
                result.settled = True
                return None
            return period
        result.failures, result.successes = result.failures + 1, 0
        message = f"{_WORDS[which]} probe failed: {failure}"
        self._lifecycle.say(api, pod, container, "Warning", "Unhealthy", message, part)
        if result.failures >= int(probe.get("failureThreshold") or 3):
            return self._failed(api, pod, worker, part, container, record, which, period)
        return period

    def _passed(self, record: Record, which: str) -> None:
        if which == "startupProbe":
            record.started = True
        elif which == "readinessProbe":
            record.ready = True

    def _failed(
        self, api: Api, pod: Obj, worker: Worker, part: str, container: Container, record: Record, which: str,
        period: float,
    ) -> float | None:  # fmt: skip
        if which == "readinessProbe":
            record.ready = False
            return period
        why = f"Container {record.name} failed {_WORDS[which].lower()} probe, will be restarted"
        self._lifecycle.kill(api, pod, part, container, record, why)
        return None


def _soonest(waits: list[float | None]) -> float | None:
    known = [wait for wait in waits if wait is not None]
    return min(known) if known else None
