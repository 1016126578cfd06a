"""The seam between the API machinery and everything in the server's process that acts on objects.

Controllers, admission and the programs in pods see the world only through `Api`. All of it runs on the server's
one event loop: calls are synchronous and atomic, a watch callback runs after the write that caused it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from labrunner.sandbox.kube.kinds import Kind

Obj = dict[str, Any]
"""A Kubernetes object as plain JSON. What `get`, `objects` and watches hand out is shared: copy before changing."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write, as watchers see it. `old` is None for ADDED; for DELETED `obj` is the last state."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    kind: str
    obj: Obj
    old: Obj | None
    resource_version: int


class Api(Protocol):
    """The API as seen from inside, with the rights of the control plane.

    `kind` is `Kind.id` (`Pod`, `apps/Deployment`); `namespace` is "" for cluster-scoped kinds. Objects go through
    defaulting, validation and admission like anybody else's; refusals raise `labrunner.sandbox.kube.status.ApiError`
    (`.code`, `.reason`, `.message`). Objects are in the kind's storage version.
    """

    def get(self, kind: str, name: str, namespace: str = "") -> Obj | None: ...

    def objects(self, kind: str, namespace: str = "", labels: Mapping[str, str] | None = None) -> list[Obj]:
        """Objects of a kind; `namespace=""`: all namespaces. `labels`: those that must be equal."""
        ...

    def owned(self, kind: str, owner_uid: str) -> list[Obj]:
        """Objects of `kind` whose controlling ownerReference has this uid (indexed)."""
        ...

    def create(self, obj: Obj, *, manager: str = "") -> Obj:
        """Create it; `metadata.generateName` is honoured. Raises ApiError 409 AlreadyExists."""
        ...

    def update(self, obj: Obj, *, manager: str = "") -> Obj:
        """Replace spec and metadata. A given resourceVersion must match (409 Conflict). No-op writes make no event."""
        ...

    def update_status(self, obj: Obj, *, manager: str = "") -> Obj:
        """Replace only `.status` (and its managedFields)."""
        ...

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        propagation: str = "Background",
        grace: int | None = None,
    ) -> None:
        """Start deletion (finalizers and pod grace apply); a missing object is not an error."""
        ...

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        """Take it out of the store now: what a kubelet or the namespace controller does at the end of a deletion."""
        ...

    def bind(self, pod: str, namespace: str, node: str) -> Obj:
        """Assign a pod to a node, as `pods/binding` does: nodeName and the PodScheduled condition. 409 if bound."""
        ...

    def record_event(
        self,
        involved: Obj,
        type_: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        *,
        component: str,
        field_path: str = "",
        host: str = "",
    ) -> None:
        """An Event about `involved`; the same one again raises its count, as client-go's recorder does.

        `field_path`: of involvedObject, e.g. `spec.containers{nginx}`; `host`: of its source, a node's name.
        """
        ...

    def subscribe(self, kinds: tuple[str, ...], callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call back for each change of these kinds (`()`: all); returns the function that ends it."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Run after real seconds multiplied by the sandbox's time scale (0 in CI: at once, on the next loop turn).

        For pretended work only (image pulls, start-up); never for time limits a user wrote. Returns a cancel.
        """
        ...

    def call_at(self, when: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Run at this time (`now()`'s clock), never scaled: deadlines, schedules, back-off. Returns a cancel."""
        ...

    def kinds(self) -> Iterable[Kind]:
        """Every kind served now, custom ones included."""
        ...

    def now(self) -> float:
        """Seconds since the epoch."""
        ...
