"""What rendering sees of the cluster: frozen values taken from the Kubernetes objects at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Config = dict[str, Any]
"""An Istio object as plain JSON, in its storage version."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One running pod."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    service_account: str
    ip: str
    sidecar: bool
    """It has an istio-proxy container; without one it speaks and hears plaintext only."""
    gateway: bool = False
    """It is an ingress or egress gateway: an istio-proxy and nothing else."""
    app_ports: tuple[int, ...] = ()
    """What its containers listen on."""
    container_ports: Mapping[str, int] = field(default_factory=dict)
    """Named container ports, for Services' targetPort."""
    ready: bool = True
    annotations: Mapping[str, str] = field(default_factory=dict)
    node: str = ""

    @property
    def key(self) -> str:
        """How Envoy's names and the logs spell it: `pod.namespace`."""
        return f"{self.name}.{self.namespace}"

    def spiffe(self, trust_domain: str) -> str:
        return f"spiffe://{trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    name: str
    port: int
    target: int | str
    protocol: str = "TCP"
    app_protocol: str = ""

    @property
    def kind(self) -> str:
        """Istio's protocol selection: http, http2, grpc, https, tls, tcp, mongo, mysql, redis, udp, or auto.

        From appProtocol, else the name up to its first dash. Source: istio.io, Protocol Selection.
        """
        if self.protocol != "TCP":
            return self.protocol.lower()
        word = (self.app_protocol or self.name.partition("-")[0]).lower()
        if word == "kubernetes.io/h2c":
            return "http2"
        known = ("http", "http2", "grpc", "grpc-web", "https", "tls", "tcp", "mongo", "mysql", "redis")
        return word if word in known else "auto"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod behind a service, or an address of a ServiceEntry. `workload` is None for what is outside the mesh."""

    address: str
    port: int
    workload: Workload | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    weight: int = 1
    plain: bool = False
    """Reached through a name of DNS or from outside the registry: never with the mesh's own TLS."""


@dataclass(frozen=True, slots=True)
class Service:
    """A Kubernetes Service or one host of a ServiceEntry."""

    host: str
    """Full name: `reviews.default.svc.cluster.local`."""
    name: str
    namespace: str
    addresses: tuple[str, ...]
    """Virtual addresses, for ServiceEntries also ranges; empty for headless."""
    ports: tuple[ServicePort, ...]
    endpoints: Mapping[int, Sequence[Endpoint]]
    """By service port; ready ones only."""
    resolution: str = "STATIC"
    """STATIC, DNS, DNS_ROUND_ROBIN or NONE (pass through), as in ServiceEntry."""
    location: str = "MESH_INTERNAL"
    export_to: tuple[str, ...] = ("*",)
    external_name: str = ""
    selector: Mapping[str, str] = field(default_factory=dict)
    subject_alt_names: tuple[str, ...] = ()
    created: str = ""
    external: bool = False
    """From a ServiceEntry."""

    @property
    def headless(self) -> bool:
        return not self.addresses and not self.external and not self.external_name


@dataclass(frozen=True, slots=True)
class MeshConfig:
    trust_domain: str = "cluster.local"
    root_namespace: str = "istio-system"
    outbound_policy: str = "ALLOW_ANY"
    access_log: bool = True
    sampling: float = 1.0
    """Percent of requests that are traced."""
    detection_timeout: str = "0s"
    """How long a proxy waits for a connection's first bytes to tell what it speaks; 0: as long as it takes."""
    trusted_proxies: int = 0
    """Proxies before the gateways whose X-Forwarded-For is believed."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything rendering depends on. Two equal worlds render to equal configuration."""

    mesh: MeshConfig
    workloads: tuple[Workload, ...]
    services: tuple[Service, ...]
    configs: Mapping[str, Sequence[Config]]
    """Istio objects by kind name (`VirtualService`), oldest first, as istiod orders them."""
    secrets: Mapping[tuple[str, str], Mapping[str, bytes]]
    """TLS secrets in gateways' namespaces: (namespace, name) -> decoded data."""
    namespaces: Mapping[str, Mapping[str, str]]
    """Name -> labels."""
    network_policies: Sequence[Config] = ()

    def of(self, kind: str, namespace: str | None = None) -> list[Config]:
        found = self.configs.get(kind, ())
        return [c for c in found if namespace is None or c["metadata"].get("namespace") == namespace]
