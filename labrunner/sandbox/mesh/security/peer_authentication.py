"""Which mTLS mode each port of a workload has: port over workload over namespace over mesh.

Source: pilot/pkg/security/authn/policy_applier.go (ComposePeerAuthentication) and the PeerAuthentication reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from labrunner.sandbox.mesh.model import Config, Workload, World

Mode = Literal["STRICT", "PERMISSIVE", "DISABLE"]


@dataclass(frozen=True, slots=True)
class PeerModes:
    """`ports` by container port; other ports have `default`. `sources`: the object each level came from."""

    default: Mode = "PERMISSIVE"
    ports: Mapping[int, Mode] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    def of(self, port: int) -> Mode:
        return self.ports.get(port, self.default)


def peer_modes(world: World, workload: Workload) -> PeerModes:
    """What this workload's sidecar accepts."""
    root = world.mesh.root_namespace
    mesh = namespace = own = None
    for policy in [*world.of("PeerAuthentication", root), *_elsewhere(world, workload.namespace, root)]:
        spec = policy.get("spec") or {}
        selector = (spec.get("selector") or {}).get("matchLabels") or {}
        where = policy["metadata"].get("namespace")
        # The oldest wins at each level, and objects come oldest first.
        if not selector and where == root:
            mesh = mesh or policy
        elif not selector:
            namespace = namespace or policy
        elif where != root and all(workload.labels.get(k) == v for k, v in selector.items()):
            own = own or policy
    mode: Mode = "PERMISSIVE"
    sources = []
    for level in (mesh, namespace, own):
        found = _mode((level or {}).get("spec", {}).get("mtls"))
        if level is not None and found:
            mode = found
            sources.append(f"{level['metadata'].get('namespace')}/{level['metadata']['name']}")
    ports: dict[int, Mode] = {}
    for port, mtls in ((own or {}).get("spec", {}).get("portLevelMtls") or {}).items():
        ports[int(port)] = _mode(mtls) or mode
    return PeerModes(mode, ports, tuple(sources))


def _elsewhere(world: World, namespace: str, root: str) -> list[Config]:
    return world.of("PeerAuthentication", namespace) if namespace != root else []


def _mode(mtls: Mapping[str, str] | None) -> Mode | None:
    """None for UNSET, which inherits."""
    match (mtls or {}).get("mode"):
        case "STRICT":
            return "STRICT"
        case "PERMISSIVE":
            return "PERMISSIVE"
        case "DISABLE":
            return "DISABLE"
    return None
