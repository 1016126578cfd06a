"""What lies where in a sandbox's directory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from labrunner.sandbox.sockets import sockets_of

SNAPSHOT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a snapshot may be called: a file's name, and no way out of the folder."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below a sandbox's directory; nothing is made here."""

    directory: Path

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def certificates(self) -> Path:
        return self.directory / "pki"

    @property
    def state(self) -> Path:
        """The journal and the audit log."""
        return self.directory / "state"

    @property
    def mesh(self) -> Path:
        """Envoy's files and the mesh's certificates."""
        return self.directory / "mesh"

    @property
    def sockets(self) -> Path:
        """Where Envoy and its control plane meet; not below the directory."""
        return sockets_of(self.mesh)

    @property
    def client(self) -> Path:
        """What curl and openssl need to reach the cluster's public addresses."""
        return self.mesh / "client"

    @property
    def snapshots(self) -> Path:
        return self.directory / "snapshots"

    @property
    def commands(self) -> Path:
        """First on the learner's PATH."""
        return self.directory / "bin"

    @property
    def kube_cache(self) -> Path:
        """kubectl's discovery cache."""
        return self.directory / "kube-cache"

    @property
    def flavour(self) -> Path:
        """Which Istio the cluster was made with."""
        return self.directory / "flavour"

    @property
    def log(self) -> Path:
        return self.directory / "sandbox.log"

    @property
    def running(self) -> Path:
        """Locked by the server's process for as long as it lives; holds its pid and port."""
        return self.directory / "running"

    @property
    def starting(self) -> Path:
        """Locked by whoever starts or stops the sandbox."""
        return self.directory / "starting"

    @property
    def port(self) -> Path:
        """The port used last."""
        return self.directory / "port"
