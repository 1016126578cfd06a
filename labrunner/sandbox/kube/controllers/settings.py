"""What the controllers of one sandbox are told: addresses, certificates, nodes, the mesh that is installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from labrunner.sandbox.kube.controllers.kubelet.runtime import ContainerRuntime

Flavour = Literal["aks", "istio", "none"]


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """Which Istio is installed: AKS's add-on (revisions, `aks-istio-*` namespaces), upstream's, or none."""

    flavour: Flavour = "aks"
    revisions: tuple[str, ...] = ("asm-1-25",)
    """Installed control planes: the values of `istio.io/rev` that inject. Upstream calls its one `default`."""
    version: str = "1.25.3"
    root_cert_pem: str = ""
    """The mesh's root certificate, for `istio-ca-root-cert`; empty: the cluster CA's."""

    @property
    def system_namespace(self) -> str:
        return "aks-istio-system" if self.flavour == "aks" else "istio-system"

    @property
    def ingress_namespace(self) -> str:
        return "aks-istio-ingress" if self.flavour == "aks" else "istio-system"


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """Settings of a sandbox's controllers. Times are real seconds before the sandbox's time scale."""

    ca_pem: str = ""
    """The cluster CA, for `kube-root-ca.crt`."""
    nodes: int = 3
    kubelet_version: str = "v1.36.1"
    service_cidr: str = "10.96.0.0/16"
    pod_cidr: str = "10.244.0.0/16"
    node_cidr: str = "10.224.0.0/16"
    external_cidr: str = "20.103.0.0/16"
    """Where public LoadBalancers get their addresses; internal ones take theirs from `node_cidr`."""
    load_balancer_delay: float = 3.0
    grace: float = 0.1
    """Share of terminationGracePeriodSeconds that a container which ignores SIGTERM really takes."""
    mesh: MeshSettings = field(default_factory=MeshSettings)
    runtime: ContainerRuntime | None = None
    """What runs in containers; None: images and commands are judged by `kubelet.runtime.PlannedRuntime` alone."""
