"""One proxy's configuration as its own Envoy would dump it: names without the proxy, the cluster's addresses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from labrunner.sandbox.mesh.ca import Identity
from labrunner.sandbox.mesh.observe.istiod_shape import cluster, without_own
from labrunner.sandbox.mesh.observe.istiod_shape import listeners as istiod_listeners
from labrunner.sandbox.workload.addresses import AddressPlan, pod_port

Resources = Mapping[str, Mapping[str, Any]]
_HTTP = "envoy.filters.network.http_connection_manager"


def config_dump(
    proxy: str,
    listeners: Resources,
    clusters: Resources,
    addresses: AddressPlan,
    identity: Identity | None,
    root_pem: bytes,
) -> dict[str, Any]:
    """`listeners`, `clusters`, `routes`, `endpoints`, `secrets`, `ecds` and `bootstrap`."""
    own = [without_own(_seen(each, proxy, addresses)) for each in listeners.values()]
    found = [without_own(_seen(each, proxy, addresses)) for each in clusters.values()]
    endpoints = [c["load_assignment"] for c in found if c.get("load_assignment") and c["name"].startswith("outbound|")]
    name, _, namespace = proxy.rpartition(".")
    kind = (
        "router" if any(not n.rpartition("/")[2].startswith(("inbound|", "outbound")) for n in listeners) else "sidecar"
    )
    return {
        "bootstrap": _bootstrap(kind, name, namespace),
        "clusters": [cluster(each) for each in found],
        "endpoints": endpoints,
        "listeners": istiod_listeners(own),
        "routes": [r for each in own for r in _routes(each)],
        "secrets": secrets(identity, root_pem),
        "ecds": [],
    }


def _bootstrap(kind: str, name: str, namespace: str) -> dict[str, Any]:
    return {
        "node": {
            "id": f"{kind}~{name}.{namespace}~{namespace}.svc.cluster.local",
            "cluster": f"{name}.{namespace}",
            "metadata": {"NAME": name, "NAMESPACE": namespace, "MESH_ID": "cluster.local", "CLUSTER_ID": "Kubernetes"},
        },
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 15000}}},
        "dynamic_resources": {"lds_config": {"ads": {}}, "cds_config": {"ads": {}}},
    }


def _seen(resource: Mapping[str, Any], proxy: str, addresses: AddressPlan) -> dict[str, Any]:
    text = json.dumps(resource).replace(f'"{proxy}/', '"')
    found: dict[str, Any] = json.loads(text)
    _translate(found, addresses)
    return found


def _translate(value: Any, addresses: AddressPlan) -> None:
    """In place: every socket address becomes the pod's."""
    if isinstance(value, dict):
        socket = value.get("socket_address")
        if isinstance(socket, dict) and str(socket.get("address", "")).count(".") == 3:
            socket["address"] = addresses.pod_ip(socket["address"])
            if "port_value" in socket:
                socket["port_value"] = pod_port(socket["port_value"])
        for each in value.values():
            _translate(each, addresses)
    elif isinstance(value, list):
        for each in value:
            _translate(each, addresses)


def _routes(listener: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    chains = [*listener.get("filter_chains", ()), listener.get("default_filter_chain") or {}]
    for chain in chains:
        for each in chain.get("filters", ()):
            config = (each.get("typed_config") or {}).get("route_config")
            if each.get("name") == _HTTP and config:
                found.setdefault(config.get("name", ""), config)
    return list(found.values())


def secrets(identity: Identity | None, root_pem: bytes) -> list[dict[str, Any]]:
    """The workload's certificate and the mesh's root, as `proxy-config secret` shows them; never a key."""
    import base64
    import datetime

    from cryptography import x509

    form = "%Y-%m-%dT%H:%M:%SZ"
    now = datetime.datetime.now(datetime.UTC)
    found = []
    if identity is not None:
        found.append(
            {
                "name": "default", "type": "Cert Chain", "status": "ACTIVE",
                "valid": str(identity.not_before <= now < identity.not_after).lower(),
                "serial": f"{identity.serial:x}", "not_after": identity.not_after.strftime(form),
                "not_before": identity.not_before.strftime(form), "uri": identity.spiffe,
                "certificate_chain": {"inline_bytes": base64.b64encode(identity.certificate).decode()},
            }
        )  # fmt: skip
    root = x509.load_pem_x509_certificate(root_pem)
    found.append(
        {
            "name": "ROOTCA", "type": "CA", "status": "ACTIVE",
            "valid": str(root.not_valid_before_utc <= now < root.not_valid_after_utc).lower(),
            "serial": f"{root.serial_number:x}", "not_after": root.not_valid_after_utc.strftime(form),
            "not_before": root.not_valid_before_utc.strftime(form),
            "trusted_ca": {"inline_bytes": base64.b64encode(root_pem).decode()},
        }
    )  # fmt: skip
    return found
