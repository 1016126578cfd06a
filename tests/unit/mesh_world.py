"""Worlds for tests of rendering: pods, Services and Istio objects in a few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from labrunner.sandbox.mesh.model import Endpoint, MeshConfig, Service, ServicePort, Workload, World
from labrunner.sandbox.mesh.render import Surroundings, render_proxy
from labrunner.sandbox.workload.addresses import AddressPlan

PLAN = AddressPlan(7)
HCM = "envoy.filters.network.http_connection_manager"


def pod(name: str, number: int, namespace: str = "shop", *, sidecar: bool = True, ports: tuple[int, ...] = (8080,),
        **labels: str) -> Workload:  # fmt: skip
    return Workload(name, namespace, {"app": name, **labels}, name, f"10.244.0.{number}", sidecar, app_ports=ports)


def gateway_pod(number: int = 200) -> Workload:
    labels = {"istio": "ingressgateway"}
    return Workload("gw", "istio-system", labels, "gw", f"10.244.0.{number}", True, gateway=True, app_ports=(80, 443))


def service(name: str, pods: Sequence[Workload], *ports: ServicePort, namespace: str = "shop", vip: str = "10.96.0.50",
            **fields: Any) -> Service:  # fmt: skip
    listed = ports or (ServicePort("http", 8000, 8080),)
    ends = {p.port: tuple(Endpoint(w.ip, int(p.target), w, w.labels) for w in pods) for p in listed}
    host = f"{name}.{namespace}.svc.cluster.local"
    return Service(host, name, namespace, (vip,) if vip else (), listed, ends, **fields)


def world(workloads: Sequence[Workload], services: Sequence[Service] = (), manifests: str = "",
          secrets: Mapping[tuple[str, str], Mapping[str, bytes]] | None = None, **mesh: Any) -> World:  # fmt: skip
    configs: dict[str, list[dict[str, Any]]] = {}
    for document in yaml.safe_load_all(manifests):
        if document:
            document["metadata"].setdefault("namespace", "shop")
            configs.setdefault(document["kind"], []).append(document)
    policies = configs.pop("NetworkPolicy", [])
    namespaces = {w.namespace: {"kubernetes.io/metadata.name": w.namespace} for w in workloads}
    return World(MeshConfig(**mesh), tuple(workloads), tuple(services), configs, secrets or {}, namespaces, policies)


def surroundings() -> Surroundings:
    def app(workload: Workload, port: int) -> dict[str, Any]:
        return {"socket_address": {"address": PLAN.real_ip(workload.ip), "port_value": 40000 + port % 1000}}

    return Surroundings(PLAN, app, lambda source, endpoint: True, ("127.7.255.252", 1), ("127.7.255.252", 2))


def rendered(seen: World, proxy: Workload) -> tuple[dict[str, Any], dict[str, Any]]:
    """(listeners, clusters) of a proxy, names without the proxy's."""
    listeners, clusters = render_proxy(seen, surroundings(), proxy)
    short = len(f"{proxy.key}/")
    return {n[short:]: v for n, v in listeners.items()}, {n[short:]: v for n, v in clusters.items()}


def managers(listener: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The HTTP connection managers of a listener's chains."""
    return [f["typed_config"] for c in listener["filter_chains"] for f in c["filters"] if f["name"] == HCM]


def virtual_hosts(listener: Mapping[str, Any], name: str) -> dict[str, list[dict[str, Any]]]:
    """Domain -> routes, of the route table of this name."""
    found = next(m["route_config"] for m in managers(listener) if m["route_config"]["name"] == name)
    return {domain: host.get("routes", []) for host in found["virtual_hosts"] for domain in host["domains"]}
