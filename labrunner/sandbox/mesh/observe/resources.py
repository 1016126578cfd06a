"""What belongs to one node of the graph: its pods and their identities, its services, and the objects that rule it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labrunner.sandbox.mesh.model import Config, Service, Workload, World
from labrunner.sandbox.mesh.observe.graph import Watched, node_id
from labrunner.sandbox.mesh.security.authorization import policies_for
from labrunner.sandbox.mesh.security.peer_authentication import peer_modes
from labrunner.sandbox.mesh.security.request_authentication import requests_for
from labrunner.sandbox.mesh.traffic.hosts import DOMAIN


def resources(watched: Watched, key: str) -> dict[str, Any] | None:
    """The node `key` (see `graph.node_id`); None when there is none."""
    world = watched.world()
    workloads = [w for w in world.workloads if node_id(w) == key]
    if not workloads:
        return None
    first = workloads[0]
    services = [s for s in world.services if any(e.workload in workloads for g in s.endpoints.values() for e in g)]
    modes = peer_modes(world, first)
    return {
        "id": key,
        "pods": [_pod(watched, workload) for workload in workloads],
        "serviceAccount": first.service_account,
        "labels": dict(first.labels),
        "services": [
            {"host": s.host, "addresses": list(s.addresses), "ports": [f"{p.port}/{p.kind}" for p in s.ports]}
            for s in services
        ],
        "mtls": {
            "mode": modes.default if first.sidecar else "",
            "ports": {str(port): mode for port, mode in modes.ports.items()},
            "from": modes.sources[-1] if modes.sources else "",
        },
        "objects": _ruling(world, first, services),
    }


def _pod(watched: Watched, workload: Workload) -> dict[str, Any]:
    identity = watched.identity(workload) if workload.sidecar or workload.gateway else None
    state = "none" if not (workload.sidecar or workload.gateway) else "SYNCED"
    if state == "SYNCED" and (watched.pending() or watched.problem()):
        state = "STALE"
    refused = watched.refused(workload) if state != "none" else ""
    return {
        "name": workload.name, "ip": workload.ip, "node": workload.node, "ready": workload.ready,
        "proxy": "REFUSED" if refused else state, "refused": refused,
        "identity": identity.spiffe if identity else "",
        "notAfter": identity.not_after.isoformat() if identity else "",
    }  # fmt: skip


def _ruling(world: World, workload: Workload, services: list[Service]) -> list[dict[str, str]]:
    """Objects that decide about calls to the workload or route them, most specific last within a kind."""
    found = []
    if workload.sidecar or workload.gateway:
        for policy in policies_for(world, workload):
            spec = policy.get("spec") or {}
            rules = len(spec.get("rules") or ())
            says = f"{spec.get('action', 'ALLOW')}, {rules or 'no'} rule{'' if rules == 1 else 's'}"
            found.append(_object("AuthorizationPolicy", policy, says))
        sources = set(peer_modes(world, workload).sources)
        for peer in world.of("PeerAuthentication"):
            if f"{peer['metadata'].get('namespace')}/{peer['metadata']['name']}" in sources:
                mode = ((peer.get("spec") or {}).get("mtls") or {}).get("mode", "UNSET")
                found.append(_object("PeerAuthentication", peer, mode))
        for request in requests_for(world, workload):
            issuers = ", ".join(r.get("issuer", "") for r in (request.get("spec") or {}).get("jwtRules") or ())
            found.append(_object("RequestAuthentication", request, issuers))
    for rule in world.of("DestinationRule"):
        spec = rule.get("spec") or {}
        if any(_names(spec.get("host", ""), rule, s) for s in services):
            subsets = ", ".join(s.get("name", "") for s in spec.get("subsets") or ())
            found.append(_object("DestinationRule", rule, f"subsets {subsets}" if subsets else ""))
    for virtual in world.of("VirtualService"):
        spec = virtual.get("spec") or {}
        gateways = [g for g in spec.get("gateways") or () if g != "mesh"]
        routed = {d.get("host", "") for d in _destinations(spec)}
        if any(_names(host, virtual, s) for s in services for host in {*spec.get("hosts", ()), *routed}):
            found.append(
                _object("VirtualService", virtual, f"through {', '.join(gateways)}" if gateways else "in the mesh")
            )
    if workload.gateway:
        for gateway in world.of("Gateway"):
            selector = (gateway.get("spec") or {}).get("selector") or {}
            if all(workload.labels.get(k) == v for k, v in selector.items()):
                found.append(_object("Gateway", gateway, _servers(gateway)))
    for policy in world.network_policies:
        selector = ((policy.get("spec") or {}).get("podSelector") or {}).get("matchLabels") or {}
        same = policy["metadata"].get("namespace") == workload.namespace
        if same and all(workload.labels.get(k) == v for k, v in selector.items()):
            found.append(
                _object("NetworkPolicy", policy, ", ".join((policy.get("spec") or {}).get("policyTypes") or ()))
            )
    return found


def _object(kind: str, config: Config, says: str) -> dict[str, str]:
    meta = config["metadata"]
    return {"kind": kind, "name": f"{meta.get('namespace', '')}/{meta['name']}", "says": says}


def _names(host: str, config: Config, service: Service) -> bool:
    """Whether a host, as the object spells it, is this service."""
    full = host if "." in host else f"{host}.{config['metadata'].get('namespace', '')}.{DOMAIN}"
    return full in (service.host, f"{service.name}.{service.namespace}", f"{service.name}.{service.namespace}.svc")


def _destinations(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        part.get("destination") or {}
        for kind in ("http", "tls", "tcp")
        for route in spec.get(kind) or ()
        for part in route.get("route") or ()
    ]


def _servers(gateway: Config) -> str:
    said = []
    for server in (gateway.get("spec") or {}).get("servers") or ():
        port = server.get("port") or {}
        mode = (server.get("tls") or {}).get("mode") or port.get("protocol", "")
        said.append(f"{port.get('number')} {mode}")
    return ", ".join(said)
