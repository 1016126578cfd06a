"""What a sidecar may see: exportTo, the Sidecar resource that applies, and where unknown traffic goes.

Source: pilot/pkg/model/sidecar.go and the Sidecar reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from labrunner.sandbox.mesh.model import Config, Service, Workload, World
from labrunner.sandbox.mesh.traffic.hosts import config_visible, matches, visible


@dataclass(frozen=True, slots=True)
class SidecarScope:
    services: tuple[Service, ...]
    virtual_services: tuple[Config, ...]
    """Those that speak to `mesh`, oldest first."""
    registry_only: bool
    source: str = ""
    """`namespace/name` of the Sidecar resource, empty without one."""


def scope_for(world: World, proxy: Workload) -> SidecarScope:
    sidecar = sidecar_for(world, proxy)
    services = [s for s in world.services if visible(s.export_to, s.namespace, proxy.namespace)]
    virtual = [v for v in world.of("VirtualService") if config_visible(v, proxy.namespace) and _is_for_mesh(v)]
    spec: dict[str, Any] = (sidecar or {}).get("spec") or {}
    listeners = spec.get("egress") or ()
    if egress := [host for listener in listeners for host in listener.get("hosts") or ()]:
        services = [found for s in services if (found := _imported(listeners, s, proxy)) is not None]
        virtual = [v for v in virtual if _wants_virtual_service(egress, v, proxy)]
    mode = (spec.get("outboundTrafficPolicy") or {}).get("mode") or world.mesh.outbound_policy
    meta = (sidecar or {}).get("metadata") or {}
    source = f"{meta.get('namespace', '')}/{meta['name']}" if sidecar else ""
    return SidecarScope(tuple(services), tuple(virtual), mode == "REGISTRY_ONLY", source)


def _imported(listeners: Sequence[dict[str, Any]], service: Service, proxy: Workload) -> Service | None:
    """The service with the ports that egress listeners import: all of them, or the one a listener is for."""
    ports: dict[int, None] = {}
    for listener in listeners:
        if not any(_wanted(host, service.namespace, service.host, proxy) for host in listener.get("hosts") or ()):
            continue
        stated = (listener.get("port") or {}).get("number")
        if not stated:
            return service
        ports |= {port.port: None for port in service.ports if port.port == int(stated)}
    found = tuple(port for port in service.ports if port.port in ports)
    return replace(service, ports=found) if found else None


def sidecar_for(world: World, proxy: Workload) -> Config | None:
    """The one that selects the workload, else the namespace's, else the root namespace's."""
    for namespace in dict.fromkeys((proxy.namespace, world.mesh.root_namespace)):
        general = None
        for config in world.of("Sidecar", namespace):
            labels = ((config.get("spec") or {}).get("workloadSelector") or {}).get("labels") or {}
            if not labels:
                general = general or config
            elif namespace == proxy.namespace and all(proxy.labels.get(k) == v for k, v in labels.items()):
                return config
        if general is not None:
            return general
    return None


def _is_for_mesh(config: Config) -> bool:
    return "mesh" in ((config.get("spec") or {}).get("gateways") or ["mesh"])


def _wanted(pattern: str, namespace: str, host: str, proxy: Workload) -> bool:
    """`namespace/host`, with `.` for one's own, `*` for any and `~` for none."""
    where, slash, name = pattern.partition("/")
    if not slash:
        where, name = "*", pattern
    if where == "~" or (where == "." and namespace != proxy.namespace) or (where not in ("*", ".", namespace)):
        return False
    return matches(name, host)


def _wants_virtual_service(egress: list[str], config: Config, proxy: Workload) -> bool:
    from labrunner.sandbox.mesh.traffic.hosts import full_name

    namespace = config["metadata"].get("namespace", "")
    hosts = [full_name(host, namespace) for host in (config.get("spec") or {}).get("hosts") or ()]
    return any(
        _wanted(pattern, namespace, host, proxy) or matches(host, pattern.partition("/")[2])
        for pattern in egress
        for host in hosts
        if pattern.partition("/")[0] in ("*", namespace) or (pattern.startswith("./") and namespace == proxy.namespace)
    )
