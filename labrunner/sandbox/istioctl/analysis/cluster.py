"""What analyzers look at: a cluster's objects, and the lookups they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

KINDS = (
    "namespaces,pods,services,deployments.apps,secrets,"
    "gateways.networking.istio.io,virtualservices.networking.istio.io,destinationrules.networking.istio.io,"
    "serviceentries.networking.istio.io,sidecars.networking.istio.io,envoyfilters.networking.istio.io,"
    "peerauthentications.security.istio.io,authorizationpolicies.security.istio.io,"
    "requestauthentications.security.istio.io,telemetries.telemetry.istio.io"
)
_SYSTEM = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")
SUFFIX = ".svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Cluster:
    """`scope`: the namespace whose objects are reported on; None: all."""

    objects: tuple[Object, ...]
    scope: str | None = None

    def all(self, kind: str, namespace: str | None = None) -> list[Object]:
        return [
            o
            for o in self.objects
            if o["kind"] == kind and (namespace is None or o["metadata"].get("namespace") == namespace)
        ]

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        return next((o for o in self.all(kind, namespace) if o["metadata"]["name"] == name), None)

    def service(self, host: str, namespace: str) -> Object | None:
        """The Service or ServiceEntry that a host of this namespace's configuration names."""
        full = full_host(host, namespace)
        if full.endswith(SUFFIX):
            name, _, rest = full.removesuffix(SUFFIX).partition(".")
            found = self.get("Service", rest, name)
            if found is not None:
                return found
        for entry in self.all("ServiceEntry"):
            exported = entry["spec"].get("exportTo") or ["*"]
            visible = "*" in exported or namespace in exported or entry["metadata"]["namespace"] == namespace
            if visible and any(_covers(each, full) or each == host for each in entry["spec"].get("hosts") or ()):
                return entry
        return None

    def pods(self, namespace: str | None, labels: Mapping[str, str]) -> list[Object]:
        return [p for p in self.all("Pod", namespace) if selected(labels, labels_of(p))]


def _covers(pattern: str, host: str) -> bool:
    return pattern == host or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def full_host(host: str, namespace: str) -> str:
    """A short name is of the object's own namespace; anything with a dot is taken as full, `svc` names completed."""
    if host.startswith("*") or host.endswith(SUFFIX):
        return host
    if "." not in host:
        return f"{host}.{namespace}{SUFFIX}"
    return f"{host}.cluster.local" if host.endswith(".svc") else host


def labels_of(obj: Object) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def selected(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def is_system(namespace: str) -> bool:
    return namespace in _SYSTEM or namespace.startswith(("aks-istio-", "istio-system"))


def has_proxy(pod: Object) -> bool:
    spec = pod["spec"]
    every = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return any(c["name"] == "istio-proxy" for c in every)


def shown(labels: Mapping[str, str]) -> str:
    """`a=b,c=d`, sorted."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def target_ports(service: Object) -> Iterable[tuple[Object, object]]:
    """(port, targetPort) of a Service."""
    for port in service["spec"].get("ports") or ():
        yield port, port.get("targetPort", port["port"])
