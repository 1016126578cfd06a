"""No world but the shell: for what needs no cluster."""

from __future__ import annotations

from collections.abc import Mapping

from labrunner.errors import EnvironmentFault
from labrunner.target.base import KubeClient


class ShellOnly:
    """Implements `labrunner.target.base.Target`; there is no API to ask."""

    name = "shell"

    def __init__(self) -> None:
        self.features: frozenset[str] = frozenset()

    def start(self) -> None:
        """There is nothing to start."""

    def stop(self) -> None:
        """There is nothing to stop."""

    def environment(self) -> Mapping[str, str]:
        return {}

    def kube(self) -> KubeClient:
        raise EnvironmentFault("this lab has no cluster", hint="its checks may ask of files and commands only")

    def snapshot(self, snapshot_id: str) -> bool:
        """Files and the shell are the whole world, and the session keeps them."""
        return True

    def restore(self, snapshot_id: str) -> bool:
        return True
