"""Who asks for what: the user, the request's options, and what admission and the audit log see of a write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.kinds import Kind


@dataclass(frozen=True, slots=True)
class User:
    """Who a request is from, as authentication (and impersonation) found."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Keys and values of `userInfo.extra`, ordered."""

    def info(self) -> dict[str, object]:
        """As authentication.k8s.io/v1 UserInfo."""
        body: dict[str, object] = {"username": self.name}
        if self.uid:
            body["uid"] = self.uid
        if self.groups:
            body["groups"] = list(self.groups)
        if self.extra:
            body["extra"] = {key: list(values) for key, values in self.extra}
        return body


CONTROL_PLANE = User("system:kube-controller-manager", ("system:masters", "system:authenticated"))


@dataclass(frozen=True, slots=True)
class Attributes:
    """What an authorizer decides on. `resource` is the plural; `path` is set for non-resource requests only."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


Authorizer = Callable[[User, Attributes], tuple[bool, str]]
"""(allowed, reason); the reason is what is appended to `cannot ... in the namespace "x"`."""


@dataclass(slots=True)
class Options:
    """How a write is to be done. `warnings` collects what the answer's `Warning` headers say."""

    user: User = CONTROL_PLANE
    manager: str = ""
    dry_run: bool = False
    field_validation: str = "Warn"
    version: str = ""
    """The API version of the request, for managedFields; empty: the storage version."""
    warnings: list[str] = field(default_factory=list)
    applied: bool = False
    """The object comes from server-side apply, which has set its managedFields."""

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """One write, before it is validated and kept."""

    operation: Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
    kind: Kind
    namespace: str
    name: str
    subresource: str
    options: Options

    @property
    def user(self) -> User:
        return self.options.user


Admission = Callable[[Api, AdmissionRequest, Obj, Obj | None], Obj]
"""(api, request, obj, old) -> the object to go on with. May change `obj` in place; refuses by raising ApiError.

For DELETE `obj` is the object that would go, and what is returned is ignored.
"""


@dataclass(slots=True)
class DeleteOptions:
    """metav1.DeleteOptions."""

    grace: int | None = None
    propagation: str = ""
    """Background, Foreground, Orphan, or empty: the kind's default."""
    uid: str = ""
    resource_version: str = ""
    accepted: bool = False
    """The client set `orphanDependents: false`: answer 202 if it is not gone at once."""
