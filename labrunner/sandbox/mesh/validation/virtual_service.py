"""VirtualService.

Source: ValidateVirtualService in pkg/config/validation/validation.go, virtualservice.go (validateHTTPRouteConflict).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.mesh.traffic.hosts import matches
from labrunner.sandbox.mesh.traffic.route_match import claim_path


def virtual_service(obj: Obj) -> Iterator[str]:
    spec = obj.get("spec") or {}
    hosts, gateways = list(spec.get("hosts") or ()), list(spec.get("gateways") or ())
    if not hosts:
        for key, words in (("gateways", "gateways"), ("tls", "tls route"), ("tcp", "tcp route")):
            if spec.get(key):
                yield f"delegate virtual service must have no {words} specified"
    mesh = not gateways or "mesh" in gateways
    if mesh:
        yield from _claims(spec, gateways)
    for host in hosts:
        if mesh and host == "*":
            yield "wildcard host * is not allowed for virtual services bound to the mesh gateway"
        elif "*" in host[1:] or (host.startswith("*") and host != "*" and host[1] not in ".-"):
            yield f'domain name "{host}" invalid (label "*" invalid)'
    for index, host in enumerate(hosts):
        for other in hosts[index + 1 :]:
            if matches(host, other) or matches(other, host):
                yield f"duplicate hosts in virtual service: {host} & {other}"
    if not any(spec.get(key) for key in ("http", "tcp", "tls")):
        yield "http, tcp or tls must be provided in virtual service"
    for entry in spec.get("http") or ():
        yield from _http(entry, delegate=not hosts)
    for entry in spec.get("tls") or ():
        yield from _tls(entry, hosts)
    for entry in spec.get("tcp") or ():
        if not entry.get("route"):
            yield "TCP route is required"


def _claims(spec: dict[str, Any], gateways: list[str]) -> Iterator[str]:
    for entry in spec.get("http") or ():
        for match in entry.get("match") or ():
            for key in [*(match.get("headers") or ()), *(match.get("withoutHeaders") or ())]:
                if claim_path(key):
                    yield (
                        f"JWT claim based routing (key: {key}) is only supported for gateway, found no gateways: "
                        f"[{' '.join(gateways)}]"
                    )


def _http(entry: dict[str, Any], *, delegate: bool) -> Iterator[str]:
    if entry.get("delegate"):
        if delegate:
            yield "delegate HTTP route cannot contain delegate"
            return
        for key in ("route", "redirect"):
            if entry.get(key):
                yield f"root HTTP route {entry.get('name', '')} must not specify {key}"
        return
    route, redirect, response = entry.get("route"), entry.get("redirect"), entry.get("directResponse")
    if redirect is not None:
        if route:
            yield "HTTP route cannot contain both route and redirect"
        if entry.get("fault"):
            yield "HTTP route cannot contain both fault and redirect"
        if entry.get("rewrite"):
            yield "HTTP route rule cannot contain both rewrite and redirect"
        if response is not None:
            yield "HTTP route rule cannot contain both direct_response and redirect"
    elif response is not None:
        if route:
            yield "HTTP route cannot contain both route and direct_response"
        if entry.get("fault"):
            yield "HTTP route cannot contain both fault and direct_response"
        if entry.get("rewrite"):
            yield "HTTP route rule cannot contain both rewrite and direct_response"
    elif not route:
        yield "HTTP route, redirect or direct_response is required"
    if entry.get("mirror") and entry.get("mirrors"):
        yield "HTTP route cannot contain both mirror and mirrors"
    for destination in route or ():
        if int(destination.get("weight", 0)) < 0:
            yield f"weight {destination['weight']} < 0"
        if not (destination.get("destination") or {}).get("host"):
            yield "destination must have a host"
    if len(route or ()) > 1 and not sum(int(one.get("weight", 0)) for one in route or ()):
        yield "total destination weight = 0"
    for key in ("delay", "abort"):
        share = ((entry.get("fault") or {}).get(key) or {}).get("percentage") or {}
        yield from _percentage(share.get("value"))
    yield from _percentage((entry.get("mirrorPercentage") or {}).get("value"))


def _percentage(value: float | None) -> Iterator[str]:
    if value is not None and value != 0 and not 0.0001 <= float(value) <= 100:
        yield f"percentage {value:g} is neither 0.0, nor in range [0.0001, 100.0]"


def _tls(entry: dict[str, Any], hosts: list[str]) -> Iterator[str]:
    if not entry.get("match"):
        yield "TLS route must have at least one match condition"
    for match in entry.get("match") or ():
        if not match.get("sniHosts"):
            yield "TLS match must have at least one SNI host"
        for name in match.get("sniHosts") or ():
            if not any(matches(host, name) for host in hosts):
                yield f'SNI host "{name}" is not a compatible subset of any of the virtual service domains: {hosts}'
    if not entry.get("route"):
        yield "TLS route is required"
