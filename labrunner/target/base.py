"""The seam between the runner and the world a lab runs in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from labrunner.errors import LabrunnerError

KubeObject = dict[str, Any]
"""A Kubernetes object as plain JSON."""


class UnknownKind(LabrunnerError):
    """The API does not serve this kind in this version: a CRD is missing, or the name is wrong."""


class ObjectName(NamedTuple):
    """One object's identity; `namespace` is empty for cluster-scoped kinds."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Change(NamedTuple):
    """What a watch tells. `type`: ADDED, MODIFIED or DELETED; `object`: as it is now, or was last."""

    type: str
    object: KubeObject


class Watch(Protocol):
    """An open watch; iterating blocks between changes. See `labrunner.target.kube_watch.KubeWatch`."""

    def __iter__(self) -> Iterator[Change]: ...
    def close(self) -> None:
        """End the iteration, from any thread."""
        ...


@runtime_checkable
class Watches(Protocol):
    """A `KubeClient` that tells changes as they happen."""

    def watch(self, api_version: str, kind: str) -> Watch:
        """Changes from now on of all objects of a kind: in all namespaces, or where the credentials do not go that
        far, in the context's. Raises as `KubeClient` does."""
        ...


class KubeClient(Protocol):
    """What checks need of a Kubernetes API; reads only. Thread-safe.

    Raises `EnvironmentFault` when the API cannot be reached or refuses the credentials, and
    `UnknownKind` when it does not serve the kind asked for.
    """

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> KubeObject | None:
        """The object, or None when it does not exist. `namespace=None`: the context's, for namespaced kinds."""
        ...

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        all_namespaces: bool = False,
        label_selector: str = "",
        field_selector: str = "",
    ) -> list[KubeObject]: ...

    def namespace(self) -> str:
        """The context's namespace: where namespaced objects are looked for when none is named."""
        ...

    def namespaced(self, api_version: str, kind: str) -> bool: ...

    def inventory(self) -> set[ObjectName]:
        """Everything that is there and that a user made: what `validate` compares before and after cleanup.

        Left out: what the control plane makes by itself (events, endpoints, leases, default ServiceAccounts,
        kube-root-ca.crt, objects that a controller owns).
        """
        ...


class Target(Protocol):
    """A world: started before the first block, stopped when the session ends."""

    name: str
    """`sandbox` or `live`."""
    features: frozenset[str]
    """See `labrunner.lab.model.Requires.features`."""

    def start(self) -> None:
        """Bring it up, or attach to it; idempotent. Raises `EnvironmentFault` with the way out."""
        ...

    def stop(self) -> None:
        """Leave nothing running that `start` started; state is kept; idempotent, never raises."""
        ...

    def environment(self) -> Mapping[str, str]:
        """What the lab's shell needs on top of its own environment: KUBECONFIG, PATH, KUBECACHEDIR ..."""
        ...

    def kube(self) -> KubeClient: ...

    def snapshot(self, snapshot_id: str) -> bool:
        """Keep the whole world under this id; False where the target cannot."""
        ...

    def restore(self, snapshot_id: str) -> bool:
        """Put the world back as it was at `snapshot`; False where the target cannot."""
        ...


@runtime_checkable
class Revivable(Protocol):
    """A target that may end under a running session, and that can be brought back as it was."""

    def revive(self) -> bool:
        """Bring it up again if it has ended; False when there was nothing to do. Raises `EnvironmentFault`."""
        ...
