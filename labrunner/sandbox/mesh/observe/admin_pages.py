"""Pages of a proxy's admin interface (port 15000), in Envoy's own formats. Source: Envoy's admin API (admin/v3)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

_TYPE = "type.googleapis.com/envoy.admin.v3"
Item = Mapping[str, Any]


def config_dump(dump: Mapping[str, Any]) -> dict[str, Any]:
    """`/config_dump`: one entry for each kind of configuration."""
    clusters = [{"version_info": "1", "cluster": each} for each in dump["clusters"]]
    listeners = [
        {"name": each["name"], "active_state": {"version_info": "1", "listener": each}} for each in dump["listeners"]
    ]
    routes = [{"version_info": "1", "route_config": each} for each in dump["routes"]]
    endpoints = [{"version_info": "1", "endpoint_config": each} for each in dump["endpoints"]]
    secrets = [{"name": each["name"], "secret": _secret(each)} for each in dump["secrets"]]
    return {
        "configs": [
            {"@type": f"{_TYPE}.BootstrapConfigDump", "bootstrap": dump["bootstrap"]},
            {"@type": f"{_TYPE}.ClustersConfigDump", "version_info": "1", "dynamic_active_clusters": clusters},
            {"@type": f"{_TYPE}.EndpointsConfigDump", "dynamic_endpoint_configs": endpoints},
            {"@type": f"{_TYPE}.ListenersConfigDump", "version_info": "1", "dynamic_listeners": listeners},
            {"@type": f"{_TYPE}.RoutesConfigDump", "dynamic_route_configs": routes},
            {"@type": f"{_TYPE}.SecretsConfigDump", "dynamic_active_secrets": secrets},
        ]
    }


def _secret(found: Item) -> dict[str, Any]:
    if "trusted_ca" in found:
        return {"name": found["name"], "validation_context": {"trusted_ca": found["trusted_ca"]}}
    chain = found["certificate_chain"]
    hidden = {"inline_bytes": "W3JlZGFjdGVkXQ=="}
    return {"name": found["name"], "tls_certificate": {"certificate_chain": chain, "private_key": hidden}}


def certs(secrets: list[dict[str, Any]]) -> dict[str, Any]:
    """`/certs`: the CA and the chain, with their dates."""
    chains = [s for s in secrets if "certificate_chain" in s]
    roots = [s for s in secrets if "trusted_ca" in s]
    return {"certificates": [{"ca_cert": [_cert(s) for s in roots], "cert_chain": [_cert(s) for s in chains]}]}


def _cert(found: Item) -> dict[str, Any]:
    end = datetime.datetime.fromisoformat(found["not_after"].replace("Z", "+00:00"))
    left = end - datetime.datetime.now(datetime.UTC)
    names = [{"uri": found["uri"]}] if found.get("uri") else []
    return {
        "path": "<inline>", "serial_number": found["serial"], "subject_alt_names": names,
        "days_until_expiration": str(max(left.days, 0)), "valid_from": found["not_before"],
        "expiration_time": found["not_after"],
    }  # fmt: skip


def listeners(found: list[dict[str, Any]]) -> str:
    """`/listeners`: name::address:port."""
    sockets = ((each["name"], each["address"].get("socket_address", {})) for each in found)
    return "".join(f"{name}::{socket.get('address')}:{socket.get('port_value')}\n" for name, socket in sockets)


def clusters(endpoints: list[dict[str, Any]]) -> str:
    """`/clusters`: each endpoint with the flags that keep it from getting traffic."""
    lines = []
    for assignment in endpoints:
        for group in assignment.get("endpoints") or ():
            for each in group.get("lb_endpoints") or ():
                socket = each["endpoint"]["address"].get("socket_address", {})
                place = f"{assignment['cluster_name']}::{socket.get('address')}:{socket.get('port_value')}"
                flags = "/failed_outlier_check" if each.get("outlier_check") == "FAILED" else "healthy"
                lines += [f"{place}::health_flags::{flags}\n", f"{place}::weight::{_weight(each)}\n"]
    return "".join(lines)


def _weight(endpoint: Item) -> int:
    return int(endpoint.get("load_balancing_weight", 1))
