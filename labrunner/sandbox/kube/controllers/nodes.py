"""Nodes: how many there are, what they offer, and the addresses they hand out.

They look like an AKS node pool's. Source of the fields: a `kubectl get node -o yaml` of AKS 1.3x.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers.meta import timestamp
from labrunner.sandbox.kube.controllers.settings import ControllerSettings
from labrunner.sandbox.kube.status import ApiError

_POOL = "aks-nodepool1-12345678-vmss"
_CAPACITY = {
    "cpu": "8",
    "ephemeral-storage": "129886128Ki",
    "hugepages-1Gi": "0",
    "hugepages-2Mi": "0",
    "memory": "32863204Ki",
    "pods": "500",
}
_ALLOCATABLE = _CAPACITY | {"cpu": "7820m", "ephemeral-storage": "119703055367", "memory": "29393892Ki"}
_HEALTHY = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)
_LEASES = "kube-node-lease"
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def node_name(index: int) -> str:
    """The name of a scale set's instance: its number in base 36, six digits."""
    digits = ""
    for _ in range(6):
        index, digit = divmod(index, 36)
        digits = _BASE36[digit] + digits
    return _POOL + digits


def node_address(settings: ControllerSettings, index: int) -> str:
    return str(ipaddress.ip_network(settings.node_cidr)[4 + index])


def node_pod_cidr(settings: ControllerSettings, index: int) -> str:
    """Each node's share of the pod network: room for 500 pods."""
    network = ipaddress.ip_network(settings.pod_cidr)
    return str(next(s for n, s in enumerate(network.subnets(new_prefix=max(network.prefixlen, 23))) if n == index))


def ensure_nodes(api: Api, settings: ControllerSettings) -> None:
    """Create the nodes that are missing, Ready at once."""
    for index in range(settings.nodes):
        if api.get("Node", node_name(index)) is None:
            _create(api, settings, index)
        node = api.get("Node", node_name(index))
        if (
            node
            and api.get("Namespace", _LEASES)
            and api.get("coordination.k8s.io/Lease", node_name(index), _LEASES) is None
        ):
            api.create(_lease(node, api.now()), manager="kubelet")


def _create(api: Api, settings: ControllerSettings, index: int) -> None:
    name, now = node_name(index), timestamp(api.now())
    try:
        node = api.create(_manifest(settings, index), manager="kubelet")
    except ApiError as error:
        if error.reason == "AlreadyExists":
            return
        raise
    status: dict[str, Any] = {
        "addresses": [
            {"type": "InternalIP", "address": node_address(settings, index)},
            {"type": "Hostname", "address": name},
        ],
        "allocatable": dict(_ALLOCATABLE),
        "capacity": dict(_CAPACITY),
        "conditions": [
            {
                "type": type_,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": now,
                "lastTransitionTime": now,
            }
            for type_, status, reason, message in _HEALTHY
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": f"6e0f3c1a-2b7d-4e55-9c1e-0000000000{index:02x}",
            "containerRuntimeVersion": "containerd://2.1.4-1",
            "kernelVersion": "6.8.0-1034-azure",
            "kubeProxyVersion": "",
            "kubeletVersion": settings.kubelet_version,
            "machineID": f"b1a7c0de5f0e4c7b8f2d0000000000{index:02x}",
            "operatingSystem": "linux",
            "osImage": "Ubuntu 24.04.3 LTS",
            "systemUUID": f"4c4c4544-0042-3510-8036-0000000000{index:02x}",
        },
    }
    api.update_status({**node, "status": status}, manager="kubelet")


def _lease(node: Obj, now: float) -> Obj:
    """The kubelet's sign of life."""
    name = node["metadata"]["name"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": _LEASES, "ownerReferences": [owner]},
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": 40,
            "renewTime": timestamp(now).replace("Z", ".000000Z"),
        },
    }


def _manifest(settings: ControllerSettings, index: int) -> Obj:
    name, cidr = node_name(index), node_pod_cidr(settings, index)
    labels = {
        "agentpool": "nodepool1",
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/instance-type": "Standard_D8s_v5",
        "beta.kubernetes.io/os": "linux",
        "failure-domain.beta.kubernetes.io/region": "eastus2",
        "failure-domain.beta.kubernetes.io/zone": f"eastus2-{index % 3 + 1}",
        "kubernetes.azure.com/agentpool": "nodepool1",
        "kubernetes.azure.com/mode": "system",
        "kubernetes.azure.com/os-sku": "Ubuntu",
        "kubernetes.azure.com/role": "agent",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "Standard_D8s_v5",
        "topology.kubernetes.io/region": "eastus2",
        "topology.kubernetes.io/zone": f"eastus2-{index % 3 + 1}",
    }
    spec = {"podCIDR": cidr, "podCIDRs": [cidr], "providerID": f"azure:///sandbox/{_POOL}/virtualMachines/{index}"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec}
