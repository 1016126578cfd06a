"""Write options of a request: dryRun, fieldManager, fieldValidation, delete options; validated in the server's words.

Source: k8s.io/apimachinery/pkg/apis/meta/v1/validation.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.request import DeleteOptions, Options, User
from labrunner.sandbox.kube.routes import Path
from labrunner.sandbox.kube.status import bad_request, invalid

_MANAGER_LIMIT = 128
_VALIDATIONS = ("", "Ignore", "Warn", "Strict")


def options(path: Path, user: User, user_agent: str, version: str, kind: str) -> Options:
    """`kind`: CreateOptions, UpdateOptions or PatchOptions. Raises ApiError 422."""
    problems: list[FieldError] = []
    dry_run = path.query.get("dryRun", [])
    problems += _dry_run_problems(dry_run)
    manager = path.param("fieldManager")
    problems += _manager_problems(manager)
    validation = path.param("fieldValidation")
    if validation not in _VALIDATIONS:
        problems.append(field.unsupported("fieldValidation", validation, ["Ignore", "Strict", "Warn"]))
    if problems:
        raise invalid(kind, "meta.k8s.io", "", [problem.cause() for problem in problems])
    return Options(
        user=user,
        manager=manager or manager_of(user_agent),
        dry_run=bool(dry_run),
        field_validation=validation or "Warn",
        version=version,
    )


def _dry_run_problems(values: list[str]) -> list[FieldError]:
    return [field.unsupported("dryRun", values, ["All"])] if any(value != "All" for value in values) else []


def _manager_problems(manager: str) -> list[FieldError]:
    problems = []
    if len(manager) > _MANAGER_LIMIT:
        problems.append(field.too_long("fieldManager", _MANAGER_LIMIT))
    for index, character in enumerate(manager):
        if not character.isprintable():
            what = f"should only contain printable characters (invalid character at position {index})"
            problems.append(field.invalid("fieldManager", manager, what))
            break
    return problems


def manager_of(user_agent: str) -> str:
    """The field manager of a request that names none: the User-Agent up to its first slash."""
    prefix = user_agent.split("/")[0][:_MANAGER_LIMIT]
    return "".join(character for character in prefix if character.isprintable()) or "unknown"


def delete_options(body: dict[str, Any] | None, path: Path) -> tuple[DeleteOptions, bool]:
    """(options, dry run) from the body or, without one, from the query. Raises ApiError 400 or 422."""
    given: dict[str, Any] = body or {}
    if body is None:
        if grace := path.param("gracePeriodSeconds"):
            try:
                given["gracePeriodSeconds"] = int(grace)
            except ValueError as error:
                raise bad_request(f'strconv.ParseInt: parsing "{grace}": invalid syntax') from error
        if propagation := path.param("propagationPolicy"):
            given["propagationPolicy"] = propagation
        if "orphanDependents" in path.query:
            given["orphanDependents"] = path.flag("orphanDependents")
    dry_run = given.get("dryRun") or path.query.get("dryRun", [])
    grace_seconds = given.get("gracePeriodSeconds")
    if grace_seconds is not None and (not isinstance(grace_seconds, int) or isinstance(grace_seconds, bool)):
        raise bad_request("json: cannot unmarshal into Go struct field DeleteOptions.gracePeriodSeconds of type int64")
    orphan, policy = given.get("orphanDependents"), given.get("propagationPolicy")
    problems: list[FieldError] = _dry_run_problems(list(dry_run))
    if orphan is not None and policy is not None:
        what = "orphanDependents and deletionPropagation cannot be both set"
        problems.append(field.invalid("propagationPolicy", policy, what))
    if policy not in (None, "Background", "Foreground", "Orphan"):
        problems.append(field.unsupported("propagationPolicy", policy, ["Background", "Foreground", "Orphan", "nil"]))
    if problems:
        raise invalid("DeleteOptions", "meta.k8s.io", "", [problem.cause() for problem in problems])
    if orphan is not None:
        policy = "Orphan" if orphan else "Background"
    preconditions = given.get("preconditions") or {}
    found = DeleteOptions(
        grace_seconds,
        policy or "",
        str(preconditions.get("uid") or ""),
        str(preconditions.get("resourceVersion") or ""),
        orphan is False,
    )
    return found, bool(dry_run)
