"""The cluster's objects as a `World`: what rendering sees, taken at one moment.

Rebuilt whole after a change; objects are shared with the store, so that this copies little.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import yaml

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.mesh.model import Config, Endpoint, MeshConfig, Service, ServicePort, Workload, World
from labrunner.sandbox.mesh.traffic.delegate import merged as with_delegates
from labrunner.sandbox.mesh.traffic.durations import envoy_duration
from labrunner.sandbox.mesh.traffic.hosts import DOMAIN

ISTIO_KINDS = {
    "networking.istio.io": (
        "DestinationRule", "EnvoyFilter", "Gateway", "ProxyConfig", "ServiceEntry", "Sidecar", "VirtualService",
        "WorkloadEntry",
    ),
    "security.istio.io": ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"),
    "telemetry.istio.io": ("Telemetry",),
    "extensions.istio.io": ("WasmPlugin",),
}  # fmt: skip
WATCHED = (
    "Pod", "Service", "Namespace", "discovery.k8s.io/EndpointSlice", "Secret", "ConfigMap",
    "networking.k8s.io/NetworkPolicy", "apps/Deployment",
    *(f"{group}/{kind}" for group, kinds in ISTIO_KINDS.items() for kind in kinds),
)  # fmt: skip
"""Kinds whose changes may change a World."""
PROXY = "istio-proxy"
_SLICE_SERVICE = "kubernetes.io/service-name"

Ports = Callable[[str], Iterable[int]]
"""Pod address -> ports its programs listen on now."""


def no_ports(_pod_ip: str) -> Iterable[int]:
    return ()


def build(api: Api, root_namespace: str, listening: Ports = no_ports) -> World:
    """`root_namespace`: where the control plane is."""
    served = {kind.id for kind in api.kinds()}
    workloads = tuple(w for pod in api.objects("Pod") if (w := workload_of(pod, listening)))
    by_ip = {w.ip: w for w in workloads}
    configs: dict[str, Sequence[Config]] = {}
    for group, kinds in ISTIO_KINDS.items():
        for kind in kinds:
            if f"{group}/{kind}" in served:
                found = [c for c in api.objects(f"{group}/{kind}") if not c["metadata"].get("deletionTimestamp")]
                configs[kind] = tuple(sorted(found, key=_age))
    configs["VirtualService"] = with_delegates(configs.get("VirtualService", ()))
    mesh = mesh_config(api, root_namespace)
    services = _services(api, by_ip)
    services += _entries(configs.get("ServiceEntry", ()), configs.get("WorkloadEntry", ()), workloads, services)
    gateways = {w.namespace for w in workloads if w.gateway}
    policies = "networking.k8s.io/NetworkPolicy"
    return World(
        mesh=mesh,
        workloads=workloads,
        services=tuple(services),
        configs=configs,
        secrets=_secrets(api, gateways),
        namespaces={n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in api.objects("Namespace")},
        network_policies=tuple(sorted(api.objects(policies), key=_age)) if policies in served else (),
    )


def _age(obj: Obj) -> tuple[str, str, str]:
    meta = obj["metadata"]
    return str(meta.get("creationTimestamp", "")), meta["name"], meta.get("namespace", "")


def workload_of(pod: Obj, listening: Ports = no_ports) -> Workload | None:
    """None for a pod that has no address of its own or runs no longer."""
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    ip = status.get("podIP", "")
    if not ip or spec.get("hostNetwork") or status.get("phase") not in ("Pending", "Running"):
        return None
    containers = list(spec.get("containers") or ())
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    proxies = [c for c in (*containers, *sidecars) if c["name"] == PROXY]
    apps = [c for c in (*containers, *sidecars) if c["name"] != PROXY]
    gateway = bool(proxies) and "router" in (proxies[0].get("args") or ())
    ports: dict[int, None] = {}
    named: dict[str, int] = {}
    for container in apps if not gateway else proxies:
        for port in container.get("ports") or ():
            if port.get("protocol", "TCP") == "TCP":
                ports[int(port["containerPort"])] = None
            if port.get("name"):
                named[port["name"]] = int(port["containerPort"])
    for number in listening(ip):
        ports[number] = None
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or ())
    return Workload(
        name=meta["name"],
        namespace=meta["namespace"],
        labels=meta.get("labels") or {},
        service_account=spec.get("serviceAccountName") or "default",
        ip=ip,
        sidecar=bool(proxies),
        gateway=gateway,
        app_ports=tuple(sorted(ports)),
        container_ports=named,
        ready=ready and not meta.get("deletionTimestamp"),
        annotations=meta.get("annotations") or {},
        node=spec.get("nodeName", ""),
    )


def mesh_config(api: Api, root_namespace: str) -> MeshConfig:
    """From the control plane's ConfigMap (`istio`, `istio-<revision>`) and, on AKS, the user's shared one over it."""
    merged: dict[str, Any] = {}
    maps = [m for m in api.objects("ConfigMap", root_namespace) if _is_mesh_config(m["metadata"]["name"])]
    maps.sort(key=lambda m: m["metadata"]["name"].startswith("istio-shared-configmap"))
    for config_map in maps:
        try:
            values = yaml.safe_load((config_map.get("data") or {}).get("mesh", "") or "")
        except yaml.YAMLError:
            continue
        if isinstance(values, dict):
            merged |= values
    policy = (merged.get("outboundTrafficPolicy") or {}).get("mode", "ALLOW_ANY")
    defaults = merged.get("defaultConfig") or {}
    tracing = merged.get("enableTracing", True)
    sampling = (defaults.get("tracing") or {}).get("sampling", 1.0) if tracing else 0.0
    return MeshConfig(
        trust_domain=str(merged.get("trustDomain") or "cluster.local"),
        root_namespace=str(merged.get("rootNamespace") or root_namespace),
        outbound_policy="REGISTRY_ONLY" if policy == "REGISTRY_ONLY" else "ALLOW_ANY",
        access_log=bool(merged.get("accessLogFile")),
        sampling=float(sampling),
        detection_timeout=_duration(merged.get("protocolDetectionTimeout")),
        trusted_proxies=int((defaults.get("gatewayTopology") or {}).get("numTrustedProxies") or 0),
    )


def _duration(value: Any) -> str:
    try:
        return envoy_duration(str(value or "0s"))
    except ValueError:
        return "0s"


def _is_mesh_config(name: str) -> bool:
    return name == "istio" or name.startswith(("istio-asm-", "istio-shared-configmap-asm-"))


def _services(api: Api, by_ip: Mapping[str, Workload]) -> list[Service]:
    slices: dict[tuple[str, str], list[Obj]] = {}
    for found in api.objects("discovery.k8s.io/EndpointSlice"):
        name = (found["metadata"].get("labels") or {}).get(_SLICE_SERVICE, "")
        slices.setdefault((found["metadata"]["namespace"], name), []).append(found)
    services = []
    for obj in sorted(api.objects("Service"), key=_age):
        meta, spec = obj["metadata"], obj["spec"]
        if meta.get("deletionTimestamp"):
            continue
        ports = tuple(_service_port(port) for port in spec.get("ports") or ())
        own = slices.get((meta["namespace"], meta["name"]), [])
        addresses = tuple(a for a in spec.get("clusterIPs") or () if a and a != "None")
        export = (meta.get("annotations") or {}).get("networking.istio.io/exportTo", "*")
        services.append(
            Service(
                host=f"{meta['name']}.{meta['namespace']}.{DOMAIN}",
                name=meta["name"],
                namespace=meta["namespace"],
                addresses=addresses if spec.get("type") != "ExternalName" else (),
                ports=ports,
                endpoints={port.port: tuple(_endpoints(own, port, by_ip)) for port in ports},
                export_to=tuple(word.strip() for word in export.split(",") if word.strip()),
                external_name=spec.get("externalName", "") if spec.get("type") == "ExternalName" else "",
                selector=spec.get("selector") or {},
                created=str(meta.get("creationTimestamp", "")),
            )
        )
    return services


def _service_port(port: dict[str, Any]) -> ServicePort:
    target = port.get("targetPort", port["port"])
    return ServicePort(
        port.get("name", ""), int(port["port"]), target, port.get("protocol", "TCP"), port.get("appProtocol", "")
    )


def _endpoints(slices: list[Obj], port: ServicePort, by_ip: Mapping[str, Workload]) -> Iterable[Endpoint]:
    for one in slices:
        number = next((p["port"] for p in one.get("ports") or () if (p.get("name") or "") == port.name), None)
        if number is None:
            continue
        for endpoint in one.get("endpoints") or ():
            if not (endpoint.get("conditions") or {}).get("ready", True):
                continue
            for address in endpoint.get("addresses") or ():
                workload = by_ip.get(address)
                yield Endpoint(address, int(number), workload, workload.labels if workload else {})


def _entries(
    entries: Sequence[Config], machines: Sequence[Config], workloads: Sequence[Workload], known: Sequence[Service]
) -> list[Service]:
    """The hosts of ServiceEntries."""
    by_host = {service.host: service for service in known}
    by_ip = {workload.ip: workload for workload in workloads}
    found = []
    for entry in entries:
        spec, meta = entry.get("spec") or {}, entry["metadata"]
        ports = tuple(
            ServicePort(p.get("name", ""), int(p["number"]), int(p.get("targetPort") or p["number"]), "TCP",
                        str(p.get("protocol", "TCP")).lower())
            for p in spec.get("ports") or ()
        )  # fmt: skip
        resolution = spec.get("resolution", "NONE")
        for host in spec.get("hosts") or ():
            endpoints = {
                port.port: tuple(_entry_endpoints(spec, meta, host, port, machines, workloads, by_host, by_ip))
                for port in ports
            }
            found.append(
                Service(
                    host=host,
                    name=meta["name"],
                    namespace=meta["namespace"],
                    addresses=tuple(spec.get("addresses") or ()),
                    ports=ports,
                    endpoints=endpoints,
                    resolution=resolution if resolution in ("STATIC", "DNS", "DNS_ROUND_ROBIN") else "NONE",
                    location=spec.get("location", "MESH_EXTERNAL"),
                    export_to=tuple(spec.get("exportTo") or ("*",)),
                    subject_alt_names=tuple(spec.get("subjectAltNames") or ()),
                    created=str(meta.get("creationTimestamp", "")),
                    external=True,
                )
            )
    return found


def _entry_endpoints(
    spec: dict[str, Any],
    meta: dict[str, Any],
    host: str,
    port: ServicePort,
    machines: Sequence[Config],
    workloads: Sequence[Workload],
    by_host: Mapping[str, Service],
    by_ip: Mapping[str, Workload],
) -> Iterable[Endpoint]:
    external = spec.get("location", "MESH_EXTERNAL") == "MESH_EXTERNAL"
    target = int(port.target)
    if selector := (spec.get("workloadSelector") or {}).get("labels"):
        for workload in workloads:
            chosen = all(workload.labels.get(k) == v for k, v in selector.items())
            if chosen and workload.namespace == meta["namespace"] and workload.ready:
                yield Endpoint(workload.ip, target, workload, workload.labels, plain=external)
        stated = [
            m.get("spec") or {}
            for m in machines
            if m["metadata"]["namespace"] == meta["namespace"]
            and all(((m.get("spec") or {}).get("labels") or {}).get(k) == v for k, v in selector.items())
        ]
    else:
        stated = list(spec.get("endpoints") or ())
        if not stated and spec.get("resolution", "NONE").startswith("DNS"):
            stated = [{"address": host}]
    for one in stated:
        address = one.get("address", "")
        number = int((one.get("ports") or {}).get(port.name, target))
        labels, weight = one.get("labels") or {}, int(one.get("weight") or 1)
        if service := by_host.get(address):
            for real in service.endpoints.get(number, ()):
                yield Endpoint(real.address, real.port, real.workload, labels, weight, plain=True)
        elif pod := by_ip.get(address):
            yield Endpoint(address, number, pod, {**pod.labels, **labels}, weight, plain=external)
        elif address:
            yield Endpoint(address, number, None, labels, weight, plain=True)


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _secrets(api: Api, namespaces: set[str]) -> dict[tuple[str, str], dict[str, bytes]]:
    found = {}
    for namespace in namespaces:
        for secret in api.objects("Secret", namespace):
            data = secret.get("data") or {}
            if data.keys() & {"tls.crt", "cert", "ca.crt", "cacert"}:
                found[namespace, secret["metadata"]["name"]] = decoded(data)
    return found


def decoded(data: Mapping[str, str]) -> dict[str, bytes]:
    """A Secret's data; values that are not base64 are left out."""
    found = {}
    for key, value in data.items():
        try:
            found[key] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            continue
    return found
