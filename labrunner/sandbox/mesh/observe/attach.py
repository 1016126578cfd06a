"""Joins an Observer to a running mesh: what it asks of the plane, its paths, and the proxies' logs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from labrunner.sandbox.mesh import envoy_filter
from labrunner.sandbox.mesh.ca import Identity
from labrunner.sandbox.mesh.model import MeshConfig, Workload, World
from labrunner.sandbox.mesh.observe.hosts import hosts_of
from labrunner.sandbox.mesh.observe.log_line import log_line
from labrunner.sandbox.mesh.observe.observer import Observer
from labrunner.sandbox.mesh.observe.record import Record
from labrunner.sandbox.mesh.observe.routes import install
from labrunner.sandbox.mesh.render import Resources, render_proxy
from labrunner.sandbox.workload.addresses import AddressPlan

if TYPE_CHECKING:
    from labrunner.sandbox.kube.server import ApiServer
    from labrunner.sandbox.mesh.plane import MeshPlane
    from labrunner.sandbox.workload.runtime import WorkloadRuntime

POLL_SECONDS = 0.1
"""How often the log's size is looked at, so that `kubectl logs -f` follows."""
_EMPTY = World(MeshConfig(), (), (), {}, {}, {})


class PlaneView:
    """A MeshPlane as an Observer sees it."""

    def __init__(self, plane: MeshPlane) -> None:
        self._plane = plane

    @property
    def access_log(self) -> Path:
        return self._plane.envoy.access_log

    @property
    def addresses(self) -> AddressPlan:
        return self._plane.network.plan

    def world(self) -> World:
        return self._plane.world or _EMPTY

    def resources(self, proxy: Workload) -> tuple[Resources, Resources]:
        """As they are in force; of a proxy that has not sent anything yet, as they will be when it does."""
        plane, world = self._plane, self.world()
        if not proxy.gateway and proxy.ip not in plane._active and plane.world is not None:
            around = plane._surroundings(world)
            listeners, clusters = render_proxy(world, around, proxy)
            if world.configs.get("EnvoyFilter"):
                listeners, clusters, _ = envoy_filter.apply(world, proxy, listeners, clusters, set(plane._refused))
            return listeners, clusters
        rendered, prefix = plane.rendered, f"{proxy.key}/"
        return (
            {name: each for name, each in rendered.listeners.items() if name.startswith(prefix)},
            {name: each for name, each in rendered.clusters.items() if name.startswith(prefix)},
        )

    def identity(self, proxy: Workload) -> Identity | None:
        return self._plane.identities.identity(proxy.spiffe(self.world().mesh.trust_domain))

    def root_pem(self) -> bytes:
        return self._plane.identities.root_pem

    def pending(self) -> bool:
        return not self._plane.settled

    def problem(self) -> str:
        return self._plane.problem

    def refused(self, proxy: Workload) -> str:
        prefix = f"{proxy.key}/"
        for refusal in self._plane.refusals:
            if not refusal.resources or any(name.startswith(prefix) for name in refusal.resources):
                return f"{refusal.what}: {refusal.detail}"
        return ""

    async def envoy_stats(self, pattern: str) -> Mapping[str, str]:
        return await self._plane.envoy.stats(pattern) if self._plane.envoy.pid else {}

    async def envoy_hosts(self, proxy: Workload) -> Mapping[str, Mapping[str, str]]:
        if not self._plane.envoy.pid:
            return {}
        document = json.loads(await self._plane.envoy.ask("GET", "/clusters?format=json"))
        return hosts_of(document, proxy.key, self.addresses)

    async def reopen_log(self) -> None:
        if self._plane.envoy.pid:
            await self._plane.envoy.ask("POST", "/reopen_logs")


log = logging.getLogger(__name__)
_WATCHING: list[asyncio.Task[None]] = []
"""Tasks that nobody else holds."""
_OBSERVERS: dict[int, Observer] = {}
"""By the network they see; for programs in pods. A process has one sandbox for its life."""


def observer_of(network: object) -> Observer | None:
    """Who watches the mesh on this network."""
    return _OBSERVERS.get(id(network))


def attach(server: ApiServer, plane: MeshPlane, runtime: WorkloadRuntime, version: str) -> Observer:
    """Serve what is seen, and give every istio-proxy container its log."""
    observer = Observer(PlaneView(plane), version=version)
    _OBSERVERS[id(runtime.network)] = observer
    observer.skip_past()
    install(server, observer)

    def written(record: Record) -> None:
        name, _, namespace = record.proxy.rpartition(".")
        for pod in runtime.pods.values():
            if pod.name == name and pod.namespace == namespace and "istio-proxy" in pod.containers:
                pod.containers["istio-proxy"].log.append("stdout", f"{log_line(record)}\n".encode())

    observer.listeners.append(written)
    loop = asyncio.get_running_loop()

    async def watch() -> None:
        while True:
            count = 0
            try:
                count = await observer.follow()
                observer.graph.look()
                await observer.keep_small()
            except OSError as error:
                log.warning("the mesh's access log: %s", error)
            if not count:
                await asyncio.sleep(POLL_SECONDS)

    _WATCHING.append(loop.create_task(watch(), name="access-log"))
    return observer
