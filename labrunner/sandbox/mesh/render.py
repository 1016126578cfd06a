"""A World as Envoy resources: every listener and cluster of every proxy, by name. Pure.

Proxies that have not sent anything yet have no outbound side: it costs memory for each service they might call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from labrunner.sandbox.mesh import envoy_filter
from labrunner.sandbox.mesh.model import Endpoint, Workload, World
from labrunner.sandbox.mesh.traffic.cluster import ClusterContext
from labrunner.sandbox.mesh.traffic.gateway import gateway
from labrunner.sandbox.mesh.traffic.inbound import InboundContext, inbound
from labrunner.sandbox.mesh.traffic.outbound import outbound
from labrunner.sandbox.workload.addresses import AddressPlan

Resources = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What rendering needs to know of this machine."""

    addresses: AddressPlan
    app_address: Callable[[Workload, int], dict[str, Any]]
    reachable: Callable[[Workload, Endpoint], bool]
    black_hole: tuple[str, int]
    wire: tuple[str, int]


@dataclass(slots=True)
class Rendered:
    """`problems`: what the configuration asks for that is not done, by object (`Kind namespace/name`)."""

    listeners: Resources = field(default_factory=dict)
    clusters: Resources = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    patched: dict[str, set[str]] = field(default_factory=dict)
    """EnvoyFilters (`namespace/name`) -> proxies they changed."""


def render(world: World, around: Surroundings, active: Collection[str], without: Collection[str] = ()) -> Rendered:
    """`active`: addresses of pods whose outbound side is wanted; `without`: EnvoyFilters that Envoy has refused."""
    found = Rendered()
    for proxy in world.workloads:
        if proxy.sidecar or proxy.gateway:
            listeners, clusters = render_proxy(world, around, proxy, outbound_too=proxy.ip in active)
            if world.configs.get("EnvoyFilter"):
                listeners, clusters, patched = envoy_filter.apply(world, proxy, listeners, clusters, without)
                for name in patched.used:
                    found.patched.setdefault(name, set()).add(proxy.key)
                found.problems |= {f"EnvoyFilter {name}": text for name, text in patched.problems.items()}
            found.listeners.update(listeners)
            found.clusters.update(clusters)
    return found


def render_proxy(
    world: World, around: Surroundings, proxy: Workload, *, outbound_too: bool = True
) -> tuple[Resources, Resources]:
    """One proxy's listeners and clusters."""
    identity = proxy.spiffe(world.mesh.trust_domain)
    context = ClusterContext(world, proxy, around.addresses, identity, around.reachable, around.black_hole, around.wire)
    if proxy.gateway:
        listeners, clusters = gateway(context)
    else:
        listeners, clusters = inbound(InboundContext(world, proxy, around.addresses, identity, around.app_address))
        if outbound_too:
            more_listeners, more_clusters = outbound(context)
            listeners, clusters = [*listeners, *more_listeners], [*clusters, *more_clusters]
    return _by_name(listeners), _by_name(clusters)


def _by_name(resources: list[dict[str, Any]]) -> Resources:
    return {resource["name"]: resource for resource in resources}
