"""EndpointSlices of Services with a selector, and mirrors of Endpoints that users write.

Source: k8s.io/endpointslice and k8s.io/kubernetes/pkg/controller/endpointslicemirroring.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.endpoints import MANAGED_BY as ENDPOINTS_MANAGED_BY
from labrunner.sandbox.kube.controllers.meta import (
    controller_reference,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)
from labrunner.sandbox.kube.controllers.pod import is_ready
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.controllers.service_pods import ServiceIndex, pods_behind, target_port

KIND = "discovery.k8s.io/EndpointSlice"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MAX_ENDPOINTS = 100
Ports = tuple[tuple[str, int, str, str], ...]


class EndpointSliceController:
    name = "endpointslice"
    watches: tuple[str, ...] = ("Service", "Pod", "Node")
    manager = "endpointslice-controller.k8s.io"

    def __init__(self) -> None:
        self._index = ServiceIndex()

    def keys(self, change: Change) -> list[Key]:
        return [] if change.kind == "Node" else self._index.keys(change)

    def reconcile(self, api: Api, key: Key) -> float | None:
        service = api.get("Service", key[1], key[0])
        if service is None or is_deleting(service) or not service["spec"].get("selector"):
            return None  # the garbage collector takes the slices of a deleted Service
        labels = {**labels_of(service), MANAGED_BY: self.manager, SERVICE_NAME: key[1]}
        if service["spec"].get("clusterIP") == "None":
            labels["service.kubernetes.io/headless"] = ""
        _write(api, service, labels, _groups(api, service))
        return None


class EndpointSliceMirrorController:
    """Slices of Endpoints that a user wrote for a Service without a selector."""

    name = "endpointslicemirroring"
    watches: tuple[str, ...] = ("Endpoints", "Service")
    manager = "endpointslicemirroring-controller.k8s.io"

    def keys(self, change: Change) -> list[Key]:
        return [key_of(change.obj)]

    def reconcile(self, api: Api, key: Key) -> float | None:
        endpoints = api.get("Endpoints", key[1], key[0])
        service = api.get("Service", key[1], key[0])
        if endpoints is None or service is None or service["spec"].get("selector"):
            return None
        if ENDPOINTS_MANAGED_BY in labels_of(endpoints) or is_deleting(endpoints):
            return None
        if labels_of(endpoints).get("endpointslice.kubernetes.io/skip-mirror") == "true":
            return None
        groups: dict[Ports, list[dict[str, Any]]] = {}
        for subset in endpoints.get("subsets") or ():
            ports = tuple(
                (p.get("name", ""), int(p["port"]), p.get("protocol", "TCP"), p.get("appProtocol", ""))
                for p in subset.get("ports") or ()
            )
            group = groups.setdefault(ports, [])
            for part, ready in (("addresses", True), ("notReadyAddresses", False)):
                for address in subset.get(part) or ():
                    entry: dict[str, Any] = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
                    for field in ("hostname", "nodeName", "targetRef"):
                        if address.get(field):
                            entry[field] = address[field]
                    group.append(entry)
        labels = {**labels_of(endpoints), MANAGED_BY: self.manager, SERVICE_NAME: key[1]}
        _write(api, endpoints, labels, groups)
        return None


def _groups(api: Api, service: Obj) -> dict[Ports, list[dict[str, Any]]]:
    groups: dict[Ports, list[dict[str, Any]]] = {}
    for pod in pods_behind(api, service):
        ports = []
        for port in service["spec"].get("ports") or ():
            number = target_port(port, pod)
            if number is not None:
                ports.append((port.get("name", ""), number, port.get("protocol", "TCP"), port.get("appProtocol", "")))
        groups.setdefault(tuple(ports), []).append(_endpoint(api, service, pod))
    return groups


def _endpoint(api: Api, service: Obj, pod: Obj) -> dict[str, Any]:
    ready, terminating = is_ready(pod), is_deleting(pod)
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    node_name = pod["spec"].get("nodeName", "")
    endpoint: dict[str, Any] = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": always or (ready and not terminating), "serving": ready, "terminating": terminating},
        "nodeName": node_name,
        "targetRef": {"kind": "Pod", "name": name_of(pod), "namespace": namespace_of(pod), "uid": uid_of(pod)},
    }
    node = api.get("Node", node_name)
    if node and (zone := labels_of(node).get("topology.kubernetes.io/zone")):
        endpoint["zone"] = zone
    if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == name_of(service):
        endpoint["hostname"] = pod["spec"]["hostname"]
    return endpoint


def _write(api: Api, owner: Obj, labels: dict[str, str], groups: dict[Ports, list[dict[str, Any]]]) -> None:
    """Make the slices of `owner` say this; existing ones are reused, at least one remains."""
    wanted: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]] = []
    for ports, endpoints in (groups or {(): []}).items():
        shown = [_port(port) for port in ports]
        for start in range(0, max(1, len(endpoints)), MAX_ENDPOINTS):
            wanted.append((shown, endpoints[start : start + MAX_ENDPOINTS]))
    existing = sorted(api.owned(KIND, uid_of(owner)), key=name_of)
    for shown, endpoints in wanted:
        match = next((s for s in existing if (s.get("ports") or []) == shown), existing[0] if existing else None)
        if match is None:
            api.create(
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {
                        "generateName": f"{name_of(owner)}-",
                        "namespace": namespace_of(owner),
                        "labels": labels,
                        "ownerReferences": [controller_reference(owner)],
                    },
                    "addressType": "IPv4",
                    "endpoints": endpoints,
                    "ports": shown,
                },
                manager="kube-controller-manager",
            )
            continue
        existing.remove(match)
        same = (match.get("endpoints") or []) == endpoints and (match.get("ports") or []) == shown
        if not same or labels_of(match) != labels:
            metadata = {**match["metadata"], "labels": labels}
            updated = {**match, "metadata": metadata, "endpoints": endpoints, "ports": shown}
            api.update(updated, manager="kube-controller-manager")
    for left_over in existing:
        api.delete(KIND, name_of(left_over), namespace_of(left_over))


def _port(port: tuple[str, int, str, str]) -> dict[str, Any]:
    name, number, protocol, application = port
    shown: dict[str, Any] = {"name": name, "port": number, "protocol": protocol}
    if application:
        shown["appProtocol"] = application
    return shown
