"""The embedded sandbox as a target."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path

from labrunner.errors import EnvironmentFault, LabrunnerError
from labrunner.sandbox.instance import Sandbox
from labrunner.target.base import KubeClient
from labrunner.target.kube_client import KubeApiClient


def sandbox_features() -> frozenset[str]:
    """What sandboxes on this machine can do: traffic in the mesh only where there is an Envoy."""
    from labrunner.sandbox.mesh.envoy import find_envoy

    features = {"kubernetes", "istio-crds"}
    with contextlib.suppress(EnvironmentFault):
        find_envoy()
        features.add("mesh")
    return frozenset(features)


class SandboxTarget:
    """Implements `labrunner.target.base.Target` over one sandbox.

    A sandbox that already runs is used and left running; one that does not is started as owned, so that it ends
    with this process however that ends.
    """

    name = "sandbox"

    def __init__(
        self,
        name: str = "default",
        *,
        ephemeral: bool = False,
        instant: bool = False,
        directory: Path | None = None,
    ) -> None:
        """`ephemeral`: `stop` also deletes it and all it holds. `instant`: pretended work takes no time (CI).

        `directory`: where the sandbox is, instead of the user's state directory.
        """
        self.features = sandbox_features()
        self.sandbox = Sandbox(name, directory)
        self._ephemeral = ephemeral
        self._instant = instant
        self._started = False
        self._client: KubeApiClient | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        if self.sandbox.start(owned=True, instant=self._instant):
            self._started = True
        self._kube().warm()

    def revive(self) -> bool:
        """See `labrunner.target.base.Revivable`. A proof's sandbox that ends is a finding, and stays down."""
        if self._ephemeral or self.sandbox.runs:
            return False
        self.start()
        return True

    def stop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        started, self._started = self._started, False
        with contextlib.suppress(LabrunnerError, OSError):
            if self._ephemeral and started:
                self.sandbox.destroy()
            elif started:
                self.sandbox.stop()

    def environment(self) -> Mapping[str, str]:
        return self.sandbox.environment()

    def kube(self) -> KubeClient:
        return self._kube()

    def _kube(self) -> KubeApiClient:
        with self._lock:
            if self._client is None:
                self._client = KubeApiClient(self.sandbox.environment()["KUBECONFIG"])
            return self._client

    def snapshot(self, snapshot_id: str) -> bool:
        self.sandbox.snapshot_save(snapshot_id)
        return True

    def restore(self, snapshot_id: str) -> bool:
        self.sandbox.snapshot_restore(snapshot_id)
        return True
