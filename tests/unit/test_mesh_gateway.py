"""Gateway resources as listeners of a gateway workload."""

from __future__ import annotations

from labrunner.sandbox.mesh.traffic.gateway_servers import Server, bound_to
from tests.unit.mesh_world import gateway_pod, managers, pod, rendered, service, virtual_hosts, world

GATEWAY, SHOP = gateway_pod(), pod("shop", 3)
SERVICES = [service("shop", [SHOP])]
SECRET = {("istio-system", "cred"): {"tls.crt": b"CERT", "tls.key": b"KEY"}}


def _gateway(*servers: str, name: str = "edge") -> str:
    listed = "\n".join(f"  - {server}" for server in servers)
    selector = "{istio: ingressgateway}"
    return f"kind: Gateway\nmetadata: {{name: {name}}}\nspec:\n  selector: {selector}\n  servers:\n{listed}\n"


def _virtual_service(hosts: str, status: int = 211, name: str = "vs", match: str = "") -> str:
    entry = f"{{{match}directResponse: {{status: {status}}}}}"
    spec = f"{{hosts: {hosts}, gateways: [edge], http: [{entry}]}}"
    return f"kind: VirtualService\nmetadata: {{name: {name}}}\nspec: {spec}\n"


HTTP = "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*.example.com']}"


def _https(mode: str, hosts: str = "[a.example.com]", credential: str = "cred", name: str = "https") -> str:
    tls = f"{{mode: {mode}, credentialName: {credential}}}"
    return f"{{port: {{number: 443, name: {name}, protocol: HTTPS}}, tls: {tls}, hosts: {hosts}}}"


def test_a_host_needs_a_gateway_and_a_virtual_service_that_name_it() -> None:
    manifests = f"{_gateway(HTTP)}---\n{_virtual_service('[a.example.com, b.example.org]')}"
    listeners, _ = rendered(world([GATEWAY, SHOP], SERVICES, manifests), GATEWAY)
    assert list(virtual_hosts(listeners["0.0.0.0_80"], "http.80")) == ["a.example.com"]


def test_without_routes_every_host_is_unknown() -> None:
    listeners, _ = rendered(world([GATEWAY], (), _gateway(HTTP)), GATEWAY)
    assert virtual_hosts(listeners["0.0.0.0_80"], "http.80") == {"*": []}


def test_virtual_services_of_one_host_add_up_with_the_general_routes_last() -> None:
    first = _virtual_service("[a.example.com]", 211, "one")
    second = _virtual_service("[a.example.com]", 212, "two", "match: [{uri: {prefix: /x}}], ")
    listeners, _ = rendered(world([GATEWAY], (), f"{_gateway(HTTP)}---\n{first}---\n{second}"), GATEWAY)
    found = virtual_hosts(listeners["0.0.0.0_80"], "http.80")["a.example.com"]
    assert [route["direct_response"]["status"] for route in found] == [212, 211]


def test_a_redirect_to_https_covers_the_servers_hosts() -> None:
    server = "{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example.com], tls: {httpsRedirect: true}}"
    listeners, _ = rendered(world([GATEWAY], (), _gateway(server)), GATEWAY)
    [manager] = managers(listeners["0.0.0.0_80"])
    [host] = manager["route_config"]["virtual_hosts"]
    assert (host["domains"], host["require_tls"]) == (["a.example.com"], "ALL")


def test_each_https_server_is_chosen_by_name_and_has_its_own_certificate() -> None:
    secrets = {**SECRET, ("istio-system", "other"): {"tls.crt": b"CERT2", "tls.key": b"KEY2"}}
    manifests = _gateway(_https("SIMPLE"), _https("SIMPLE", "[b.example.com]", "other", "https-b"))
    listeners, _ = rendered(world([GATEWAY], (), manifests, secrets), GATEWAY)
    found = {}
    for chain in listeners["0.0.0.0_443"]["filter_chains"]:
        common = chain["transport_socket"]["typed_config"]["common_tls_context"]
        [name] = chain["filter_chain_match"]["server_names"]
        found[name] = common["tls_certificates"][0]["certificate_chain"]["inline_string"]
    assert found == {"a.example.com": "CERT", "b.example.com": "CERT2"}


def test_a_missing_credential_leaves_no_answer_to_a_handshake() -> None:
    listeners, _ = rendered(world([GATEWAY], (), _gateway(HTTP, _https("SIMPLE", credential="none")), SECRET), GATEWAY)
    assert list(listeners) == ["0.0.0.0_80"]


def test_mutual_wants_a_client_certificate_from_the_secrets_authority() -> None:
    def tls(mode: str, secrets: dict[tuple[str, str], dict[str, bytes]]) -> dict[str, object] | None:
        listeners, _ = rendered(world([GATEWAY], (), _gateway(_https(mode)), secrets), GATEWAY)
        if "0.0.0.0_443" not in listeners:
            return None
        found: dict[str, object] = listeners["0.0.0.0_443"]["filter_chains"][0]["transport_socket"]["typed_config"]
        return found

    inside = {("istio-system", "cred"): {**SECRET["istio-system", "cred"], "ca.crt": b"CA"}}
    beside = {**SECRET, ("istio-system", "cred-cacert"): {"ca.crt": b"CA"}}
    for secrets in (inside, beside):
        found = tls("MUTUAL", secrets)
        assert found is not None
        assert found["require_client_certificate"] is True
        optional = tls("OPTIONAL_MUTUAL", secrets)
        assert optional is not None
        assert optional["require_client_certificate"] is False
    assert tls("MUTUAL", SECRET) is None, "without an authority nobody could be checked"


def test_tls_passes_through_to_where_its_name_says() -> None:
    server = "{port: {number: 443, name: tls, protocol: TLS}, tls: {mode: PASSTHROUGH}, hosts: [a.example.com]}"
    route = """
kind: VirtualService
metadata: {name: vs}
spec:
  hosts: [a.example.com]
  gateways: [edge]
  tls: [{match: [{sniHosts: [a.example.com]}], route: [{destination: {host: shop, port: {number: 8000}}}]}]
"""
    listeners, clusters = rendered(world([GATEWAY, SHOP], SERVICES, f"{_gateway(server)}---{route}"), GATEWAY)
    [chain] = listeners["0.0.0.0_443"]["filter_chains"]
    assert "transport_socket" not in chain
    assert (
        chain["filters"][0]["typed_config"]["cluster"] == "gw.istio-system/outbound|8000||shop.shop.svc.cluster.local"
    )
    assert "outbound|8000||shop.shop.svc.cluster.local" in clusters


def test_the_container_port_behind_the_service_is_listened_on() -> None:
    from labrunner.sandbox.mesh.model import ServicePort

    front = service("gw", [GATEWAY], ServicePort("http2", 80, 8080), namespace="istio-system")
    listeners, _ = rendered(world([GATEWAY], [front], _gateway(HTTP)), GATEWAY)
    assert list(listeners) == ["0.0.0.0_8080"]


def test_hosts_may_be_limited_to_namespaces() -> None:
    config = {"metadata": {"name": "vs", "namespace": "shop"}}

    def admits(pattern: str) -> list[str]:
        return Server("infra/edge", {"port": {"number": 80}, "hosts": [pattern]}).admits(config, "a.example.com")

    assert admits("shop/*.example.com") == ["a.example.com"]
    assert admits("*/a.example.com") == ["a.example.com"]
    assert admits("other/a.example.com") == []
    assert admits("./a.example.com") == [], "the Gateway's own namespace is infra"


def test_a_virtual_service_binds_by_name_in_its_own_namespace() -> None:
    config = {"metadata": {"namespace": "shop"}, "spec": {"gateways": ["edge", "infra/door"]}}
    assert bound_to(config, "shop/edge")
    assert bound_to(config, "infra/door")
    assert not bound_to(config, "infra/edge")


def test_a_server_with_a_host_that_is_taken_is_left_out_whole() -> None:
    form = "kind: Gateway\nmetadata: {{name: {}}}\nspec: {{selector: {{istio: ingressgateway}}, servers: [{}]}}\n"
    manifests = "---\n".join(
        form.format(name, server)
        for name, server in (
            ("one", _https("SIMPLE")),
            ("two", _https("SIMPLE", "[a.example.com, b.example.com]", name="https-b")),
        )
    )
    listeners, _ = rendered(world([GATEWAY], (), manifests, SECRET), GATEWAY)
    [chain] = listeners["0.0.0.0_443"]["filter_chains"]
    assert chain["name"] == "https.443.https.one.shop"
    assert chain["filter_chain_match"] == {"server_names": ["a.example.com"]}


def test_the_mesh_may_be_met_with_its_own_certificates() -> None:
    listeners, _ = rendered(world([GATEWAY], (), _gateway(_https("ISTIO_MUTUAL"))), GATEWAY)
    [chain] = listeners["0.0.0.0_443"]["filter_chains"]
    typed = chain["transport_socket"]["typed_config"]
    assert typed["require_client_certificate"] is True
    [secret] = typed["common_tls_context"]["tls_certificate_sds_secret_configs"]
    assert secret["name"] == "spiffe://cluster.local/ns/istio-system/sa/gw"


def test_automatic_passthrough_has_a_chain_for_each_cluster() -> None:
    server = "{port: {number: 443, name: tls, protocol: TLS}, tls: {mode: AUTO_PASSTHROUGH}, hosts: ['*.local']}"
    listeners, clusters = rendered(world([GATEWAY, SHOP], SERVICES, _gateway(server)), GATEWAY)
    [chain] = listeners["0.0.0.0_443"]["filter_chains"]
    assert chain["filter_chain_match"]["server_names"] == ["outbound_.8000_._.shop.shop.svc.cluster.local"]
    [proxy] = chain["filters"]
    cluster = clusters[proxy["typed_config"]["cluster"].partition("/")[2]]
    assert "transport_socket" not in cluster
    assert cluster["load_assignment"]["endpoints"]


def test_proxies_in_front_are_believed_as_the_mesh_or_the_pod_says() -> None:
    from dataclasses import replace

    [manager] = managers(rendered(world([GATEWAY], (), _gateway(HTTP), trusted_proxies=1), GATEWAY)[0]["0.0.0.0_80"])
    assert manager["xff_num_trusted_hops"] == 1
    own = replace(GATEWAY, annotations={"proxy.istio.io/config": "gatewayTopology: {numTrustedProxies: 2}"})
    [manager] = managers(rendered(world([own], (), _gateway(HTTP)), own)[0]["0.0.0.0_80"])
    assert manager["xff_num_trusted_hops"] == 2


def test_tokens_are_read_before_routes_are_chosen_by_their_claims() -> None:
    manifests = (
        _gateway(HTTP)
        + """---
kind: RequestAuthentication
metadata: {name: r, namespace: istio-system}
spec: {jwtRules: [{issuer: me, jwks: '{"keys":[]}'}]}
"""
    )
    [manager] = managers(rendered(world([GATEWAY], (), manifests), GATEWAY)[0]["0.0.0.0_80"])
    [tokens] = [f for f in manager["http_filters"] if f["name"].endswith("jwt_authn")]
    assert tokens["typed_config"]["providers"]["origins-0"]["clear_route_cache"] is True
