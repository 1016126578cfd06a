"""A pod as a machine: its containers, the volumes they share, its network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labrunner.sandbox.workload.filesystem.tree import Usage

if TYPE_CHECKING:
    from labrunner.sandbox.workload.filesystem.node import Directory
    from labrunner.sandbox.workload.machine.container import ContainerMachine
    from labrunner.sandbox.workload.network import PodNetwork


class PodMachine:
    """One pod on its node. Runs of a container that ended stay until the next one ends (`previous`)."""

    def __init__(self, uid: str, namespace: str, name: str, hostname: str, network: PodNetwork) -> None:
        self.uid, self.namespace, self.name, self.hostname, self.network = uid, namespace, name, hostname, network
        self.containers: dict[str, ContainerMachine] = {}
        self.previous: dict[str, ContainerMachine] = {}
        self.volumes: dict[str, Directory] = {}
        """emptyDir and claims, by volume name."""
        self.usage = Usage()
        self.infra: ContainerMachine | None = None
        """The container of the first process that all see (`shareProcessNamespace`)."""

    def process_count(self) -> int:
        return sum(len(c._processes) for c in self.containers.values())

    def add(self, container: ContainerMachine) -> None:
        """A new run of a container."""
        if before := self.containers.get(container.name):
            self.previous[container.name] = before
        self.containers[container.name] = container

    def network_ip(self) -> str:
        """Its address; empty before it has one."""
        return self.network.ip()
