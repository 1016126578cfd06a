"""Services, Endpoints and EndpointSlices."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import (
    AGE,
    NAME,
    NONE,
    UNSET,
    Column,
    Obj,
    Printer,
    at,
    created,
    labels_text,
    name_of,
    shortened,
)

_SHOWN = 3


def load_balancer(obj: Obj) -> str:
    """The addresses a load balancer gave it, sorted."""
    ingress = at(obj, "status", "loadBalancer", "ingress", default=())
    return ",".join(sorted({entry.get("ip") or entry.get("hostname") or "" for entry in ingress} - {""}))


def _external_ip(service: Obj) -> str:
    spec = at(service, "spec", default={})
    external = ",".join(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return external or NONE
        case "LoadBalancer":
            return ",".join(filter(None, (load_balancer(service), external))) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return "<unknown>"


def _port(port: Obj) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node_port}/{port.get('protocol', 'TCP')}"


def _service(obj: Obj, ages: Ages) -> list[Any]:
    spec = at(obj, "spec", default={})
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP") or NONE]
    return [
        name_of(obj),
        spec.get("type", ""),
        addresses[0],
        _external_ip(obj),
        ",".join(_port(port) for port in spec.get("ports") or ()) or NONE,
        ages(created(obj)),
        labels_text(spec.get("selector")),
    ]


def _host_port(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _endpoints(obj: Obj, ages: Ages) -> list[Any]:
    subsets = obj.get("subsets") or ()
    found: list[str] = []
    for subset in subsets:
        ips = [address.get("ip", "") for address in subset.get("addresses") or ()]
        if ports := subset.get("ports"):
            found += [_host_port(ip, port.get("port", 0)) for port in ports for ip in ips]
        else:
            found += ips
    text = shortened(found, _SHOWN, len(found), "") if subsets else NONE
    return [name_of(obj), text, ages(created(obj))]


def _slice_port(port: Obj) -> str:
    if port.get("port") is not None:
        return str(port["port"])
    return "*" if port.get("name") is None else str(port["name"])


def _endpoint_slice(obj: Obj, ages: Ages) -> list[Any]:
    ports = [_slice_port(port) for port in obj.get("ports") or ()]
    addresses = [address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    return [
        name_of(obj),
        obj.get("addressType", ""),
        shortened(ports, _SHOWN, len(ports), UNSET),
        shortened(addresses, _SHOWN, len(addresses), UNSET),
        ages(created(obj)),
    ]


PRINTERS = {
    "Service": Printer(
        (
            NAME,
            Column("Type", "@core.v1.ServiceSpec.type"),
            Column("Cluster-IP", "@core.v1.ServiceSpec.clusterIP"),
            Column("External-IP", "@core.v1.ServiceSpec.externalIPs"),
            Column("Port(s)", "@core.v1.ServiceSpec.ports"),
            AGE,
            Column("Selector", "@core.v1.ServiceSpec.selector", priority=1),
        ),
        _service,
    ),
    "Endpoints": Printer((NAME, Column("Endpoints", "@core.v1.Endpoints.subsets"), AGE), _endpoints),
    "discovery.k8s.io/EndpointSlice": Printer(
        (
            NAME,
            Column("AddressType", "@discovery.v1.EndpointSlice.addressType"),
            Column("Ports", "@discovery.v1.EndpointSlice.ports"),
            Column("Endpoints", "@discovery.v1.EndpointSlice.endpoints"),
            AGE,
        ),
        _endpoint_slice,
    ),
}
