"""Job: pods that run to completion, counted once each, retried with a back-off.

Source: k8s.io/kubernetes/pkg/controller/job (job_controller.go, indexed_job_utils.go).
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers import conditions, job_pods
from labrunner.sandbox.kube.controllers.job_pods import TRACKING, completion_index
from labrunner.sandbox.kube.controllers.meta import (
    fresh,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    owner_key,
    seconds,
    timestamp,
    uid_of,
    with_status,
)
from labrunner.sandbox.kube.controllers.pod import create_for, delete_for, is_active, is_ready, phase_of
from labrunner.sandbox.kube.controllers.runner import Key

COMPONENT = "job-controller"
_MANAGER = "kube-controller-manager"
_FIRST_RETRY, _LONGEST_RETRY = 10.0, 600.0
Verdict = tuple[str, str, str]
"""(Complete or Failed, reason, message)"""


class JobController:
    name = "job"
    watches: tuple[str, ...] = ("batch/Job", "Pod")

    def keys(self, change: Change) -> list[Key]:
        if change.kind == "batch/Job":
            return [key_of(change.obj)]
        return owner_key(change.obj, "batch/Job")

    def reconcile(self, api: Api, key: Key) -> float | None:
        job = api.get("batch/Job", key[1], key[0])
        if job is None:
            return None
        if finished := finished_as(job):
            self._untrack(api, api.owned("Pod", uid_of(job)))
            return self._expire(api, job, finished)
        if is_deleting(job):
            self._untrack(api, api.owned("Pod", uid_of(job)))
            return None
        return self._sync(api, job)

    def _sync(self, api: Api, job: Obj) -> float | None:
        spec, now = job["spec"], api.now()
        status: dict[str, Any] = dict(job.get("status") or {})
        pods = api.owned("Pod", uid_of(job))
        suspended = bool(spec.get("suspend"))
        if not suspended and not status.get("startTime"):
            status["startTime"] = timestamp(now)
        ended = self._count(api, job, pods, status)
        active = [pod for pod in pods if is_active(pod)]
        verdict = self._verdict(job, status, pods, now)
        if verdict is None and suspended:
            active = self._stop_all(api, job, active)
        self._note_suspension(api, job, status, suspended)
        wait: float | None = None
        if verdict is not None:
            if verdict[0] == "Failed":
                active = self._stop_all(api, job, active)
                status.setdefault("failed", 0)
        elif not suspended:
            active, wait = self._manage(api, job, status, active, pods, now)
        self._write(api, job, status, active, verdict)
        self._untrack(api, ended)
        if verdict is not None:
            return None
        limit = spec.get("activeDeadlineSeconds")
        if limit is not None and status.get("startTime"):
            left = seconds(status["startTime"]) + float(limit) - now + 1
            wait = left if wait is None else min(wait, left)
        return wait

    def _count(self, api: Api, job: Obj, pods: list[Obj], status: dict[str, Any]) -> list[Obj]:
        """Add newly finished pods to the counts; returns those, whose finalizer is then taken off."""
        ended = [pod for pod in pods if TRACKING in (pod["metadata"].get("finalizers") or ()) and _is_over(pod)]
        indexed = job["spec"].get("completionMode") == "Indexed"
        done = job_pods.parse_indexes(status.get("completedIndexes", ""))
        for pod in ended:
            if phase_of(pod) == "Succeeded":
                index = completion_index(pod)
                if indexed and index is not None:
                    done.add(index)
                else:
                    status["succeeded"] = int(status.get("succeeded") or 0) + 1
            elif phase_of(pod) == "Failed" or is_deleting(pod):
                status["failed"] = int(status.get("failed") or 0) + 1
        if indexed and done:
            status["completedIndexes"], status["succeeded"] = job_pods.format_indexes(done), len(done)
        return ended

    def _untrack(self, api: Api, pods: list[Obj]) -> None:
        for pod in pods:
            finalizers = pod["metadata"].get("finalizers") or []
            current = api.get("Pod", name_of(pod), namespace_of(pod))
            if TRACKING in finalizers and current is not None and uid_of(current) == uid_of(pod):
                updated = fresh(current)
                left = [f for f in current["metadata"].get("finalizers") or () if f != TRACKING]
                updated["metadata"]["finalizers"] = left
                if not left:
                    del updated["metadata"]["finalizers"]
                api.update(updated, manager=_MANAGER)

    def _verdict(self, job: Obj, status: dict[str, Any], pods: list[Obj], now: float) -> Verdict | None:
        spec = job["spec"]
        succeeded, failed = int(status.get("succeeded") or 0), int(status.get("failed") or 0)
        limit = 6 if spec.get("backoffLimit") is None else int(spec["backoffLimit"])
        restarts = sum(
            int(c.get("restartCount") or 0)
            for pod in pods
            if phase_of(pod) in ("Pending", "Running")
            for c in (pod.get("status") or {}).get("containerStatuses") or ()
        )
        on_failure = (spec["template"].get("spec") or {}).get("restartPolicy") == "OnFailure"
        if failed > limit or (on_failure and (restarts >= limit if limit else restarts > 0)):
            return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        deadline = spec.get("activeDeadlineSeconds")
        started = None if spec.get("suspend") else status.get("startTime")
        if deadline is not None and started and now - seconds(started) >= float(deadline):
            return "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
        wanted = spec.get("completions")
        if wanted is None:
            active = any(is_active(pod) for pod in pods)
            complete = succeeded > 0 and not active
        else:
            complete = succeeded >= int(wanted)
        if complete:
            return "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
        return None

    def _manage(
        self, api: Api, job: Obj, status: dict[str, Any], active: list[Obj], pods: list[Obj], now: float
    ) -> tuple[list[Obj], float | None]:
        spec = job["spec"]
        parallelism = 1 if spec.get("parallelism") is None else int(spec["parallelism"])
        succeeded = int(status.get("succeeded") or 0)
        if spec.get("completions") is None:
            wanted = len(active) if succeeded else parallelism
        else:
            wanted = min(parallelism, int(spec["completions"]) - succeeded)
        if len(active) > wanted:
            surplus = sorted(active, key=lambda pod: (is_ready(pod), name_of(pod)))[: len(active) - max(0, wanted)]
            for pod in surplus:
                delete_for(api, job, pod, component=COMPONENT)
            gone = {uid_of(pod) for pod in surplus}
            return [pod for pod in active if uid_of(pod) not in gone], None
        if len(active) == wanted:
            return active, None
        if any(is_deleting(pod) and not _is_over_for_good(pod) for pod in pods) and (
            spec.get("podReplacementPolicy") == "Failed"
        ):
            return active, None
        wait = self._retry_in(pods, now)
        if wait > 0:
            return active, wait
        indexes: list[int | None] = [None] * (wanted - len(active))
        if spec.get("completionMode") == "Indexed":
            taken = job_pods.parse_indexes(status.get("completedIndexes", ""))
            taken |= {index for pod in active if (index := completion_index(pod)) is not None}
            free = [index for index in range(int(spec.get("completions") or 0)) if index not in taken]
            indexes = list(free[: wanted - len(active)])
        created = [create_for(api, job, job_pods.pod_for(job, index), component=COMPONENT) for index in indexes]
        return [*active, *created], None

    def _retry_in(self, pods: list[Obj], now: float) -> float:
        """Seconds until another try may start: 10 s after a failure, doubled by each further one."""
        failures = sorted(job_pods.finished_at(pod) for pod in pods if phase_of(pod) == "Failed")
        since = max((job_pods.finished_at(pod) for pod in pods if phase_of(pod) == "Succeeded"), default=0.0)
        failures = [at for at in failures if at > since]
        if not failures:
            return 0.0
        delay = float(min(_FIRST_RETRY * 2 ** (len(failures) - 1), _LONGEST_RETRY))
        return failures[-1] + delay - now

    def _stop_all(self, api: Api, job: Obj, active: list[Obj]) -> list[Obj]:
        for pod in active:
            delete_for(api, job, pod, component=COMPONENT)
        return []

    def _note_suspension(self, api: Api, job: Obj, status: dict[str, Any], suspended: bool) -> None:
        now, current = api.now(), conditions.find(status.get("conditions"), "Suspended")
        if suspended and (current is None or current["status"] != "True"):
            say = ("JobSuspended", "Job suspended")
            status["conditions"] = conditions.put(status.get("conditions"), now, "Suspended", "True", *say)
            api.record_event(job, "Normal", "Suspended", "Job suspended", component=COMPONENT)
        elif not suspended and current is not None and current["status"] == "True":
            say = ("JobResumed", "Job resumed")
            status["conditions"] = conditions.put(status.get("conditions"), now, "Suspended", "False", *say)
            api.record_event(job, "Normal", "Resumed", "Job resumed", component=COMPONENT)
            status["startTime"] = timestamp(now)
        if suspended:
            status.pop("startTime", None)

    def _write(self, api: Api, job: Obj, status: dict[str, Any], active: list[Obj], verdict: Verdict | None) -> None:
        now = api.now()
        status.pop("active", None)
        if active:
            status["active"] = len(active)
        status["ready"] = sum(is_ready(pod) for pod in active)
        status["terminating"] = 0
        status["uncountedTerminatedPods"] = {}
        if verdict is not None:
            first = "SuccessCriteriaMet" if verdict[0] == "Complete" else "FailureTarget"
            for type_ in (first, verdict[0]):
                status["conditions"] = conditions.put(
                    status.get("conditions"), now, type_, "True", verdict[1], verdict[2],
                    lastProbeTime=timestamp(now),
                )  # fmt: skip
            if verdict[0] == "Complete":
                status["completionTime"] = timestamp(now)
        if status != job.get("status"):
            api.update_status(with_status(job, status), manager=_MANAGER)
        if verdict is not None and verdict[0] == "Complete":
            api.record_event(job, "Normal", "Completed", "Job completed", component=COMPONENT)
        elif verdict is not None:
            api.record_event(job, "Warning", verdict[1], verdict[2], component=COMPONENT)

    def _expire(self, api: Api, job: Obj, finished: dict[str, Any]) -> float | None:
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        if ttl is None or is_deleting(job):
            return None
        left = seconds(finished.get("lastTransitionTime")) + float(ttl) - api.now()
        if left > 0:
            return left
        api.delete("batch/Job", name_of(job), namespace_of(job), propagation="Foreground")
        return None


def finished_as(job: Obj) -> dict[str, Any] | None:
    """The Complete or Failed condition of a finished Job."""
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return dict(condition)
    return None


def _is_over(pod: Obj) -> bool:
    return phase_of(pod) in ("Succeeded", "Failed") or (is_deleting(pod) and not pod["spec"].get("nodeName"))


def _is_over_for_good(pod: Obj) -> bool:
    return phase_of(pod) in ("Succeeded", "Failed")
