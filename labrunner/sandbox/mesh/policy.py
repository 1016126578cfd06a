"""NetworkPolicies: who may open a connection to whom. Denied packets are dropped, not refused.

Source: the NetworkPolicy API reference (policies add up; a pod that none selects for a direction is open there).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from labrunner.sandbox.mesh.model import Config, Workload, World


def allows(world: World, source: Workload, target: Workload, port: int) -> bool:
    """Whether `source` may open a TCP connection to this port of `target`."""
    if not world.network_policies:
        return True
    return _direction(world, source, "Egress", target, target.ip, target, port) and _direction(
        world, target, "Ingress", source, source.ip, target, port
    )


def allows_addresses(
    world: World, by_ip: Mapping[str, Workload], source: str, target: str, port: int, protocol: str = "TCP"
) -> bool:
    """As `allows`, where either end may be no pod (an empty address: the node)."""
    if not world.network_policies:
        return True
    one, other = by_ip.get(source), by_ip.get(target)
    if one is not None and not _direction(world, one, "Egress", other, target, other, port, protocol):
        return False
    # A node always reaches the pods that run on it: kubelets probe them.
    return other is None or not source or _direction(world, other, "Ingress", one, source, other, port, protocol)


def blocking(world: World, source: Workload | None, target: Workload | None, port: int) -> list[str]:
    """What keeps `source` from this port of `target`, for explanations: `Ingress of NetworkPolicy shop/deny` ..."""
    found = []
    for pod, direction, peer in ((source, "Egress", target), (target, "Ingress", source)):
        if pod is None or (direction == "Ingress" and source is None):
            continue
        if not _direction(world, pod, direction, peer, peer.ip if peer else "", target, port):
            found += [f"{direction} of NetworkPolicy {_name(p)}" for p in _applying(world, pod, direction)]
    return found


def _name(config: Config) -> str:
    return f"{config['metadata']['namespace']}/{config['metadata']['name']}"


def _applying(world: World, pod: Workload, direction: str) -> list[Config]:
    return [
        p
        for p in world.network_policies
        if p["metadata"]["namespace"] == pod.namespace
        and direction in _types(p)
        and selects((p.get("spec") or {}).get("podSelector"), pod.labels)
    ]


def _direction(
    world: World,
    pod: Workload,
    direction: str,
    peer: Workload | None,
    peer_ip: str,
    target: Workload | None,
    port: int,
    protocol: str = "TCP",
) -> bool:
    applying = _applying(world, pod, direction)
    if not applying:
        return True
    word = "from" if direction == "Ingress" else "to"
    for config in applying:
        for rule in (config.get("spec") or {}).get(direction.lower()) or ():
            rule = rule or {}
            peers = rule.get(word)
            if peers and not any(_is_peer(world, config, one, peer, peer_ip) for one in peers):
                continue
            if not rule.get("ports") or any(_is_port(one, target, port, protocol) for one in rule["ports"]):
                return True
    return False


def _types(config: Config) -> list[str]:
    spec = config.get("spec") or {}
    return list(spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]))


def _is_peer(world: World, config: Config, peer: dict[str, Any], workload: Workload | None, ip: str) -> bool:
    if block := peer.get("ipBlock"):
        if not ip:
            return False
        address = ipaddress.ip_address(ip)
        inside = address in ipaddress.ip_network(block["cidr"], strict=False)
        return inside and not any(address in ipaddress.ip_network(c, strict=False) for c in block.get("except") or ())
    if workload is None:
        return False
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], world.namespaces.get(workload.namespace, {})):
            return False
    elif workload.namespace != config["metadata"]["namespace"]:
        return False
    return "podSelector" not in peer or selects(peer["podSelector"], workload.labels)


def _is_port(entry: dict[str, Any], target: Workload | None, port: int, protocol: str) -> bool:
    if entry.get("protocol", "TCP") != protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str) and not wanted.isdigit():
        return target is not None and target.container_ports.get(wanted) == port
    return int(wanted) <= port <= int(entry.get("endPort") or wanted)


def selects(selector: dict[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """A LabelSelector; an empty one selects everything."""
    selector = selector or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or ():
        value, values = labels.get(expression["key"]), expression.get("values") or ()
        match expression["operator"]:
            case "In":
                good = value in values
            case "NotIn":
                good = value not in values
            case "Exists":
                good = value is not None
            case _:
                good = value is None
        if not good:
            return False
    return True
