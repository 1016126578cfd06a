"""Which endpoints Envoy itself takes for healthy: what its admin interface says of a proxy's clusters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labrunner.sandbox.workload.addresses import AddressPlan, pod_port

OK, FAILED = "OK", "FAILED"


def hosts_of(document: Mapping[str, Any], proxy: str, addresses: AddressPlan) -> dict[str, dict[str, str]]:
    """Cluster (as istiod names it) -> `address:port` -> outlier check, from `/clusters?format=json`."""
    found: dict[str, dict[str, str]] = {}
    for cluster in document.get("cluster_statuses") or ():
        owner, _, name = str(cluster.get("name", "")).partition("/")
        if owner != proxy:
            continue
        for host in cluster.get("host_statuses") or ():
            socket = (host.get("address") or {}).get("socket_address") or {}
            ejected = (host.get("health_status") or {}).get("failed_outlier_check")
            ip = str(socket.get("address", ""))
            place = f"{addresses.pod_ip(ip) if ip.count('.') == 3 else ip}:{pod_port(int(socket.get('port_value', 0)))}"
            found.setdefault(name, {})[place] = FAILED if ejected else OK
    return found


def mark(endpoints: list[dict[str, Any]], hosts: Mapping[str, Mapping[str, str]]) -> None:
    """In place: what Envoy thinks of each endpoint."""
    for assignment in endpoints:
        known = hosts.get(assignment["cluster_name"], {})
        for group in assignment.get("endpoints") or ():
            for each in group.get("lb_endpoints") or ():
                socket = each["endpoint"]["address"].get("socket_address", {})
                place = f"{socket.get('address')}:{socket.get('port_value')}"
                each["health_status"] = "HEALTHY"
                each["outlier_check"] = known.get(place, OK)
