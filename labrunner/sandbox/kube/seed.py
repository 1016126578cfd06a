"""What a cluster has before anybody asked for anything: system namespaces and the API's own Service."""

from __future__ import annotations

import logging

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.registry import Registry, copied
from labrunner.sandbox.kube.request import Options
from labrunner.sandbox.kube.status import ApiError
from labrunner.sandbox.kube.store import Store

log = logging.getLogger(__name__)

API_SERVER = "10.224.0.3"
"""Where the API server is said to listen, on port 6443: in the nodes' network, below their addresses."""
NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


def seed(registry: Registry) -> None:
    """Create what is missing."""
    options = Options(manager="kube-apiserver")
    for name in NAMESPACES:
        if registry.store.get("Namespace", "", name) is None:
            namespace: Obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            registry.create(registry.kind("Namespace"), namespace, "", options)
    if registry.store.get("Service", "default", "kubernetes") is None:
        registry.create(registry.kind("Service"), _api_service(), "default", options)
    for kind_id, endpoints in (("Endpoints", _api_endpoints()), ("discovery.k8s.io/EndpointSlice", _api_slice())):
        if registry.store.get(kind_id, "default", "kubernetes") is None:
            registry.create(registry.kind(kind_id), endpoints, "default", options)


def system_objects() -> list[Obj]:
    """The priority classes of the system's own pods, and the state of the control plane's parts."""
    classes = (
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if "
            "necessary.",
        ),
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
    )
    healthy = [{"type": "Healthy", "status": "True", "message": "ok"}]
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
            "description": description,
            "preemptionPolicy": "PreemptLowerPriority",
        }
        for name, value, description in classes
    ] + [
        {"apiVersion": "v1", "kind": "ComponentStatus", "metadata": {"name": name}, "conditions": healthy}
        for name in ("scheduler", "controller-manager", "etcd-0")
    ]


def _api_service() -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1"],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    }


def _api_endpoints() -> Obj:
    ports = [{"name": "https", "port": 6443, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{"addresses": [{"ip": API_SERVER}], "ports": ports}],
    }


def _api_slice() -> Obj:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [API_SERVER], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
    }


def seed_crds(store: Store, crds: list[Obj], now: str) -> None:
    """Put the sandbox's own CRDs, which are complete and established, straight into the store."""
    import uuid

    for crd in crds:
        name = crd["metadata"]["name"]
        if store.get("apiextensions.k8s.io/CustomResourceDefinition", "", name) is None:
            meta = {**crd["metadata"], "uid": str(uuid.uuid4()), "creationTimestamp": now, "generation": 1}
            store.put("apiextensions.k8s.io/CustomResourceDefinition", {**crd, "metadata": meta})


def seed_objects(registry: Registry, objects: list[Obj]) -> None:
    """Create those of these objects that are missing; what a user changed stays."""
    options = Options(manager="kube-apiserver")
    for obj in objects:
        kind = registry.kinds.of_object(obj)
        if kind is None:
            continue
        meta = obj["metadata"]
        namespace = meta.get("namespace", "")
        if registry.store.get(kind.id, namespace, meta["name"]) is None:
            try:
                registry.create(kind, copied(obj), namespace, options)
            except ApiError as error:
                log.error("%s %s could not be made: %s", kind.id, meta["name"], error)
