"""A live cluster's workloads as nodes: from its Pods and Services, since nobody tells of its traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labrunner.run.mesh.picture import Node, Picture, Port, Service
from labrunner.target.base import KubeClient

_SYSTEM = ("kube-", "istio-system", "aks-istio-system", "gatekeeper-system", "calico-system", "tigera-operator")
_WELL_KNOWN = ("http", "http2", "grpc", "https", "tls", "tcp")


def live_picture(kube: KubeClient, unavailable: str) -> Picture:
    """Raises what `KubeClient` raises."""
    services = kube.list("v1", "Service", all_namespaces=True)
    nodes: dict[str, Node] = {}
    for pod in kube.list("v1", "Pod", all_namespaces=True):
        meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
        if status.get("phase") not in ("Pending", "Running") or spec.get("hostNetwork"):
            continue
        namespace, name = meta["namespace"], _workload(meta)
        containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        proxy = next((c for c in containers if c["name"] == "istio-proxy"), None)
        gateway = proxy is not None and "router" in (proxy.get("args") or ())
        ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or ())
        key = f"{namespace}/{name}"
        node = nodes.get(key) or Node(
            key,
            name,
            namespace,
            "gateway" if gateway else "workload",
            0,
            0,
            system=namespace.startswith(_SYSTEM) and not gateway,
            services=tuple(_service(s) for s in services if _selects(s, meta)),
        )
        nodes[key] = replace(
            node,
            pods=node.pods + 1,
            ready=node.ready + ready,
            proxies=node.proxies + (proxy is not None),
            caller=node.caller or (meta["name"] if ready else ""),
        )
    return Picture(tuple(nodes.values()), unavailable=unavailable, known=True)


def _workload(meta: Mapping[str, Any]) -> str:
    """The Deployment, StatefulSet or DaemonSet that a pod is of, from its name and labels."""
    labels, name = meta.get("labels") or {}, str(meta["name"])
    mark = labels.get("pod-template-hash")
    if mark and f"-{mark}" in name:
        return name[: name.rindex(f"-{mark}")]
    if "statefulset.kubernetes.io/pod-name" in labels or "controller-revision-hash" in labels:
        return name.rpartition("-")[0]
    return name


def _selects(service: Mapping[str, Any], meta: Mapping[str, Any]) -> bool:
    selector = (service.get("spec") or {}).get("selector") or {}
    labels = meta.get("labels") or {}
    same = service["metadata"]["namespace"] == meta["namespace"]
    return same and bool(selector) and all(labels.get(k) == v for k, v in selector.items())


def _service(service: Mapping[str, Any]) -> Service:
    meta = service["metadata"]
    ports = tuple(Port(int(port["port"]), _kind(port)) for port in service["spec"].get("ports") or () if _tcp(port))
    return Service(f"{meta['name']}.{meta['namespace']}", ports)


def _tcp(port: Mapping[str, Any]) -> bool:
    return str(port.get("protocol", "TCP")) == "TCP"


def _kind(port: Mapping[str, Any]) -> str:
    """Istio's protocol selection: appProtocol, else the name up to its first dash."""
    word = str(port.get("appProtocol") or str(port.get("name") or "").partition("-")[0]).lower()
    return word if word in _WELL_KNOWN else "auto"
