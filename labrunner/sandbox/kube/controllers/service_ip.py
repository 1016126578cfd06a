"""Cluster IPs and node ports of Services: given out when a Service is created or changed, as the API server does.

Called as admission, before a Service is stored. Source: k8s.io/kubernetes/pkg/registry/core/service/storage/alloc.go.
"""

from __future__ import annotations

import ipaddress
import random
from typing import Any

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers.meta import name_of, namespace_of
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.status import invalid

NODE_PORTS = range(30000, 32768)
_RESERVED = 16
"""Low addresses of the range that are only given when asked for (the API server's Service, DNS)."""


def admit(api: Api, service: Obj, old: Obj | None, cidr: str = "10.96.0.0/16") -> Obj:
    """The Service with its cluster IP, families and node ports filled in. 422 where a wish cannot be met."""
    return allocate_node_ports(api, allocate_cluster_ip(api, service, old, cidr), old)


def allocate_cluster_ip(api: Api, service: Obj, old: Obj | None = None, cidr: str = "10.96.0.0/16") -> Obj:
    """Idempotent; honours a given address, `None` and ExternalName. An update keeps the address it had."""
    spec = dict(service.get("spec") or {})
    if spec.get("type") == "ExternalName":
        for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
            before = ((old or {}).get("spec") or {}).get(key)
            if before is None or spec.get(key) == before:
                spec.pop(key, None)
        return {**service, "spec": spec}
    before_spec: dict[str, Any] = (old or {}).get("spec") or {}
    wish = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
    if not wish and before_spec.get("clusterIP") and before_spec.get("type") != "ExternalName":
        wish = before_spec["clusterIP"]
    if wish and wish != "None" and wish != before_spec.get("clusterIP"):
        _check_wish(api, service, wish, cidr)
    address = wish or _free_address(api, cidr)
    spec["clusterIP"], spec["clusterIPs"] = address, [address]
    spec.setdefault("ipFamilies", ["IPv4"])
    if not spec.get("ipFamilyPolicy"):
        headless_without_selector = address == "None" and not spec.get("selector")
        spec["ipFamilyPolicy"] = "RequireDualStack" if headless_without_selector else "SingleStack"
        if headless_without_selector:
            spec["ipFamilies"] = ["IPv4", "IPv6"]
    return {**service, "spec": spec}


def _taken(api: Api) -> set[str]:
    return {address for service in api.objects("Service") for address in service["spec"].get("clusterIPs") or ()}


def _check_wish(api: Api, service: Obj, wish: str, cidr: str) -> None:
    problem = ""
    try:
        inside = ipaddress.ip_address(wish) in ipaddress.ip_network(cidr)
    except ValueError:
        return  # malformed: the schema's validation says so
    if not inside:
        problem = f"the provided IP ({wish}) is not in the valid range. The range of valid IPs is {cidr}"
    elif wish in _taken(api):
        problem = "provided IP is already allocated"
    if problem:
        error = field.invalid("spec.clusterIPs", [wish], f"failed to allocate IP {wish}: {problem}")
        raise invalid("Service", "", name_of(service), [error.cause()])


def _free_address(api: Api, cidr: str) -> str:
    taken, network = _taken(api), ipaddress.ip_network(cidr)
    last = network.num_addresses - 2
    for _ in range(64):
        address = str(network[random.randint(_RESERVED, last)])
        if address not in taken:
            return address
    for index in range(_RESERVED, last + 1):
        address = str(network[index])
        if address not in taken:
            return address
    raise invalid("Service", "", "", [FieldError("InternalError", "spec.clusterIPs", detail="range is full").cause()])


def allocate_node_ports(api: Api, service: Obj, old: Obj | None = None) -> Obj:
    """Give each port of a NodePort or LoadBalancer Service its node port; take them back when it is neither."""
    spec = dict(service.get("spec") or {})
    ports = [dict(port) for port in spec.get("ports") or ()]
    before = {_port_key(port): port.get("nodePort") for port in ((old or {}).get("spec") or {}).get("ports") or ()}
    wants = spec.get("type") == "NodePort" or (
        spec.get("type") == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)
    )
    if not wants and spec.get("type") != "LoadBalancer":
        for port in ports:
            if old is not None and port.get("nodePort") and port["nodePort"] == before.get(_port_key(port)):
                port.pop("nodePort")
        spec.pop("healthCheckNodePort", None)
        for key in ("externalTrafficPolicy", "allocateLoadBalancerNodePorts"):
            if old is not None and spec.get(key) == old["spec"].get(key):
                spec.pop(key, None)
    taken = _taken_ports(api, service) if wants else set()
    given: dict[tuple[int, str], int] = {}
    for index, port in enumerate(ports):
        protocol = port.get("protocol", "TCP")
        if not port.get("nodePort") and wants:
            port["nodePort"] = before.get(_port_key(port)) or _free_port(taken)
        if number := port.get("nodePort"):
            if number not in before.values():
                _check_port(service, index, number, protocol, taken)
            given[number, protocol] = index
            taken.add((number, protocol))
    if ports:
        spec["ports"] = ports
    if spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local":
        spec.setdefault("healthCheckNodePort", _free_port(taken))
    return {**service, "spec": spec}


def _port_key(port: dict[str, Any]) -> tuple[Any, ...]:
    return port.get("name", ""), port.get("port"), port.get("protocol", "TCP")


def _taken_ports(api: Api, service: Obj) -> set[tuple[int, str]]:
    me = (namespace_of(service), service["metadata"].get("name", ""))
    return {
        (port["nodePort"], port.get("protocol", "TCP"))
        for other in api.objects("Service")
        if (namespace_of(other), name_of(other)) != me
        for port in other["spec"].get("ports") or ()
        if port.get("nodePort")
    }


def _check_port(service: Obj, index: int, number: int, protocol: str, taken: set[tuple[int, str]]) -> None:
    problem = ""
    if number not in NODE_PORTS:
        problem = "provided port is not in the valid range. The range of valid ports is 30000-32767"
    elif (number, protocol) in taken:
        problem = "provided port is already allocated"
    if problem:
        cause = field.invalid(f"spec.ports[{index}].nodePort", number, problem).cause()
        raise invalid("Service", "", name_of(service), [cause])


def _free_port(taken: set[tuple[int, str]]) -> int:
    used = {number for number, _protocol in taken}
    return random.choice([number for number in NODE_PORTS if number not in used])
