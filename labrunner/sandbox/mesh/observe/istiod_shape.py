"""A proxy's listeners and clusters in the shape in which istiod delivers them to a proxy of its own.

Here one Envoy runs every proxy, without iptables and with routes and endpoints inline; a learner's istioctl shows what
an Istio of several Envoys would have: virtualOutbound and virtualInbound, RDS, EDS. Nothing is left out that acts.
Source: pilot/pkg/networking/core/listener.go, listener_builder.go and cluster.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from labrunner.sandbox.mesh.traffic.http_route import OWN_METADATA
from labrunner.sandbox.workload.addresses import pod_port

Item = dict[str, Any]
_HTTP = "envoy.filters.network.http_connection_manager"
_ADS: Item = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
_OURS = ("alt_stat_name", "upstream_bind_config")


def listeners(found: Iterable[Item]) -> list[Item]:
    """`found`: rendered ones, with the cluster's addresses and names without the proxy."""
    shaped: list[Item] = []
    inbound: list[Item] = []
    for each in found:
        if each["name"] == "outbound":
            shaped += _outbound(each)
        elif each["name"].startswith("inbound|"):
            port = each["address"]["socket_address"]["port_value"]
            inbound += [_for_port(chain, port) for chain in _chains(each)]
        else:
            port = each["address"]["socket_address"]["port_value"]
            shaped.append({**each, "name": f"0.0.0.0_{port}", "address": _at("0.0.0.0", port),
                           "filter_chains": [_with_rds(chain) for chain in _chains(each)]})  # fmt: skip
    if inbound:
        shaped.append({"name": "virtualInbound", "address": _at("0.0.0.0", 15006), "traffic_direction": "INBOUND",
                       "filter_chains": inbound})  # fmt: skip
    return shaped


def _outbound(listener: Item) -> list[Item]:
    """One listener for each port, or address and port, and the one that takes what is left."""
    rest = listener.get("default_filter_chain") or {}
    found: dict[tuple[str, int], Item] = {}
    for chain in _chains(listener):
        match = dict(chain.get("filter_chain_match") or {})
        port = pod_port(int(match.pop("destination_port", 0)))
        ranges = match.pop("prefix_ranges", None) or [{"address_prefix": "0.0.0.0", "prefix_len": 32}]
        address = ranges[0]["address_prefix"]
        if len(ranges) > 1 or ranges[0].get("prefix_len") not in (32, 128):
            match["prefix_ranges"] = ranges
            address = "0.0.0.0"
        own = found.setdefault((address, port), _listener(address, port, rest if address == "0.0.0.0" else {}))
        shaped = _with_rds({**chain, "filter_chain_match": match})
        if not match:
            shaped.pop("filter_chain_match")
        if shaped not in own["filter_chains"]:
            own["filter_chains"].append(shaped)
    virtual: Item = {"name": "virtualOutbound", "address": _at("0.0.0.0", 15001), "traffic_direction": "OUTBOUND",
               "use_original_dst": True, "filter_chains": [], "default_filter_chain": rest}  # fmt: skip
    return [*found.values(), virtual]


def _listener(address: str, port: int, rest: Item) -> Item:
    found: Item = {"name": f"{address}_{port}", "address": _at(address, port), "traffic_direction": "OUTBOUND",
                   "bind_to_port": False, "filter_chains": []}  # fmt: skip
    return {**found, "default_filter_chain": rest} if rest else found


def _for_port(chain: Item, port: int) -> Item:
    return {**chain, "filter_chain_match": {"destination_port": port, **(chain.get("filter_chain_match") or {})}}


def _chains(listener: Mapping[str, Any]) -> list[Item]:
    return list(listener.get("filter_chains") or ())


def _with_rds(chain: Item) -> Item:
    """Routes by name, as a proxy asks istiod for them."""
    filters = []
    for each in chain.get("filters", ()):
        config = each.get("typed_config") or {}
        if each.get("name") == _HTTP and "route_config" in config:
            name = config["route_config"].get("name", "")
            kept = {key: value for key, value in config.items() if key != "route_config"}
            each = {**each, "typed_config": {**kept, "rds": {"config_source": _ADS, "route_config_name": name}}}
        filters.append(each)
    return {**chain, "filters": filters}


def _at(address: str, port: int) -> Item:
    return {"socket_address": {"address": address, "port_value": port}}


def cluster(found: Item) -> Item:
    """Endpoints by EDS where istiod has them so, and original destinations where it leaves the choice to the client."""
    shaped = {key: value for key, value in found.items() if key not in _OURS}
    name = shaped["name"]
    if name.startswith("inbound|") or name == "PassthroughCluster":
        shaped.pop("load_assignment", None)
        return {**shaped, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"}
    if name.startswith("outbound|") and shaped.get("type") == "STATIC":
        shaped.pop("load_assignment", None)
        return {**shaped, "type": "EDS", "eds_cluster_config": {"eds_config": _ADS, "service_name": name}}
    return shaped


def without_own(value: Any) -> Any:
    """Without the metadata that istiod does not write, nor the logs that the sandbox reads."""
    if isinstance(value, dict):
        return {
            key: without_own(each) for key, each in value.items() if key not in (OWN_METADATA, "access_log")
        }  # fmt: skip
    return [without_own(each) for each in value] if isinstance(value, list) else value
