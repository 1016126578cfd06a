"""The inbound side of a sidecar, EnvoyFilters on it, and what its changes mean for its callers."""

from __future__ import annotations

from typing import Any

import pytest

from labrunner.sandbox.mesh import envoy_filter
from labrunner.sandbox.mesh.delivery import _mark, _versions
from labrunner.sandbox.mesh.model import ServicePort
from labrunner.sandbox.mesh.policy import allows_addresses
from tests.unit.mesh_world import managers, pod, rendered, service, world

SHOP = pod("shop", 3)
PLAIN_HTTP = ("raw_buffer", ("http/1.0", "http/1.1", "h2c"), "http", False)
RAW_TCP, PLAIN_TLS = ("raw_buffer", (), "tcp", False), ("tls", (), "tcp", False)
HTTP_PEERS = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
PEERS = ("istio-peer-exchange", "istio")


def _peer_authentication(mode: str) -> str:
    return f"kind: PeerAuthentication\nmetadata: {{name: default}}\nspec: {{mtls: {{mode: {mode}}}}}\n"


def _listener(port_name: str, manifests: str) -> dict[str, Any]:
    named = service("shop", [SHOP], ServicePort(port_name, 8000, 8080))
    return rendered(world([SHOP], [named], manifests), SHOP)[0]["inbound|8080"]


def _chains(listener: dict[str, Any]) -> set[tuple[str, tuple[str, ...], str, bool]]:
    """(transport, ALPN, http or tcp, ends mutual TLS) of each chain."""
    found = set()
    for chain in listener["filter_chains"]:
        match, last = chain["filter_chain_match"], chain["filters"][-1]["name"]
        kind = "tcp" if last.endswith("tcp_proxy") else "http"
        alpn = tuple(match.get("application_protocols", ()))
        found.add((match["transport_protocol"], alpn, kind, "transport_socket" in chain))
    return found


@pytest.mark.parametrize(
    ("port", "mode", "chains"),
    [
        ("http", "STRICT", {("tls", (), "http", True)}),
        ("http", "PERMISSIVE", {("tls", (*PEERS, *HTTP_PEERS), "http", True), ("raw_buffer", (), "http", False)}),
        ("http", "DISABLE", {("raw_buffer", (), "http", False)}),
        ("tcp", "STRICT", {("tls", (), "tcp", True)}),
        ("tcp", "PERMISSIVE", {("tls", (*PEERS, *HTTP_PEERS), "tcp", True), RAW_TCP, PLAIN_TLS}),
        ("tcp", "DISABLE", {RAW_TCP}),
        ("web", "STRICT", {("tls", HTTP_PEERS, "http", True), ("tls", (), "tcp", True)}),
        ("web", "PERMISSIVE", {("tls", HTTP_PEERS, "http", True), ("tls", PEERS, "tcp", True), PLAIN_HTTP, RAW_TCP,
                               PLAIN_TLS}),
        ("web", "DISABLE", {PLAIN_HTTP, RAW_TCP}),
    ],
)  # fmt: skip
def test_each_mode_and_protocol_has_istiods_chains(port: str, mode: str, chains: set[Any]) -> None:
    assert _chains(_listener(port, _peer_authentication(mode))) == chains


@pytest.mark.parametrize(
    ("port", "mode", "wanted"),
    [("tcp", "DISABLE", []), ("tcp", "PERMISSIVE", ["tls"]), ("web", "STRICT", ["tls"]), ("web", "DISABLE", ["http"])],
)
def test_clients_are_waited_for_only_where_something_must_be_told_apart(
    port: str, mode: str, wanted: list[str]
) -> None:
    listener = _listener(port, _peer_authentication(mode))
    names = [one["name"].rpartition(".")[2].removesuffix("_inspector") for one in listener["listener_filters"]]
    assert names == wanted
    assert listener["listener_filters_timeout"] == "0s", "as long as it takes, as protocolDetectionTimeout defaults to"


def test_the_route_table_names_the_services_port() -> None:
    [host] = managers(_listener("http", _peer_authentication("STRICT")))[0]["route_config"]["virtual_hosts"]
    assert host["name"] == "inbound|http|8000"


def test_a_sidecars_ingress_leads_to_its_endpoint() -> None:
    manifests = """
kind: Sidecar
metadata: {name: in}
spec:
  workloadSelector: {labels: {app: shop}}
  ingress: [{port: {number: 9090, protocol: HTTP, name: http}, defaultEndpoint: "127.0.0.1:8080"}]
"""
    listeners, clusters = rendered(world([SHOP], [], manifests), SHOP)
    assert {"inbound|8080", "inbound|9090"} <= set(listeners)
    [end] = clusters["inbound|9090||"]["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert end["endpoint"]["address"]["socket_address"]["port_value"] == 40000 + 8080 % 1000


LIMIT = """
kind: EnvoyFilter
metadata: {name: limit}
spec:
  workloadSelector: {labels: {app: shop}}
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: HCM}}}}
    patch: {operation: INSERT_BEFORE, value: {name: envoy.filters.http.local_ratelimit}}
  - applyTo: HTTP_ROUTE
    match: {context: SIDECAR_INBOUND, routeConfiguration: {portNumber: 8080, vhost: {name: "inbound|http|8000"}}}
    patch: {operation: MERGE, value: {route: {rate_limits: [{actions: [{remote_address: {}}]}]}}}
""".replace("HCM", "envoy.filters.network.http_connection_manager")


def test_a_patch_is_applied_once_to_each_of_a_listeners_chains() -> None:
    seen = world([SHOP], [service("shop", [SHOP])], LIMIT)
    from labrunner.sandbox.mesh.render import render_proxy
    from tests.unit.mesh_world import surroundings

    listeners, clusters = render_proxy(seen, surroundings(), SHOP)
    listeners, _, patched = envoy_filter.apply(seen, SHOP, listeners, clusters)
    assert patched.used == {"shop/limit"}
    found = managers(next(v for name, v in listeners.items() if name.endswith("inbound|8080")))
    assert len(found) == 2, "mutual TLS and plaintext"
    for manager in found:
        names = [one["name"] for one in manager["http_filters"]]
        assert names.count("envoy.filters.http.local_ratelimit") == 1
        [route] = manager["route_config"]["virtual_hosts"][0]["routes"]
        assert len(route["route"]["rate_limits"]) == 1


def test_callers_get_new_connections_when_a_listener_changes_and_only_then() -> None:
    client = pod("client", 2, ports=())
    named = service("shop", [SHOP], ServicePort("http", 8000, 8080))

    def marks(manifests: str) -> dict[str, Any]:
        seen = world([SHOP, client], [named], manifests)
        versions = _versions(rendered(seen, SHOP)[0])
        clusters = rendered(seen, client)[1]
        return {name: _mark({**one, "name": f"client.shop/{name}"}, versions) for name, one in clusters.items()}

    key = "outbound|8000||shop.shop.svc.cluster.local"
    before, strict = marks(""), marks(_peer_authentication("STRICT"))
    assert before[key] != strict[key]
    assert before[key] == marks("kind: Telemetry\nmetadata: {name: t}\nspec: {}\n")[key]
    assert "metadata" not in before["PassthroughCluster"]


def test_a_port_of_a_network_policy_is_of_one_protocol() -> None:
    client = pod("client", 2)
    manifests = """
kind: NetworkPolicy
metadata: {name: dns}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}
"""
    seen = world([client], [], manifests)
    by_ip = {client.ip: client}
    assert allows_addresses(seen, by_ip, client.ip, "10.96.0.10", 53, "UDP")
    assert not allows_addresses(seen, by_ip, client.ip, "10.96.0.10", 53)
    assert not allows_addresses(seen, by_ip, client.ip, "10.96.0.10", 54, "UDP")
