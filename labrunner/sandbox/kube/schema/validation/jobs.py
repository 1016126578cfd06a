"""Jobs and CronJobs. Source: k8s.io/kubernetes pkg/apis/batch/validation/validation.go."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import schedule
from labrunner.sandbox.kube.schema.validation.common_fields import (
    IMMUTABLE,
    Obj,
    immutable,
    immutable_selector,
    label_selector,
    not_negative,
    same,
    selects,
)
from labrunner.sandbox.kube.schema.validation.go_struct import pod_template
from labrunner.sandbox.kube.schema.validation.pods import template

_MODES = ["NonIndexed", "Indexed"]
_NAME_LIMIT = 52
_NUMBERS = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
_CONCURRENCY = ["Allow", "Forbid", "Replace"]


def job(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = _job_spec(spec, "spec")
    if old is None:
        selector = spec.get("selector")
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        if selector is not None:
            errors += label_selector("spec.selector", selector)
            if not selects(selector, labels):
                text = "`selector` does not match template `labels`"
                errors.append(field.invalid("spec.template.metadata.labels", labels, text))
    else:
        before = old.get("spec") or {}
        errors += _completions(spec, before)
        errors += immutable_selector("spec.selector", spec.get("selector"), before.get("selector"))
        if not _may_change_template(old) and not same(spec.get("template"), before.get("template")):
            errors.append(field.invalid("spec.template", pod_template(spec.get("template")), IMMUTABLE))
        for key in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
            errors += immutable(f"spec.{key}", spec.get(key), before.get(key))
    return errors


def _may_change_template(old: Obj) -> bool:
    """A suspended job that never ran may still be scheduled elsewhere."""
    status = old.get("status") or {}
    return bool((old.get("spec") or {}).get("suspend")) and "startTime" not in status


def _completions(spec: Obj, before: Obj) -> list[FieldError]:
    if spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism"):
        return []
    return immutable("spec.completions", spec.get("completions"), before.get("completions"))


def _job_spec(spec: Obj, path: str) -> list[FieldError]:
    errors = not_negative(spec, _NUMBERS, path)
    mode = spec.get("completionMode")
    if mode is not None:
        if mode not in _MODES:
            errors.append(field.unsupported(f"{path}.completionMode", mode, _MODES))
        elif mode == "Indexed" and spec.get("completions") is None:
            text = "when completion mode is Indexed"
            errors.append(field.required(f"{path}.completions", text))
    errors += template(spec.get("template"), f"{path}.template")
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy", "")
    where = f"{path}.template.spec.restartPolicy"
    if policy == "Always":
        errors.append(field.required(where, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        errors.append(field.unsupported(where, policy, ["OnFailure", "Never"]))
    elif "podFailurePolicy" in spec and policy != "Never":
        text = "only supported value when podFailurePolicy is specified: Never"
        errors.append(field.invalid(where, policy, text))
    return errors


def cron_job(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors: list[FieldError] = []
    when = spec.get("schedule", "")
    errors += _schedule(when, spec, old) if when else [field.required("spec.schedule")]
    errors += not_negative(spec, ("startingDeadlineSeconds",), "spec")
    policy = spec.get("concurrencyPolicy", "")
    if not policy:
        errors.append(field.required("spec.concurrencyPolicy"))
    elif policy not in _CONCURRENCY:
        errors.append(field.unsupported("spec.concurrencyPolicy", policy, _CONCURRENCY))
    errors += not_negative(spec, ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"), "spec")
    job_template = spec.get("jobTemplate") or {}
    job_spec = job_template.get("spec") or {}
    errors += _job_spec(job_spec, "spec.jobTemplate.spec")
    if "selector" in job_spec:
        text = "`selector` will be auto-generated"
        errors.append(field.invalid("spec.jobTemplate.spec.selector", job_spec["selector"], text))
    if job_spec.get("manualSelector"):
        errors.append(field.unsupported("spec.jobTemplate.spec.manualSelector", True, ["nil", "false"]))
    name = obj.get("metadata", {}).get("name", "")
    if old is None and len(name) > _NAME_LIMIT:
        message = f"must be no more than {_NAME_LIMIT} characters"
        errors.append(field.invalid("metadata.name", name, message))
    return errors


def _schedule(text: str, spec: Obj, old: Obj | None) -> list[FieldError]:
    errors: list[FieldError] = []
    zone = spec.get("timeZone")
    if "TZ" in text and (old is None or (old.get("spec") or {}).get("schedule") != text):
        message = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        return [field.invalid("spec.schedule", text, message)]
    try:
        schedule.check(text)
    except schedule.ScheduleError as error:
        errors.append(field.invalid("spec.schedule", text, str(error)))
    if zone is not None:
        if not zone:
            errors.append(field.invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string"))
        elif zone.lower() == "local":
            errors.append(field.invalid("spec.timeZone", zone, "timeZone must be an explicit time zone as defined in "
                                        "https://www.iana.org/time-zones"))  # fmt: skip
        elif not _known_zone(zone):
            errors.append(field.invalid("spec.timeZone", zone, f"unknown time zone {zone}"))
    return errors


def _known_zone(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
