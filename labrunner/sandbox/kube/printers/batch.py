"""Jobs and CronJobs."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    NONE,
    UNSET,
    Column,
    Obj,
    Printer,
    at,
    condition_status,
    created,
    deleting,
    images,
    name_of,
    selector_text,
)


def _job_status(job: Obj) -> str:
    if condition_status(job, "Complete") == "True":
        return "Complete"
    if condition_status(job, "Failed") == "True":
        return "Failed"
    if deleting(job):
        return "Terminating"
    if condition_status(job, "Suspended") == "True":
        return "Suspended"
    for pending in ("FailureTarget", "SuccessCriteriaMet"):
        if condition_status(job, pending) == "True":
            return pending
    return "Running"


def _job(job: Obj, ages: Ages) -> list[Any]:
    spec, status = at(job, "spec", default={}), at(job, "status", default={})
    succeeded, completions, parallelism = status.get("succeeded", 0), spec.get("completions"), spec.get("parallelism")
    if completions is not None:
        done = f"{succeeded}/{completions}"
    else:
        done = f"{succeeded}/1 of {parallelism}" if (parallelism or 0) > 1 else f"{succeeded}/1"
    started = status.get("startTime")
    return [
        name_of(job),
        _job_status(job),
        done,
        ages.between(started, status.get("completionTime")) if started else "",
        ages(created(job)),
        *images(at(spec, "template", "spec", "containers", default=())),
        selector_text(spec.get("selector")),
    ]


def _cron_job(obj: Obj, ages: Ages) -> list[Any]:
    spec, status = at(obj, "spec", default={}), at(obj, "status", default={})
    last, suspend = status.get("lastScheduleTime"), spec.get("suspend")
    job = at(spec, "jobTemplate", "spec", default={})
    return [
        name_of(obj),
        spec.get("schedule", ""),
        NONE if spec.get("timeZone") is None else spec["timeZone"],
        UNSET if suspend is None else str(bool(suspend)),
        len(status.get("active") or ()),
        ages(last) if last else NONE,
        ages(created(obj)),
        *images(at(job, "template", "spec", "containers", default=())),
        selector_text(job.get("selector")),
    ]


_SELECTOR = Column("Selector", "@batch.v1.JobSpec.selector", priority=1)
PRINTERS = {
    "batch/Job": Printer(
        (
            NAME,
            Column("Status", "Status of the job."),
            Column("Completions", "@batch.v1.JobStatus.succeeded"),
            Column("Duration", "Time required to complete the job."),
            AGE,
            CONTAINERS,
            IMAGES,
            _SELECTOR,
        ),
        _job,
    ),
    "batch/CronJob": Printer(
        (
            NAME,
            Column("Schedule", "@batch.v1.CronJobSpec.schedule"),
            Column("Timezone", "@batch.v1.CronJobSpec.timeZone"),
            Column("Suspend", "@batch.v1.CronJobSpec.suspend", type="boolean"),
            Column("Active", "@batch.v1.CronJobStatus.active", type="integer"),
            Column("Last Schedule", "@batch.v1.CronJobStatus.lastScheduleTime"),
            AGE,
            CONTAINERS,
            IMAGES,
            _SELECTOR,
        ),
        _cron_job,
    ),
}
