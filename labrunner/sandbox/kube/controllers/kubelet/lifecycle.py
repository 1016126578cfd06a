"""One container's way: pulled, created, started, probed, ended, restarted after a back-off.

Source of the order, the reasons and the sentences: k8s.io/kubernetes/pkg/kubelet/kuberuntime and pkg/kubelet/images.
"""

from __future__ import annotations

import logging
from typing import Any, Literal, Protocol

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers.kubelet import sources
from labrunner.sandbox.kube.controllers.kubelet.pull import Pull, ask
from labrunner.sandbox.kube.controllers.kubelet.record import (
    FIRST_BACK_OFF,
    LONGEST_BACK_OFF,
    Record,
    Worker,
    image_id,
    is_sidecar,
    new_container_id,
)
from labrunner.sandbox.kube.controllers.kubelet.runtime import Container, ContainerRuntime, Run
from labrunner.sandbox.kube.controllers.meta import name_of, namespace_of, uid_of

log = logging.getLogger(__name__)
COMPONENT = "kubelet"
SHOWN_ENDED = 0.8
"""Scaled seconds that a container is seen ended before it is started again (the kubelet relists once a second)."""


class Timers(Protocol):
    """Pretended time: `passed` is False until `seconds` (scaled) after it was first asked for this step."""

    def passed(self, worker: Worker, step: str, seconds: float) -> bool: ...

    def wake(self, worker: Worker) -> None:
        """Look at the pod again on the next turn."""
        ...


class Lifecycle:
    """Advances containers. Stateless but for the images that nodes hold."""

    def __init__(self, runtime: ContainerRuntime, timers: Timers) -> None:
        self.runtime = runtime
        self._timers = timers
        self._held: dict[str, set[str]] = {}
        """Images per node."""

    def say(
        self,
        api: Api,
        pod: Obj,
        container: Container | None,
        type_: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        part: str = "containers",
    ) -> None:
        path = f"spec.{part}{{{container['name']}}}" if container else ""
        host = pod["spec"].get("nodeName", "")
        api.record_event(pod, type_, reason, message, component=COMPONENT, field_path=path, host=host)

    def should_restart(self, pod: Obj, part: str, container: Container, record: Record) -> bool:
        policy = str(pod["spec"].get("restartPolicy", "Always"))
        code = int((record.terminated or {}).get("exitCode", 0))
        if part == "initContainers":
            return is_sidecar(container) or (code != 0 and policy != "Never")
        if part == "ephemeralContainers":
            return False
        return policy == "Always" or (policy == "OnFailure" and code != 0)

    def advance(self, api: Api, pod: Obj, worker: Worker, part: str, container: Container) -> float | None:
        """Do what is due now; real seconds until something else is."""
        record = worker.record(container["name"])
        if record.running_since is not None:
            if record.hook_failed:
                record.hook_failed = False
                self.say(api, pod, container, "Warning", "FailedPostStartHook", "PostStartHook failed", part)
                self.kill(api, pod, part, container, record, "FailedPostStartHook")
                return self.advance(api, pod, worker, part, container)
            return self._end_if_due(api, pod, worker, part, container, record)
        if record.has_ended() and not self.should_restart(pod, part, container, record):
            return None
        if record.has_ended():
            wait = self._back_off(api, pod, worker, part, container, record)
            if wait is not None:
                return wait if wait > 0 else None
        elif record.retry_at > api.now():
            return record.retry_at - api.now()
        elif record.waiting[0] == "CrashLoopBackOff":
            record.retry_at = 0.0
        return self._start(api, pod, worker, part, container, record)

    def _back_off(
        self, api: Api, pod: Obj, worker: Worker, part: str, container: Container, record: Record
    ) -> float | None:
        """None: restart now. 0: wait for a timer. Else real seconds of CrashLoopBackOff."""
        if not self._timers.passed(worker, f"ended:{record.name}:{record.attempt}", SHOWN_ENDED):
            return 0.0
        if record.crashes <= 1:
            return None
        delay = min(FIRST_BACK_OFF * 2 ** (record.crashes - 2), LONGEST_BACK_OFF)
        record.retry_at = (record.terminated or {}).get("finishedAt", api.now()) + delay
        left = record.retry_at - api.now()
        if left <= 0:
            return None
        who = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
        seconds = f"{int(delay) // 60}m{int(delay) % 60}s" if delay >= 60 else f"{int(delay)}s"
        record.wait("CrashLoopBackOff", f"back-off {seconds} restarting failed container={record.name} pod={who}")
        message = f"Back-off restarting failed container {record.name} in pod {who}"
        self.say(api, pod, container, "Warning", "BackOff", message, part)
        return left

    def _start(
        self, api: Api, pod: Obj, worker: Worker, part: str, container: Container, record: Record
    ) -> float | None:
        if record.waiting[0] == "CreateContainerConfigError":
            image = ask(container.get("image", "")).image
            if image and sources.config_problem(api, pod, container, image) == record.waiting[1]:
                return 10.0
        pull = self._pull(api, pod, worker, part, container, record)
        if isinstance(pull, float):
            return pull or None
        assert pull.image is not None and pull.reference is not None
        if problem := sources.config_problem(api, pod, container, pull.image):
            if record.waiting != ("CreateContainerConfigError", problem):
                self.say(api, pod, container, "Warning", "Failed", f"Error: {problem}", part)
            record.wait("CreateContainerConfigError", problem)
            return 10.0
        self.say(api, pod, container, "Normal", "Created", "Container created", part)
        record.attempt += 1
        record.restarts += int(record.terminated is not None or record.last is not None)
        record.wait("ContainerCreating")
        record.image = str(pull.reference)
        record.image_id = image_id(pull.reference.repository, str(pull.reference))
        record.container_id = new_container_id()
        record.probes.clear()
        attempt = record.attempt

        def exited(code: int, message: str) -> None:
            if record.attempt == attempt and record.running_since is not None:
                record.run = Run(exit_code=code, message=message)
                self._timers.wake(worker)

        run = record.run = self.runtime.start(api, pod, container, pull.image, record.restarts, exited)
        if run.start_error:
            self.say(api, pod, container, "Warning", "Failed", f"Error: {run.start_error}", part)
            self.end(api, record, run.exit_code or 128, "StartError", run.start_error, started_at=0.0)
            return self.advance(api, pod, worker, part, container)
        self.say(api, pod, container, "Normal", "Started", "Container started", part)
        record.running_since = api.now()
        record.started = "startupProbe" not in container
        self._post_start(api, pod, worker, container, record)
        if part == "initContainers" and not is_sidecar(container):
            record.started = True
        return self._end_if_due(api, pod, worker, part, container, record)

    def _post_start(self, api: Api, pod: Obj, worker: Worker, container: Container, record: Record) -> None:
        handler = (container.get("lifecycle") or {}).get("postStart")
        record.hook_failed = False
        if not handler:
            return
        attempt = record.attempt

        def done(succeeded: bool) -> None:
            if not succeeded and record.attempt == attempt:
                record.hook_failed = True
                self._timers.wake(worker)

        self.runtime.hook(api, pod, container, handler, done)

    def stop_gently(self, api: Api, pod: Obj, worker: Worker, part: str, container: Container) -> None:
        """Its preStop handler, then SIGTERM."""
        handler = (container.get("lifecycle") or {}).get("preStop")
        if not handler:
            self.runtime.terminate(pod, container)
            return
        name = container["name"]
        worker.hooks.add(name)

        def done(succeeded: bool) -> None:
            worker.hooks.discard(name)
            if not succeeded:
                self.say(api, pod, container, "Warning", "FailedPreStopHook", "PreStopHook failed", part)
            self.runtime.terminate(pod, container)
            self._timers.wake(worker)

        self.runtime.hook(api, pod, container, handler, done)

    def _pull(
        self, api: Api, pod: Obj, worker: Worker, part: str, container: Container, record: Record
    ) -> Pull | float:
        """The pulled image, or real seconds to wait (0: for a timer)."""
        name = container.get("image", "")
        pull = ask(name)
        node = pod["spec"].get("nodeName", "")
        held = self._held.setdefault(node, set())
        present = str(pull.reference) in held
        policy = container.get("imagePullPolicy") or ("Always" if name.endswith(":latest") else "IfNotPresent")
        if policy == "Never" and not present:
            message = f'Container image "{name}" is not present with pull policy of Never'
            return self._refused(api, pod, container, record, part, "ErrImageNeverPull", message)
        if present and policy != "Always":
            message = f'Container image "{name}" already present on machine and can be accessed by the pod'
            self.say(api, pod, container, "Normal", "Pulled", message, part)
            return pull
        if pull.reason == "InvalidImageName":
            return self._refused(api, pod, container, record, part, pull.reason, pull.message)
        step = f"pull:{record.name}:{record.attempt}:{record.pull_failures}"
        if step not in worker.passed and step not in worker.pending:
            self.say(api, pod, container, "Normal", "Pulling", f'Pulling image "{name}"', part)
        seconds = 0.3 if present else pull.seconds
        if not self._timers.passed(worker, step, seconds):
            return 0.0
        if pull.reason:
            return self._pull_failed(api, pod, container, record, part, pull)
        held.add(str(pull.reference))
        record.pull_failures = 0
        took = f"{seconds:.3f}s" if seconds >= 1 else f"{seconds * 1000:.0f}ms"
        size = pull.image.size if pull.image else 0
        message = f'Successfully pulled image "{name}" in {took} ({took} including waiting). Image size: {size} bytes.'
        self.say(api, pod, container, "Normal", "Pulled", message, part)
        return pull

    def _refused(
        self, api: Api, pod: Obj, container: Container, record: Record, part: str, reason: str, message: str
    ) -> float:
        if record.waiting != (reason, message):
            event = "InspectFailed" if reason == "InvalidImageName" else reason
            self.say(api, pod, container, "Warning", event, message, part)
            self.say(api, pod, container, "Warning", "Failed", f"Error: {reason}", part)
        record.wait(reason, message)
        return 60.0

    def _pull_failed(self, api: Api, pod: Obj, container: Container, record: Record, part: str, pull: Pull) -> float:
        """First ErrImagePull, a moment later ImagePullBackOff until the next try."""
        name = container.get("image", "")
        if record.waiting[0] != "ErrImagePull":
            record.wait("ErrImagePull", pull.message)
            self.say(api, pod, container, "Warning", "Failed", f'Failed to pull image "{name}": {pull.message}', part)
            self.say(api, pod, container, "Warning", "Failed", "Error: ErrImagePull", part)
            record.retry_at = api.now() + 1.0
            return 1.0
        delay = float(min(FIRST_BACK_OFF * 2**record.pull_failures, LONGEST_BACK_OFF))
        record.pull_failures += 1
        record.retry_at = api.now() + delay
        record.wait("ImagePullBackOff", f'Back-off pulling image "{name}": ErrImagePull: {pull.message}')
        self.say(api, pod, container, "Normal", "BackOff", f'Back-off pulling image "{name}"', part)
        self.say(api, pod, container, "Warning", "Failed", "Error: ImagePullBackOff", part)
        return delay

    def _end_if_due(
        self, api: Api, pod: Obj, worker: Worker, part: str, container: Container, record: Record
    ) -> float | None:
        run = record.run
        if run is None:  # it ran before this process did: judge it again
            record.run = run = self._resumed(api, pod, worker, container, record)
        if run.exit_code is None or record.running_since is None:
            return None
        left = record.running_since + run.after - api.now()
        if left > 0:
            return left
        if not self._timers.passed(worker, f"run:{record.name}:{record.attempt}", 0.3):
            return None
        self.end(api, record, run.exit_code, message=_termination_message(container, run))
        self.runtime.stop(pod, container)
        return self.advance(api, pod, worker, part, container)

    def _resumed(self, api: Api, pod: Obj, worker: Worker, container: Container, record: Record) -> Run:
        pull = ask(container.get("image", ""))
        attempt = record.attempt

        def exited(code: int, message: str) -> None:
            if record.attempt == attempt and record.running_since is not None:
                record.run = Run(exit_code=code, message=message)
                self._timers.wake(worker)

        if pull.image is None:
            return Run()
        return self.runtime.start(api, pod, container, pull.image, record.restarts, exited)

    def end(
        self, api: Api, record: Record, code: int, reason: str = "", message: str = "", started_at: float | None = None
    ) -> None:
        """The container has ended."""
        began = record.running_since if started_at is None else started_at
        ended: dict[str, Any] = {"exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error")}
        if message:
            ended["message"] = message
        ended |= {"startedAt": began or 0.0, "finishedAt": api.now(), "containerID": record.container_id}
        if began and api.now() - began > 2 * LONGEST_BACK_OFF:
            record.crashes = 0
        record.terminated, record.running_since = ended, None
        record.started = record.ready = False
        record.crashes += 1
        record.retry_at = 0.0

    def kill(self, api: Api, pod: Obj, part: str, container: Container, record: Record, why: str) -> None:
        """Stop a running container; its restart policy decides what comes then."""
        self.say(api, pod, container, "Normal", "Killing", why, part)
        honours = record.run is None or record.run.honours_term
        self.end(api, record, 0 if honours else 137)
        self.runtime.stop(pod, container)


def _termination_message(container: Container, run: Run) -> str:
    if run.message:
        return run.message
    if container.get("terminationMessagePolicy") == "FallbackToLogsOnError" and run.exit_code:
        return run.output[-2048:]
    return ""
