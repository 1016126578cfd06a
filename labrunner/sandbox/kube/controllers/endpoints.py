"""Endpoints of Services with a selector. Source: k8s.io/kubernetes/pkg/controller/endpoint."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.meta import is_deleting, labels_of, name_of, namespace_of, uid_of
from labrunner.sandbox.kube.controllers.pod import is_ready
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.controllers.service_pods import ServiceIndex, pods_behind, target_port

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
_CAPACITY = 1000


class EndpointsController:
    name = "endpoints"
    watches: tuple[str, ...] = ("Service", "Pod")

    def __init__(self) -> None:
        self._index = ServiceIndex()

    def keys(self, change: Change) -> list[Key]:
        return self._index.keys(change)

    def reconcile(self, api: Api, key: Key) -> float | None:
        service = api.get("Service", key[1], key[0])
        existing = api.get("Endpoints", key[1], key[0])
        if service is None:
            if existing is not None and MANAGED_BY in labels_of(existing):
                api.delete("Endpoints", key[1], key[0])
            return None
        if not service["spec"].get("selector") or is_deleting(service):
            return None
        subsets = _subsets(service, pods_behind(api, service))
        labels = {**labels_of(service), MANAGED_BY: "endpoint-controller"}
        if service["spec"].get("clusterIP") == "None":
            labels["service.kubernetes.io/headless"] = ""
        if existing is None:
            metadata = {"name": key[1], "namespace": key[0], "labels": labels}
            body: Obj = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
            if subsets:
                body["subsets"] = subsets
            api.create(body, manager="kube-controller-manager")
        elif (existing.get("subsets") or []) != subsets or labels_of(existing) != labels:
            updated = {**existing, "metadata": {**existing["metadata"], "labels": labels}}
            updated.pop("subsets", None)
            if subsets:
                updated["subsets"] = subsets
            api.update(updated, manager="kube-controller-manager")
        return None


def _subsets(service: Obj, pods: list[Obj]) -> list[dict[str, Any]]:
    """Addresses with the same ports together, ready and not ready apart, in canonical order (RepackSubsets)."""
    unready_too = bool(service["spec"].get("publishNotReadyAddresses"))
    groups: dict[tuple[tuple[str, int, str], ...], dict[str, list[dict[str, Any]]]] = {}
    for pod in pods:
        if is_deleting(pod) and not unready_too:
            continue
        ports = []
        for port in service["spec"].get("ports") or ():
            number = target_port(port, pod)
            if number is not None:
                ports.append((port.get("name", ""), number, port.get("protocol", "TCP")))
        if service["spec"].get("ports") and not ports:
            continue
        group = groups.setdefault(tuple(sorted(ports)), {"addresses": [], "notReadyAddresses": []})
        group["addresses" if is_ready(pod) or unready_too else "notReadyAddresses"].append(_address(service, pod))
    subsets = []
    for ports_key, group in groups.items():
        subset: dict[str, Any] = {}
        for part in ("addresses", "notReadyAddresses"):
            if group[part]:
                subset[part] = sorted(group[part], key=lambda a: tuple(int(n) for n in a["ip"].split(".")))[:_CAPACITY]
        if ports_key:
            subset["ports"] = [
                ({"name": name} if name else {}) | {"port": number, "protocol": protocol}
                for name, number, protocol in ports_key
            ]
        subsets.append(subset)
    return sorted(subsets, key=lambda s: str(s.get("ports")))


def _address(service: Obj, pod: Obj) -> dict[str, Any]:
    address: dict[str, Any] = {
        "ip": pod["status"]["podIP"],
        "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {"kind": "Pod", "name": name_of(pod), "namespace": namespace_of(pod), "uid": uid_of(pod)},
    }
    if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == name_of(service):
        address["hostname"] = pod["spec"]["hostname"]
    return address
