"""`labrunner trace` from outside the cluster: what a gateway did with a request, or why it took none."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.mesh_sandbox import no_envoy, until
from tests.e2e.trace_world import TraceWorld, istio

pytestmark = [pytest.mark.skipif(bool(no_envoy()), reason=no_envoy() or "-"), pytest.mark.timeout(180)]

GATEWAY = istio(
    "networking", "Gateway", "edge",
    """{selector: {istio: ingressgateway}, servers: [
      {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com, other.example.com]},
      {port: {number: 80, name: moved, protocol: HTTP}, hosts: [tls.example.com], tls: {httpsRedirect: true}},
      {port: {number: 443, name: one, protocol: HTTPS}, hosts: [shop.example.com],
       tls: {mode: SIMPLE, credentialName: shop}},
      {port: {number: 443, name: two, protocol: HTTPS}, hosts: [mutual.example.com],
       tls: {mode: MUTUAL, credentialName: mutual}},
      {port: {number: 443, name: three, protocol: HTTPS}, hosts: [missing.example.com],
       tls: {mode: SIMPLE, credentialName: nowhere}},
      {port: {number: 443, name: four, protocol: HTTPS}, hosts: [noca.example.com],
       tls: {mode: MUTUAL, credentialName: shop}}]}""",
)  # fmt: skip
ROUTES = istio(
    "networking", "VirtualService", "edge",
    """{hosts: [shop.example.com, mutual.example.com], gateways: [edge], http: [
      {match: [{uri: {prefix: /get}}], route: [{destination: {host: web, port: {number: 8000}}}]},
      {match: [{uri: {prefix: /strict}}], rewrite: {uri: /get},
       route: [{destination: {host: web.strict.svc.cluster.local, port: {number: 8000}}}]}]}""",
) + istio(
    "networking", "VirtualService", "loose",
    "{hosts: [other.example.com], http: [{route: [{destination: {host: web, port: {number: 8000}}}]}]}",
)  # fmt: skip
GATEWAY_ID = "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraceWorld]:
    found = TraceWorld("trace-edge", tmp_path_factory.mktemp("trace") / "sandbox")
    certificates(found)
    found.apply(GATEWAY + ROUTES)
    address = found.public_address()
    until(lambda: found.curl("host", f"http://{address}/get", "-H", "host: shop.example.com")[1] == 200, 30)
    yield found
    found.sandbox.stop()


def certificates(world: TraceWorld) -> None:
    """A CA, server certificates for two hosts and one for a client, and the gateway's secrets."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=world.directory, check=True, capture_output=True)

    def signed(name: str, host: str) -> None:
        key = ("-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key")
        openssl("req", *key, "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "9",
                "-CAcreateserial", "-copy_extensions", "copy", "-out", f"{name}.crt")  # fmt: skip

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=lab", "-keyout", "ca.key",
            "-out", "ca.crt")  # fmt: skip
    for name in ("shop", "mutual"):
        signed(name, f"{name}.example.com")
    signed("ann", "ann")
    at = world.directory
    create = ("create", "secret", "-n", "istio-system")
    world.kubectl(*create, "tls", "shop", f"--cert={at}/shop.crt", f"--key={at}/shop.key")
    files = {"tls.crt": "mutual.crt", "tls.key": "mutual.key", "ca.crt": "ca.crt"}
    world.kubectl(*create, "generic", "mutual", *(f"--from-file={key}={at}/{name}" for key, name in files.items()))


def http(world: TraceWorld, path: str, host: str) -> dict[str, Any]:
    return world.trace("host", f"http://{world.public_address()}{path}", "-H", f"host: {host}")


def https(world: TraceWorld, path: str, host: str, options: str = "") -> dict[str, Any]:
    known = f"--cacert ca.crt --resolve {host}:443:{world.public_address()} {options}"
    return world.trace("host", f"https://{host}{path}", "--curl", known)


def said(found: dict[str, Any]) -> str:
    return " ".join([found["why"], *found["change"]])


def test_from_the_gateway_to_the_server_every_hop_is_told(world: TraceWorld) -> None:
    found = http(world, "/get", "shop.example.com")
    assert (found["status"], found["verdict"], found["client"]["who"]) == (200, "allowed", "this machine")
    gateway, server = found["hops"]
    assert (gateway["kind"], gateway["incoming"], gateway["tls"]) == ("gateway", "plaintext", "mTLS")
    assert gateway["origin"] == "VirtualService shop/edge http[0].match[0]"
    assert gateway["pod"] == "web.shop"
    assert (server["client"], server["tls"]) == (GATEWAY_ID, "mTLS TLSv1.3")


def test_tls_at_the_gateway_and_a_strict_namespace_behind_it(world: TraceWorld) -> None:
    found = https(world, "/strict", "shop.example.com")
    assert found["status"] == 200
    assert found["hops"][0]["incoming"] == "TLSv1.3"
    assert found["hops"][0]["listener"].startswith("https.443.one")
    assert found["application"]["who"] == "web.strict"


def test_a_404_for_the_path_and_one_for_the_host_are_told_apart(world: TraceWorld) -> None:
    path, host = http(world, "/nothing", "shop.example.com"), http(world, "/get", "nobody.example.com")
    assert (path["status"], host["status"]) == (404, 404)
    assert "http[0].match[0].uri wants prefix /get; it is /nothing" in said(path)
    assert "no VirtualService of this gateway has the host nobody.example.com" in host["why"]
    assert "shop.example.com" in said(host)


def test_a_virtual_service_that_is_not_bound_is_named(world: TraceWorld) -> None:
    found = http(world, "/get", "other.example.com")
    assert found["status"] == 404
    assert "VirtualService shop/loose has it, but its gateways are mesh: add shop/edge" in said(found)


def test_the_redirect_to_https_is_the_gateways(world: TraceWorld) -> None:
    found = http(world, "/get", "tls.example.com")
    assert (found["status"], found["verdict"]) == (301, "allowed")
    assert "tls.httpsRedirect" in found["why"]


def test_a_name_that_no_server_has_and_a_call_by_address_are_told_apart(world: TraceWorld) -> None:
    unknown = https(world, "/get", "unknown.example.com")
    bare = world.trace("host", f"https://{world.public_address()}/get", "--curl=-k")
    assert (unknown["curlExit"], bare["curlExit"]) == (35, 35)
    assert "no server of the Gateways here has the name unknown.example.com" in unknown["why"]
    assert "the client named no server in its TLS handshake (SNI)" in bare["why"]
    assert "curl --resolve" in said(bare)


def test_a_missing_credential_and_a_missing_ca_are_named(world: TraceWorld) -> None:
    secret, ca = https(world, "/get", "missing.example.com"), https(world, "/get", "noca.example.com")
    assert "the secret istio-system/nowhere does not exist" in secret["why"]
    assert "kubectl create secret tls nowhere -n istio-system" in said(secret)
    assert "its mode is MUTUAL and there is no CA certificate in istio-system/shop" in ca["why"]


def test_a_client_certificate_that_is_missing_is_asked_for(world: TraceWorld) -> None:
    without = https(world, "/get", "mutual.example.com")
    with_it = https(world, "/get", "mutual.example.com", "--cert ann.crt --key ann.key")
    assert (without["status"], without["verdict"], with_it["status"]) == (0, "denied", 200)
    assert "it sent no client certificate, and one is required" in without["why"]
    assert "--cert" in said(without)


def test_a_client_that_does_not_trust_the_server_is_told_so(world: TraceWorld) -> None:
    address = world.public_address()
    found = world.trace(
        "host", "https://shop.example.com/get", "--curl", f"--resolve shop.example.com:443:{address}"
    )  # fmt: skip
    assert found["curlExit"] == 60
    assert "does not accept the server's certificate" in found["why"]


def test_a_policy_at_the_gateway_is_the_gateways_refusal(world: TraceWorld) -> None:
    policy = istio(
        "security", "AuthorizationPolicy", "closed",
        "{selector: {matchLabels: {istio: ingressgateway}}, action: DENY, rules: [{to: [{operation: "
        "{paths: [/get], methods: [GET]}}]}]}", namespace="istio-system",
    )  # fmt: skip
    url, options = f"http://{world.public_address()}/get", ("-H", "host: shop.example.com")
    with world.with_objects(policy):
        found = world.traced(lambda f: f["verdict"] == "denied", "host", url, *options)
    assert found["status"] == 403
    assert found["why"] == "denied by istio-system/closed rules[0] (DENY)"
    assert found["decidedBy"].startswith("gateway istio-ingressgateway")
    assert [hop["kind"] for hop in found["hops"]] == ["gateway"]


def test_a_port_without_listener_shows_the_ports_there_are(world: TraceWorld, tmp_path: Path) -> None:
    found = world.trace("host", f"http://{world.public_address()}:15021/x", "-m", "2")
    assert found["hops"] == []
    assert "no listener on port 15021: its Gateways have 80, 443" in found["why"]
