"""What a sidecar does with its pod's own connections."""

from __future__ import annotations

from labrunner.sandbox.mesh.model import Endpoint, Service, ServicePort
from labrunner.sandbox.mesh.traffic.sidecar_scope import scope_for
from tests.unit.mesh_world import pod, rendered, service, virtual_hosts, world

CLIENT = pod("client", 2, ports=())
SHOP, STOCK = pod("shop", 3), pod("stock", 4, "depot")
SERVICES = [service("shop", [SHOP]), service("stock", [STOCK], namespace="depot", vip="10.96.0.51")]
PODS = [CLIENT, SHOP, STOCK]


def test_every_way_to_write_a_service_reaches_it_on_its_port() -> None:
    listeners, _ = rendered(world(PODS, SERVICES), CLIENT)
    hosts = virtual_hosts(listeners["outbound"], "8000")
    cluster = "client.shop/outbound|8000||shop.shop.svc.cluster.local"
    for name in ("shop", "shop.shop", "shop.shop.svc", "shop.shop.svc.cluster.local", "10.96.0.50"):
        assert hosts[name][0]["route"]["cluster"] == cluster, name
    assert "stock" not in hosts, "short names mean one's own namespace"
    assert "stock.depot" in hosts
    assert hosts["*"][0]["route"]["cluster"] == "client.shop/PassthroughCluster"


def test_registry_only_blocks_what_nobody_registered() -> None:
    listeners, _ = rendered(world(PODS, SERVICES, outbound_policy="REGISTRY_ONLY"), CLIENT)
    assert virtual_hosts(listeners["outbound"], "8000")["*"][0]["direct_response"] == {"status": 502}
    tcp = listeners["outbound"]["default_filter_chain"]["filters"][0]["typed_config"]
    assert tcp["cluster"] == "client.shop/BlackHoleCluster"


def test_a_sidecar_resource_hides_other_namespaces() -> None:
    manifests = """
kind: Sidecar
metadata: {name: default}
spec: {egress: [{hosts: ["./*"]}]}
"""
    seen = world(PODS, SERVICES, manifests)
    assert [s.name for s in scope_for(seen, CLIENT).services] == ["shop"]
    assert [s.name for s in scope_for(seen, STOCK).services] == ["shop", "stock"], "it is for its own namespace"


def test_a_sidecar_with_a_selector_beats_the_namespaces() -> None:
    manifests = """
kind: Sidecar
metadata: {name: default}
spec: {egress: [{hosts: ["./*"]}]}
---
kind: Sidecar
metadata: {name: wide}
spec:
  workloadSelector: {labels: {app: client}}
  egress: [{hosts: ["*/*"]}]
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
"""
    scope = scope_for(world(PODS, SERVICES, manifests), CLIENT)
    assert (len(scope.services), scope.registry_only, scope.source) == (2, True, "shop/wide")


def test_export_to_keeps_a_service_in_its_namespace() -> None:
    hidden = service("stock", [STOCK], namespace="depot", vip="10.96.0.51", export_to=(".",))
    listeners, clusters = rendered(world(PODS, [SERVICES[0], hidden]), CLIENT)
    assert "stock.depot" not in virtual_hosts(listeners["outbound"], "8000")
    assert not any("stock" in name for name in clusters)


def test_a_virtual_service_for_a_gateway_leaves_sidecars_alone() -> None:
    manifests = """
kind: VirtualService
metadata: {name: shop}
spec: {hosts: [shop], gateways: [edge], http: [{directResponse: {status: 299}}]}
"""
    listeners, _ = rendered(world(PODS, SERVICES, manifests), CLIENT)
    assert "route" in virtual_hosts(listeners["outbound"], "8000")["shop"][0]


def test_of_two_virtual_services_for_one_host_the_oldest_counts() -> None:
    manifests = """
kind: VirtualService
metadata: {name: first}
spec: {hosts: [shop], http: [{directResponse: {status: 211}}]}
---
kind: VirtualService
metadata: {name: second}
spec: {hosts: [shop.shop.svc.cluster.local], http: [{directResponse: {status: 212}}]}
"""
    listeners, _ = rendered(world(PODS, SERVICES, manifests), CLIENT)
    [route] = virtual_hosts(listeners["outbound"], "8000")["shop"]
    assert route["direct_response"]["status"] == 211


def test_an_exact_host_beats_a_wildcard_whatever_its_age() -> None:
    manifests = """
kind: VirtualService
metadata: {name: all}
spec: {hosts: ["*.shop.svc.cluster.local"], http: [{directResponse: {status: 211}}]}
---
kind: VirtualService
metadata: {name: one}
spec: {hosts: [shop], http: [{directResponse: {status: 212}}]}
"""
    listeners, _ = rendered(world(PODS, SERVICES, manifests), CLIENT)
    assert virtual_hosts(listeners["outbound"], "8000")["shop"][0]["direct_response"]["status"] == 212


def test_declared_tcp_is_never_inspected_and_goes_by_address() -> None:
    line = service("line", [SHOP], ServicePort("tcp", 9000, 9000), vip="10.96.0.60")
    listeners, _ = rendered(world(PODS, [*SERVICES, line]), CLIENT)
    outbound = listeners["outbound"]
    inspectors = [f for f in outbound["listener_filters"] if f["name"].endswith("_inspector")]
    assert all(f["filter_disabled"] == {"destination_port_range": {"start": 9000, "end": 9001}} for f in inspectors)
    chain = next(c for c in outbound["filter_chains"] if c["filter_chain_match"].get("destination_port") == 9000)
    assert chain["filter_chain_match"]["prefix_ranges"] == [{"address_prefix": "10.96.0.60", "prefix_len": 32}]


def test_a_port_of_no_stated_protocol_is_http_or_bytes() -> None:
    mixed = service("mixed", [SHOP], ServicePort("", 7000, 8080), vip="10.96.0.61")
    listeners, _ = rendered(world(PODS, [mixed]), CLIENT)
    chains = [c for c in listeners["outbound"]["filter_chains"] if c["filter_chain_match"]["destination_port"] == 7000]
    kinds = {tuple(c["filter_chain_match"].get("application_protocols", ())): c["filters"][-1]["name"] for c in chains}
    assert kinds[("http/1.0", "http/1.1", "h2c")].endswith("http_connection_manager")
    assert kinds[()].endswith("tcp_proxy")


def test_no_two_chains_want_the_same_connections() -> None:
    twice = [service(n, [SHOP], ServicePort("tcp", 9000, 9000), vip="10.96.0.62") for n in ("one", "two")]
    listeners, _ = rendered(world(PODS, twice), CLIENT)
    matches = [str(c["filter_chain_match"]) for c in listeners["outbound"]["filter_chains"]]
    assert len(matches) == len(set(matches))


def test_automatic_mtls_only_towards_sidecars() -> None:
    bare = pod("bare", 9, sidecar=False)
    _, clusters = rendered(world([*PODS, bare], [*SERVICES, service("bare", [bare], vip="10.96.0.70")]), CLIENT)

    def modes(host: str) -> list[object]:
        cluster = clusters[f"outbound|8000||{host}.shop.svc.cluster.local"]
        ends = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        return [e["metadata"]["filter_metadata"].get("envoy.transport_socket_match") for e in ends]

    assert modes("shop") == [{"tlsMode": "istio"}]
    assert modes("bare") == [None]


def test_a_registered_name_outside_is_called_in_plaintext() -> None:
    ends = {8000: (Endpoint(SHOP.ip, 8080, SHOP, {}, plain=True),)}
    partner = Service("partner.example.org", "partner", "shop", (), (ServicePort("http", 8000, 8000, "TCP", "http"),),
                      ends, resolution="DNS", location="MESH_EXTERNAL", external=True)  # fmt: skip
    listeners, clusters = rendered(world(PODS, [partner]), CLIENT)
    assert "partner.example.org" in virtual_hosts(listeners["outbound"], "8000")
    assert "transport_socket_matches" not in clusters["outbound|8000||partner.example.org"]


def test_a_tls_name_outside_is_chosen_by_its_sni() -> None:
    port = ServicePort("tls", 443, 443, "TCP", "tls")
    outside = Service("api.example.org", "api", "shop", (), (port,), {443: (Endpoint("192.0.2.1", 443),)},
                      resolution="DNS", location="MESH_EXTERNAL", external=True)  # fmt: skip
    listeners, _ = rendered(world(PODS, [outside]), CLIENT)
    [chain] = [c for c in listeners["outbound"]["filter_chains"] if c["filter_chain_match"]["destination_port"] == 443]
    assert chain["filter_chain_match"]["server_names"] == ["api.example.org"]


def test_the_pods_of_a_headless_service_are_called_one_by_one() -> None:
    port = ServicePort("tcp", 5432, 5432)
    headless = service("db", [SHOP, STOCK], port, vip="")
    listeners, _ = rendered(world(PODS, [headless]), CLIENT)
    wanted = {
        c["filter_chain_match"]["prefix_ranges"][0]["address_prefix"] for c in listeners["outbound"]["filter_chains"]
    }
    assert wanted == {"127.7.0.3", "127.7.0.4"}


def test_routes_for_other_workloads_leave_a_service_as_it_is() -> None:
    manifests = """
kind: VirtualService
metadata: {name: shop}
spec: {hosts: [shop], http: [{match: [{sourceLabels: {app: other}}], directResponse: {status: 211}}]}
"""
    listeners, _ = rendered(world(PODS, SERVICES, manifests), CLIENT)
    [route] = virtual_hosts(listeners["outbound"], "8000")["shop"]
    assert route["route"]["cluster"].endswith("outbound|8000||shop.shop.svc.cluster.local")


def test_a_made_up_host_is_served_beside_a_service_and_alone_only_on_port_80() -> None:
    def hosts(listed: str, table: str) -> set[str]:
        manifests = f"""
kind: VirtualService
metadata: {{name: v}}
spec: {{hosts: {listed}, http: [{{directResponse: {{status: 211}}}}]}}
"""
        listeners, _ = rendered(world(PODS, SERVICES, manifests), CLIENT)
        return set(virtual_hosts(listeners["outbound"], table))

    assert "made.up" in hosts("[shop, made.up]", "8000")
    assert "made.up" not in hosts("[made.up]", "8000")
    assert "made.up" in hosts("[made.up]", "80")


def test_routes_by_server_name_leave_other_names_without_a_way() -> None:
    secure = service("secure", [SHOP], ServicePort("tls", 443, 8443), vip="10.96.0.80")
    manifests = """
kind: VirtualService
metadata: {name: v}
spec:
  hosts: [secure]
  tls: [{match: [{sniHosts: [a.example.com]}], route: [{destination: {host: shop, port: {number: 8000}}}]}]
  tcp: [{route: [{destination: {host: stock.depot.svc.cluster.local, port: {number: 8000}}}]}]
"""
    listeners, _ = rendered(world(PODS, [*SERVICES, secure], manifests), CLIENT)
    found = [c["filter_chain_match"] for c in listeners["outbound"]["filter_chains"] if "443" in c["name"]]
    assert [match.get("server_names") for match in found] == [["a.example.com"]]


def test_an_egress_listener_for_a_port_imports_only_that_port() -> None:
    manifests = """
kind: Sidecar
metadata: {name: default}
spec: {egress: [{port: {number: 8001, protocol: HTTP, name: http-b}, hosts: ["./*"]}]}
"""
    both = service("shop", [SHOP], ServicePort("http", 8000, 8080), ServicePort("http-b", 8001, 8081))
    [found] = scope_for(world(PODS, [both], manifests), CLIENT).services
    assert [port.port for port in found.ports] == [8001]


def test_a_subset_may_hash_what_the_rule_does_not() -> None:
    manifests = """
kind: DestinationRule
metadata: {name: d}
spec:
  host: shop
  subsets:
  - name: v1
    trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}
  - {name: v2}
---
kind: VirtualService
metadata: {name: v}
spec:
  hosts: [shop]
  http:
  - {match: [{uri: {exact: /1}}], route: [{destination: {host: shop, subset: v1}}]}
  - {route: [{destination: {host: shop, subset: v2}}]}
"""
    listeners, _ = rendered(world(PODS, SERVICES, manifests), CLIENT)
    one, other = virtual_hosts(listeners["outbound"], "8000")["shop"]
    assert one["route"]["hash_policy"] == [{"header": {"header_name": "x-user"}}]
    assert "hash_policy" not in other["route"]
