"""Who a record is about: workloads, services and identities as Istio's standard labels name them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from labrunner.sandbox.mesh.model import Service, Workload
from labrunner.sandbox.mesh.observe.record import Record

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Peer:
    """One side of a request."""

    workload: str = UNKNOWN
    namespace: str = UNKNOWN
    app: str = UNKNOWN
    version: str = UNKNOWN
    canonical_service: str = UNKNOWN
    canonical_revision: str = "latest"
    principal: str = UNKNOWN
    known: bool = False


@dataclass(slots=True)
class Directory:
    """Workloads by key and address, services by host."""

    trust_domain: str = "cluster.local"
    by_key: dict[str, Workload] = field(default_factory=dict)
    by_ip: dict[str, Workload] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    gateways: dict[str, Workload] = field(default_factory=dict)
    """By identity: a gateway's connections do not come from its own address."""

    @classmethod
    def of(cls, workloads: Iterable[Workload], services: Iterable[Service], trust_domain: str) -> Directory:
        all_of = list(workloads)
        gateways = {w.spiffe(trust_domain): w for w in all_of if w.gateway}
        by_key, by_ip = {w.key: w for w in all_of}, {w.ip: w for w in all_of}
        return cls(trust_domain, by_key, by_ip, {s.host: s for s in services}, gateways)

    def source(self, record: Record) -> tuple[Peer, Workload | None]:
        if record.direction == "outbound":
            workload = self.by_key.get(record.proxy)
        else:
            workload = self.by_ip.get((record.direct_remote or record.remote).rpartition(":")[0])
            workload = workload or self.gateways.get(record.peer)
        own = record.own
        if record.direction == "outbound" and workload and record.upstream_peer:
            # Its own certificate is not in the record of the connection it made, but it showed one.
            own = workload.spiffe(self.trust_domain)
        return self._peer(workload, record.peer if record.direction == "inbound" else own), workload

    def destination(self, record: Record) -> tuple[Peer, Workload | None]:
        if record.direction == "inbound":
            workload = self.by_key.get(record.proxy)
            return self._peer(workload, record.own), workload
        workload = self.by_ip.get(record.upstream_host.rpartition(":")[0])
        return self._peer(workload, record.upstream_peer), workload

    def service(self, record: Record) -> tuple[str, str, str]:
        """(host, name, namespace) of what was asked for."""
        host = record.upstream_cluster.rpartition("|")[2] if record.direction == "outbound" else ""
        if record.direction == "inbound":
            host = record.authority.partition(":")[0]
            own = self.by_key.get(record.proxy)
            for service in self.services.values():
                names = (service.host, service.name, f"{service.name}.{service.namespace}")
                if own and service.namespace == own.namespace and host in names:
                    host = service.host
        found = self.services.get(host)
        if found is not None:
            return host, found.name, found.namespace
        return host or UNKNOWN, host or UNKNOWN, UNKNOWN

    def _peer(self, workload: Workload | None, spiffe: str) -> Peer:
        if workload is None:
            return Peer(principal=spiffe or UNKNOWN)
        labels = workload.labels
        app = labels.get("app", UNKNOWN)
        name = workload_name(workload)
        service = labels.get("service.istio.io/canonical-name") or labels.get("app.kubernetes.io/name")
        revision = labels.get("service.istio.io/canonical-revision") or labels.get("app.kubernetes.io/version")
        return Peer(
            name,
            workload.namespace,
            app,
            labels.get("version", UNKNOWN),
            service or labels.get("app", name),
            revision or labels.get("version", "latest"),
            spiffe or UNKNOWN,
            True,
        )


def workload_name(workload: Workload) -> str:
    """The Deployment, StatefulSet or DaemonSet that a pod is of, from its name and labels."""
    labels, name = workload.labels, workload.name
    mark = labels.get("pod-template-hash")
    if mark and f"-{mark}" in name:
        return name[: name.rindex(f"-{mark}")]
    if "statefulset.kubernetes.io/pod-name" in labels or "controller-revision-hash" in labels:
        return name.rpartition("-")[0]
    return name
