"""API errors as the server says them: metav1.Status with code, reason, message, details and causes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of a refusal. `reason` as in metav1.CauseType (`FieldValueInvalid`, `FieldValueRequired` ...)."""

    reason: str
    message: str
    field: str = ""


class ApiError(Exception):
    """A refused request. `str()` is the Status message. Source: k8s.io/apimachinery/pkg/api/errors."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        name: str = "",
        group: str = "",
        kind: str = "",
        uid: str = "",
        causes: Sequence[Cause] = (),
        retry_after: int = 0,
        continue_token: str = "",
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.name, self.group, self.kind, self.uid = name, group, kind, uid
        self.causes, self.retry_after = tuple(causes), retry_after
        self.continue_token = continue_token

    def status(self) -> dict[str, Any]:
        """The metav1.Status body."""
        details: dict[str, Any] = {}
        for key in ("name", "group", "kind", "uid"):
            if value := getattr(self, key):
                details[key] = value
        if self.causes:
            details["causes"] = [
                {"reason": c.reason, "message": c.message, **({"field": c.field} if c.field else {})}
                for c in self.causes
            ]
        if self.retry_after:
            details["retryAfterSeconds"] = self.retry_after
        metadata = {"continue": self.continue_token} if self.continue_token else {}
        body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure"}
        body |= {"message": self.message, "reason": self.reason}
        if details:
            body["details"] = details
        return body | {"code": self.code}


def not_found(resource: str, group: str, name: str) -> ApiError:
    """`resource` is the plural, without the group."""
    full = f"{resource}.{group}" if group else resource
    return ApiError(404, "NotFound", f'{full} "{name}" not found', name=name, group=group, kind=resource)


def already_exists(resource: str, group: str, name: str) -> ApiError:
    full = f"{resource}.{group}" if group else resource
    return ApiError(409, "AlreadyExists", f'{full} "{name}" already exists', name=name, group=group, kind=resource)


def conflict(resource: str, group: str, name: str, why: str) -> ApiError:
    full = f"{resource}.{group}" if group else resource
    message = f'Operation cannot be fulfilled on {full} "{name}": {why}'
    return ApiError(409, "Conflict", message, name=name, group=group, kind=resource)


def forbidden(resource: str, group: str, name: str, why: str) -> ApiError:
    full = f"{resource}.{group}" if group else resource
    message = f'{full} "{name}" is forbidden: {why}' if name else f"{full} is forbidden: {why}"
    return ApiError(403, "Forbidden", message, name=name, group=group, kind=resource)


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422 with every cause. `kind` is the Kind, not the resource."""
    full = f"{kind}.{group}" if group else kind
    sentences = list(dict.fromkeys(f"{c.field}: {c.message}" if c.field else f"<nil>: {c.message}" for c in causes))
    text = sentences[0] if len(sentences) == 1 else f"[{', '.join(sentences)}]"
    return ApiError(
        422,
        "Invalid",
        f'{full} "{name}" is invalid: {text}',
        name=name,
        group=group,
        kind=kind,
        causes=causes,
    )
