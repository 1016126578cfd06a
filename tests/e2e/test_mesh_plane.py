"""The mesh at work on a real Envoy: identities, policies, gateways, and what must survive faults."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrunner.sandbox.layout import Layout
from tests.e2e.mesh_sandbox import MeshSandbox, no_envoy, until

pytestmark = [pytest.mark.skipif(bool(no_envoy()), reason=no_envoy() or "-"), pytest.mark.timeout(120)]

STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
"""
DENY_TEAPOT = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-teapots, namespace: shop}
spec: {action: DENY, selector: {matchLabels: {app: shop}}, rules: [{to: [{operation: {paths: [/status/418]}}]}]}
"""
CALL = "http://shop.shop:8000"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeshSandbox]:
    found = MeshSandbox("plane", tmp_path_factory.mktemp("mesh") / "sandbox")
    found.open_shop()
    yield found
    found.sandbox.stop()


def test_sidecars_speak_mutual_tls_with_their_service_accounts(mesh: MeshSandbox) -> None:
    code, status, body = mesh.curl("shop/client", f"{CALL}/headers")
    assert (code, status) == (0, 200)
    assert "URI=spiffe://cluster.local/ns/shop/sa/default" in body
    code, status, body = mesh.curl("legacy/plain", f"{CALL}/headers")
    assert (code, status) == (0, 200), "without a policy plaintext is let in"
    assert "X-Forwarded-Client-Cert" not in body


def test_strict_resets_plaintext_and_lets_the_mesh_in(mesh: MeshSandbox) -> None:
    mesh.apply(STRICT)
    try:
        until(lambda: mesh.curl("legacy/plain", f"{CALL}/status/200")[0] in (52, 56))
        assert mesh.curl("shop/client", f"{CALL}/status/200")[1] == 200
    finally:
        mesh.kubectl("delete", "peerauthentication", "-n", "shop", "default")
    until(lambda: mesh.curl("legacy/plain", f"{CALL}/status/200")[1] == 200)


def test_a_denied_path_answers_403_and_names_envoy(mesh: MeshSandbox) -> None:
    mesh.apply(DENY_TEAPOT)
    try:
        assert mesh.curl("shop/client", f"{CALL}/status/418")[1:] == (403, "RBAC: access denied")
        assert mesh.curl("shop/client", f"{CALL}/status/200")[1] == 200
    finally:
        mesh.kubectl("delete", "authorizationpolicy", "-n", "shop", "no-teapots")
    assert mesh.curl("shop/client", f"{CALL}/status/418")[1] == 418


def test_the_public_address_works_with_ones_own_curl(mesh: MeshSandbox) -> None:
    address = mesh.public_address()
    resolve = ("--resolve", f"shop.example.com:80:{address}")
    assert mesh.curl("host", "http://shop.example.com/status/202", *resolve)[1] == 202
    assert mesh.curl("host", f"http://{address}/status/202")[1] == 404, "no Gateway serves that host"


def test_a_gateway_is_known_by_its_own_address(mesh: MeshSandbox) -> None:
    of_gateway = ("-n", "istio-system", "-l", "istio=ingressgateway")
    ip = mesh.kubectl("get", "pod", *of_gateway, "-o", "jsonpath={.items[0].status.podIP}")
    mesh.apply(f"""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: gateway-only, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: shop}}}}
  rules: [{{from: [{{source: {{ipBlocks: ["{ip}"]}}}}]}}]
""")
    try:
        resolve = ("--resolve", f"shop.example.com:80:{mesh.public_address()}")
        assert mesh.curl("host", "http://shop.example.com/status/202", *resolve)[1] == 202
        assert mesh.curl("shop/client", f"{CALL}/status/202")[1] == 403
    finally:
        mesh.kubectl("delete", "authorizationpolicy", "-n", "shop", "gateway-only")


def test_a_network_policy_drops_what_it_does_not_allow(mesh: MeshSandbox) -> None:
    mesh.apply("""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: own, namespace: shop}
spec: {podSelector: {matchLabels: {app: shop}}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]}
""")
    try:
        assert mesh.curl("legacy/plain", f"{CALL}/status/200", "-m", "1")[0] == 28
        assert mesh.curl("shop/client", f"{CALL}/status/200")[1] == 200
    finally:
        mesh.kubectl("delete", "networkpolicy", "-n", "shop", "own")


def test_a_denied_sidecar_hangs_as_on_a_dropped_packet(mesh: MeshSandbox) -> None:
    mesh.apply("""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: shop}
spec: {podSelector: {matchLabels: {app: shop}}, policyTypes: [Ingress]}
""")
    try:
        assert mesh.curl("shop/client", f"{CALL}/status/200", "-m", "1")[0] == 28
    finally:
        mesh.kubectl("delete", "networkpolicy", "-n", "shop", "closed")
    assert mesh.curl("shop/client", f"{CALL}/status/200")[1] == 200


def test_envoy_killed_comes_back_with_everything_in_force(mesh: MeshSandbox) -> None:
    mesh.apply(DENY_TEAPOT)
    assert mesh.curl("shop/client", f"{CALL}/status/418")[1] == 403
    before = mesh.envoy_pids()
    mesh.kill_envoy()
    until(lambda: mesh.envoy_pids() and mesh.envoy_pids() != before)
    until(lambda: mesh.curl("shop/client", f"{CALL}/status/418")[1] == 403)
    mesh.kubectl("delete", "authorizationpolicy", "-n", "shop", "no-teapots")
    events = mesh.kubectl("get", "events", "-A", "--field-selector=reason=ProxyRestarted")
    assert "Envoy ended unexpectedly (killed by SIGKILL)" in events
    status = mesh.sandbox.status().mesh or {}
    assert (status["envoy"], status["lastEnd"]) == ("running", "killed by SIGKILL")
    assert status["restarts"] >= 1


@pytest.mark.parametrize(
    "patch",
    [
        "{name: envoy.filters.http.nonsense, typed_config: {'@type': type.googleapis.com/no.such.Filter}}",
        "{name: envoy.filters.http.buffer, typed_config: "
        "{'@type': type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: many}}",
    ],
    ids=["unknown filter", "unreadable value"],
)
def test_a_bad_envoy_filter_is_refused_alone(mesh: MeshSandbox, patch: str) -> None:
    mesh.apply(f"""
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: bad, namespace: shop}}
spec:
  workloadSelector: {{labels: {{app: shop}}}}
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: {{filterChain: {{filter: {{name: envoy.filters.network.http_connection_manager}}}}}}
    patch: {{operation: INSERT_BEFORE, value: {patch}}}
""")
    try:
        field = "--field-selector=reason=ConfigRejected"
        until(lambda: "no effect" in mesh.kubectl("get", "events", "-n", "shop", field))
        assert "Envoy refuses" in (mesh.sandbox.status().mesh or {})["problems"]["EnvoyFilter shop/bad"]
        mesh.apply(DENY_TEAPOT)
        until(lambda: mesh.curl("shop/client", f"{CALL}/status/418")[1] == 403)
        assert mesh.curl("shop/client", f"{CALL}/status/200")[1] == 200
    finally:
        mesh.kubectl("delete", "envoyfilter", "-n", "shop", "bad")
        mesh.kubectl("delete", "authorizationpolicy", "-n", "shop", "no-teapots")
        mesh.kubectl("delete", "events", "-n", "shop", "--all")


def test_certificates_are_renewed_under_load_without_an_error(mesh: MeshSandbox) -> None:
    def serial() -> str:
        stats = mesh.kubectl("exec", "-n", "shop", "shop", "-c", "istio-proxy", "--", "pilot-agent", "request", "GET",
                             "certs")  # fmt: skip
        return stats

    address = mesh.public_address()
    resolve = ("--resolve", f"shop.example.com:80:{address}", "-m", "60", "-o", "/dev/null", "-w", "%{http_code}\n")
    istiod = ("deployment/istiod", "-n", "istio-system")
    mesh.kubectl("set", "env", *istiod, "DEFAULT_WORKLOAD_CERT_TTL=4s")
    try:
        before = serial()
        done = mesh.run("curl", "-sS", *resolve, "http://shop.example.com/delay/0.01?[1-400]")
        codes = done.split()
        assert len(codes) == 400
        assert set(codes) == {"200"}
        assert serial() != before
    finally:
        mesh.kubectl("set", "env", *istiod, "DEFAULT_WORKLOAD_CERT_TTL-")


def test_a_hundred_flips_leave_the_last_one_in_force(mesh: MeshSandbox) -> None:
    for _ in range(50):
        mesh.apply(DENY_TEAPOT)
        mesh.kubectl("delete", "authorizationpolicy", "-n", "shop", "no-teapots")
    assert mesh.curl("shop/client", f"{CALL}/status/418")[1] == 418


PLAINTEXT = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: plaintext, namespace: shop}
spec: {host: shop, trafficPolicy: {tls: {mode: DISABLE}}}
"""


def test_the_first_request_after_a_change_meets_it_on_kept_connections_too(mesh: MeshSandbox) -> None:
    """The client's sidecar keeps its plaintext connections; a listener that changed must not be met through them."""
    mesh.apply(PLAINTEXT)
    try:
        for _ in range(5):
            assert mesh.curl("shop/client", f"{CALL}/status/200")[1] == 200
            mesh.apply(STRICT)
            assert mesh.curl("shop/client", f"{CALL}/status/200")[1] == 503
            mesh.kubectl("delete", "peerauthentication", "-n", "shop", "default")
    finally:
        mesh.kubectl("delete", "destinationrule", "-n", "shop", "plaintext")


def test_what_is_not_supported_is_said_on_the_object(mesh: MeshSandbox) -> None:
    mesh.apply("""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: remote, namespace: shop}
spec:
  selector: {matchLabels: {app: nobody}}
  jwtRules: [{issuer: "https://issuer.example.com", jwksUri: "https://issuer.example.com/keys"}]
""")
    try:
        field = "--field-selector=reason=NotSupported"
        until(lambda: "jwksUri cannot be fetched here" in mesh.kubectl("get", "events", "-n", "shop", field))
        problems = (mesh.sandbox.status().mesh or {})["problems"]
        assert "Give the keys in jwks" in problems["RequestAuthentication shop/remote"]
    finally:
        mesh.kubectl("delete", "requestauthentication", "-n", "shop", "remote")
    until(lambda: "problems" not in (mesh.sandbox.status().mesh or {}))


def test_nothing_is_left_after_stop_or_kill(tmp_path_factory: pytest.TempPathFactory, mesh: MeshSandbox) -> None:
    other = MeshSandbox("plane-two", tmp_path_factory.mktemp("mesh") / "sandbox")
    until(other.envoy_pids)
    assert mesh.curl("shop/client", f"{CALL}/status/200")[1] == 200, "two sandboxes at once"
    sockets = Layout(other.sandbox.directory).sockets
    assert sockets.stat().st_mode & 0o077 == 0, "Envoy's administration is the user's alone"
    os.kill(other.server_pid, signal.SIGKILL)
    until(lambda: not other.envoy_pids())
    other.sandbox.start(owned=True, flavour="istio")
    until(other.envoy_pids)
    relay = (other.sandbox.directory / "mesh" / "client" / "relay").read_text()
    host = relay.partition(":")[0].rpartition(".")[0].rpartition(".")[0]
    assert _listening(host)
    other.sandbox.stop()
    assert not other.envoy_pids()
    until(lambda: not _listening(host))
    assert not sockets.exists()


def _listening(network: str) -> list[str]:
    """Sockets of 127.BLOCK.0.0/16 that take connections."""
    prefix = "".join(f"{int(part):02X}" for part in reversed(network.split(".")))
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return [line for line in lines if line.split()[1][4:8] == prefix and line.split()[3] == "0A"]
