"""CronJob: a Job at each due time. Source: k8s.io/kubernetes/pkg/controller/cronjob (cronjob_controllerv2.go)."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers import schedule
from labrunner.sandbox.kube.controllers.job import finished_as
from labrunner.sandbox.kube.controllers.meta import (
    controller_reference,
    created_at,
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
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.status import ApiError

COMPONENT = "cronjob-controller"
SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_MANAGER = "kube-controller-manager"


class CronJobController:
    name = "cronjob"
    watches: tuple[str, ...] = ("batch/CronJob", "batch/Job")

    def keys(self, change: Change) -> list[Key]:
        if change.kind == "batch/CronJob":
            return [key_of(change.obj)]
        return owner_key(change.obj, "batch/CronJob")

    def reconcile(self, api: Api, key: Key) -> float | None:
        cron = api.get("batch/CronJob", key[1], key[0])
        if cron is None or is_deleting(cron):
            return None
        jobs = api.owned("batch/Job", uid_of(cron))
        status: dict[str, Any] = dict(cron.get("status") or {})
        self._note_finished(api, cron, status, jobs)
        wait = None
        if not cron["spec"].get("suspend"):
            wait = self._start_due(api, cron, status, jobs)
        if not status.get("active"):
            status.pop("active", None)
        if status != (cron.get("status") or {}):
            api.update_status(with_status(cron, status), manager=_MANAGER)
        self._truncate(api, cron, jobs)
        return wait

    def _note_finished(self, api: Api, cron: Obj, status: dict[str, Any], jobs: list[Obj]) -> None:
        by_uid = {uid_of(job): job for job in jobs}
        active = []
        for reference in status.get("active") or ():
            job = by_uid.get(reference["uid"])
            if job is None:
                message = f"Active job went missing: {reference['name']}"
                api.record_event(cron, "Normal", "MissingJob", message, component=COMPONENT)
                continue
            finished = finished_as(job)
            if finished is None:
                active.append(reference)
                continue
            message = f"Saw completed job: {name_of(job)}, condition: {finished['type']}"
            api.record_event(cron, "Normal", "SawCompletedJob", message, component=COMPONENT)
        status["active"] = active
        for job in jobs:
            done = (job.get("status") or {}).get("completionTime")
            if done and seconds(done) > seconds(status.get("lastSuccessfulTime")):
                status["lastSuccessfulTime"] = done

    def _start_due(self, api: Api, cron: Obj, status: dict[str, Any], jobs: list[Obj]) -> float | None:
        spec, now = cron["spec"], api.now()
        try:
            plan = schedule.parse(spec.get("schedule", ""))
            zone = schedule.zone(spec.get("timeZone"))
        except (ValueError, ZoneInfoNotFoundError) as error:
            message = f"unparseable schedule: {spec.get('schedule', '')} : {error}"
            api.record_event(cron, "Warning", "UnparseableSchedule", message, component=COMPONENT)
            return None
        since = max(created_at(cron), seconds(status.get("lastScheduleTime")))
        deadline = spec.get("startingDeadlineSeconds")
        if deadline is not None:
            since = max(since, now - float(deadline))
        due, upcoming = _due(plan, since, now, zone)
        wait = max(0.1, upcoming - now) if upcoming is not None else None
        if due is None:
            return wait
        active = status.get("active") or []
        policy = spec.get("concurrencyPolicy", "Allow")
        if active and policy == "Forbid":
            message = "Not starting job because prior execution is running and concurrency policy is Forbid"
            api.record_event(cron, "Normal", "JobAlreadyActive", message, component=COMPONENT)
            return wait
        if active and policy == "Replace":
            for reference in active:
                self._delete(api, cron, reference["name"])
            active = []
        if job := self._create(api, cron, due):
            reference = {
                "kind": "Job",
                "namespace": namespace_of(cron),
                "name": name_of(job),
                "uid": uid_of(job),
                "apiVersion": "batch/v1",
                "resourceVersion": job["metadata"].get("resourceVersion", ""),
            }
            active = [*active, reference]
        status["active"], status["lastScheduleTime"] = active, timestamp(due)
        return wait

    def _create(self, api: Api, cron: Obj, due: float) -> Obj | None:
        template = cron["spec"]["jobTemplate"]
        source = template.get("metadata") or {}
        annotations = {**(source.get("annotations") or {}), SCHEDULED_AT: timestamp(due)}
        metadata: dict[str, Any] = {
            "name": f"{name_of(cron)}-{int(due) // 60}",
            "namespace": namespace_of(cron),
            "annotations": annotations,
            "ownerReferences": [controller_reference(cron)],
        }
        if source.get("labels"):
            metadata["labels"] = source["labels"]
        body: Obj = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}
        try:
            job = api.create(body, manager=_MANAGER)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return None
            message = f"Error creating job: {error.message}"
            api.record_event(cron, "Warning", "FailedCreate", message, component=COMPONENT)
            raise
        api.record_event(cron, "Normal", "SuccessfulCreate", f"Created job {name_of(job)}", component=COMPONENT)
        return job

    def _delete(self, api: Api, cron: Obj, name: str) -> None:
        api.delete("batch/Job", name, namespace_of(cron), propagation="Background")
        api.record_event(cron, "Normal", "SuccessfulDelete", f"Deleted job {name}", component=COMPONENT)

    def _truncate(self, api: Api, cron: Obj, jobs: list[Obj]) -> None:
        """Keep the youngest finished Jobs, as many as the history limits say."""
        for type_, field, default in (
            ("Complete", "successfulJobsHistoryLimit", 3),
            ("Failed", "failedJobsHistoryLimit", 1),
        ):
            limit = cron["spec"].get(field)
            limit = default if limit is None else int(limit)
            done = [
                j for j in jobs if (finished := finished_as(j)) and finished["type"] == type_ and not is_deleting(j)
            ]
            done.sort(key=lambda job: (job.get("status") or {}).get("startTime", ""))
            for job in done[: max(0, len(done) - limit)]:
                self._delete(api, cron, name_of(job))


def _due(plan: schedule.Schedule, since: float, now: float, zone: dt.tzinfo) -> tuple[float | None, float | None]:
    """(the latest due time in (since, now], the first one after now)."""
    # Long sleeps leave many missed times behind; only the latest counts.
    at = dt.datetime.fromtimestamp(max(since, now - 100 * 86400.0), zone)
    latest: float | None = None
    for _ in range(200_000):
        following = plan.next_after(at)
        if following is None:
            return latest, None
        if following.timestamp() > now:
            return latest, following.timestamp()
        latest, at = following.timestamp(), following
    return latest, None
