"""What a new cluster holds before anybody asks for anything."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers.mesh_install import install_mesh
from labrunner.sandbox.kube.controllers.nodes import ensure_nodes
from labrunner.sandbox.kube.controllers.settings import ControllerSettings
from labrunner.sandbox.kube.controllers.volumes import ensure_storage_classes

DNS_ADDRESS = 10
"""Host number of kube-dns in the service range."""


def install(api: Api, settings: ControllerSettings) -> None:
    """What a new cluster holds beside its namespaces: nodes, storage classes, DNS, the mesh.

    For a new cluster only: what a learner deletes later stays deleted. Creates what is missing.
    """
    ensure_nodes(api, settings)
    ensure_storage_classes(api)
    _install_dns(api, settings)
    install_mesh(api, settings)


def _install_dns(api: Api, settings: ControllerSettings) -> None:
    import ipaddress

    labels = {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS", "kubernetes.io/cluster-service": "true"}
    selector = {"k8s-app": "kube-dns"}
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
    ]
    address = str(ipaddress.ip_network(settings.service_cidr)[DNS_ADDRESS])
    service = _object("v1", "Service", "kube-dns", labels)
    service["spec"] = {"clusterIP": address, "ports": ports, "selector": selector}
    container: dict[str, Any] = {
        "name": "coredns",
        "image": "mcr.microsoft.com/oss/v2/kubernetes/coredns:v1.12.1-8",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"containerPort": 53, "name": "dns", "protocol": "UDP"},
            {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "70Mi"}, "limits": {"memory": "500Mi"}},
    }
    account = _object("v1", "ServiceAccount", "coredns", {})
    deployment = _object("apps/v1", "Deployment", "coredns", {**labels, "version": "v20"})
    deployment["spec"] = {
        "replicas": 2,
        "selector": {"matchLabels": {**selector, "version": "v20"}},
        "template": {
            "metadata": {"labels": {**labels, "version": "v20"}},
            "spec": {"serviceAccountName": "coredns", "dnsPolicy": "Default", "containers": [container]},
        },
    }
    corefile = _object("v1", "ConfigMap", "coredns-custom", {})
    for obj in (account, service, corefile, deployment):
        ensure(api, obj)


def _object(api_version: str, kind: str, name: str, labels: dict[str, str]) -> Obj:
    metadata: dict[str, Any] = {"name": name, "namespace": "kube-system"}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def ensure(api: Api, obj: Obj) -> None:
    """Create it unless it is there."""
    from labrunner.sandbox.kube.controllers.meta import id_of, name_of, namespace_of

    if api.get(id_of(obj), name_of(obj), namespace_of(obj)) is None:
        api.create(obj, manager="addon-manager")
