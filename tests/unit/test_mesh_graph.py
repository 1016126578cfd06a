"""The graph of traffic: each request counted once, denied where the called one denied it, stale when rules change."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from mesh_world import PLAN, gateway_pod, pod, service, world

from labrunner.run.mesh.picture import picture_of, resources_of
from labrunner.sandbox.mesh.ca import Identity
from labrunner.sandbox.mesh.model import Workload, World
from labrunner.sandbox.mesh.observe.graph import Graph
from labrunner.sandbox.mesh.observe.peers import Directory
from labrunner.sandbox.mesh.observe.record import Record
from labrunner.sandbox.mesh.observe.resources import resources
from labrunner.sandbox.workload.addresses import AddressPlan

SPIFFE = "spiffe://cluster.local/ns/shop/sa/"
CLIENT, WEB, PLAIN, GATEWAY = pod("client", 5), pod("web", 6), pod("plain", 7, "old", sidecar=False), gateway_pod()
SERVICE = service("web", [WEB])
STRICT = (
    "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: s}, spec: {mtls: {mode: STRICT}}}"
)
NOBODY = "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: nobody}, spec: {}}"
CLIENT_ONLY = f"""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: client-only}}
spec: {{rules: [{{from: [{{source: {{principals: [{SPIFFE.removeprefix("spiffe://")}client]}}}}]}}]}}
"""


class Mesh:
    """A mesh that stands still until it is told otherwise."""

    addresses: AddressPlan = PLAN

    def __init__(self, manifests: str = "") -> None:
        self.seen = world([CLIENT, WEB, PLAIN, GATEWAY], [SERVICE], manifests)
        self.said = ""

    def world(self) -> World:
        return self.seen

    def identity(self, proxy: Workload) -> Identity | None:
        return None

    def pending(self) -> bool:
        return False

    def problem(self) -> str:
        return self.said

    def refused(self, proxy: Workload) -> str:
        return ""

    def apply(self, manifests: str) -> None:
        self.seen = world([CLIENT, WEB, PLAIN, GATEWAY], [SERVICE], manifests)


def outbound(request: str = "r1", **fields: Any) -> Record:
    base = Record(
        CLIENT.key, "outbound", time.time(), 4, 200, details="via_upstream", method="GET", path="/x?secret=1",
        protocol="HTTP/1.1", authority="web.shop:8000", request_id=request, upstream_host=f"{WEB.ip}:8080",
        upstream_cluster=f"outbound|8000||{SERVICE.host}", upstream_peer=f"{SPIFFE}web", remote=f"{CLIENT.ip}:40000",
    )  # fmt: skip
    return replace(base, **fields)


def inbound(request: str = "r1", caller: Workload = CLIENT, **fields: Any) -> Record:
    base = Record(
        WEB.key, "inbound", time.time(), 2, 200, details="via_upstream", method="GET", path="/x", protocol="HTTP/1.1",
        authority="web.shop:8000", request_id=request, local=f"{WEB.ip}:8080", remote=f"{caller.ip}:41000",
        direct_remote=f"{caller.ip}:41000", peer=f"{SPIFFE}client" if caller.sidecar else "",
        upstream_cluster="inbound|8080||",
    )  # fmt: skip
    return replace(base, **fields)


def graph_of(mesh: Mesh, *records: Record) -> Graph:
    graph = Graph(mesh)
    graph.look()
    directory = Directory.of(mesh.seen.workloads, mesh.seen.services, "cluster.local")
    for record in records:
        graph.add(record, directory)
    return graph


def edge(graph: Graph, source: str = "shop/client", target: str = "shop/web") -> Any:
    found = picture_of(graph.document()).edge((source, target))
    assert found is not None, picture_of(graph.document()).edges
    return found


def test_a_request_that_two_proxies_saw_counts_once() -> None:
    found = edge(graph_of(Mesh(), inbound(), outbound(), inbound("r2"), outbound("r2")))
    assert (found.total, found.errors, found.mtls, found.verdict) == (2, 0, True, "allowed")
    assert found.rate > 0 and found.wrong == 0
    assert found.path == "/x"


def test_a_denial_is_the_called_ones_whichever_record_comes_first() -> None:
    refused = {"code": 403, "details": "rbac_access_denied_matched_policy[none]"}
    for records in (
        (inbound(**refused), outbound(code=403)),
        (outbound(code=403), inbound(**refused)),
    ):
        found = edge(graph_of(Mesh(), *records))
        assert (found.verdict, found.total) == ("denied", 1), records
    assert edge(graph_of(Mesh(), outbound(code=403), inbound(code=403))).verdict == "answered"
    assert edge(graph_of(Mesh(), outbound(code=503, flags="UF", upstream_peer=""))).verdict == "failed"


def test_a_client_without_a_sidecar_is_seen_by_whom_it_calls() -> None:
    found = edge(graph_of(Mesh(), inbound(caller=PLAIN)), "old/plain")
    assert (found.mtls, found.total, found.verdict) == (False, 1, "allowed")
    cut = inbound(caller=PLAIN, protocol="", code=0, flags="NR", request_id="", method="", upstream_cluster="")
    found = edge(graph_of(Mesh(STRICT), cut), "old/plain")
    assert (found.verdict, found.errors) == ("denied", 1)


def test_a_gateway_is_called_from_outside_and_calls_on() -> None:
    through = outbound(proxy=GATEWAY.key, gateway=True, remote="10.9.9.9:5000", direct_remote="10.9.9.9:5000")
    arrived = inbound(
        direct_remote="127.0.0.1:50550", remote="10.9.9.9:0", peer="spiffe://cluster.local/ns/istio-system/sa/gw"
    )
    graph = graph_of(Mesh(), through, arrived)
    assert edge(graph, "outside", "istio-system/gw").mtls is False
    assert edge(graph, "istio-system/gw").mtls is True
    assert edge(graph, "istio-system/gw").total == 1
    assert picture_of(graph.document()).edge(("outside", "shop/web")) is None
    kinds = {node.id: node.kind for node in picture_of(graph.document()).nodes}
    assert kinds["outside"] == "client" and kinds["istio-system/gw"] == "gateway"


def test_what_is_outside_the_mesh_is_a_node_of_its_own() -> None:
    away = outbound(
        upstream_host="93.184.215.14:80", upstream_cluster="PassthroughCluster", authority="api.example.com",
        upstream_peer="",
    )  # fmt: skip
    found = edge(graph_of(Mesh(), away), target="host:api.example.com")
    assert (found.mtls, found.verdict) == (False, "allowed")


def test_a_new_policy_makes_calls_stale_and_says_what_to_expect_until_one_comes() -> None:
    mesh = Mesh()
    graph = graph_of(mesh, inbound(), outbound())
    assert edge(graph).state == "allowed"
    for manifests, state in ((NOBODY, "expect-denied"), (CLIENT_ONLY, "expect-allowed"), (STRICT, "expect-allowed")):
        mesh.apply(manifests)
        graph.look()
        assert edge(graph).state == state, manifests
    graph.add(
        inbound("r9", start=time.time() + 1), Directory.of(mesh.seen.workloads, mesh.seen.services, "cluster.local")
    )
    assert edge(graph).state == "allowed"


def test_plaintext_is_expected_to_be_denied_once_mtls_is_strict() -> None:
    mesh = Mesh()
    graph = graph_of(mesh, inbound(caller=PLAIN))
    mesh.apply(STRICT)
    graph.look()
    assert edge(graph, "old/plain").state == "expect-denied"


def test_a_forecast_that_needs_headers_is_not_made() -> None:
    mesh = Mesh()
    graph = graph_of(mesh, inbound())
    mesh.apply(CLIENT_ONLY.replace("rules: [{", 'rules: [{when: [{key: "request.headers[x]", values: [y]}], '))
    graph.look()
    assert edge(graph).state == "unsure"


def test_workloads_that_are_gone_take_their_wires_with_them() -> None:
    mesh = Mesh()
    graph = graph_of(mesh, inbound(), outbound())
    mesh.seen = world([WEB], [SERVICE])
    graph.look()
    assert not picture_of(graph.document()).edges


def test_nodes_tell_what_decides_about_calls_to_them() -> None:
    found = picture_of(graph_of(Mesh(f"{STRICT}\n---\n{NOBODY}")).document())
    web, plain = found.node("shop/web"), found.node("old/plain")
    assert web is not None and (web.mtls, web.policies, web.proxies, web.caller) == ("STRICT", 1, 1, "web")
    assert [(s.host, s.ports[0].number, s.ports[0].is_http) for s in web.services] == [("web.shop", 8000, True)]
    assert plain is not None and (plain.mtls, plain.in_mesh) == ("", False)


def test_a_question_for_news_waits_for_it_and_no_longer() -> None:
    async def ask() -> None:
        mesh = Mesh()
        graph = graph_of(mesh)
        version = (await graph.answer({}))["version"]
        asked = asyncio.create_task(graph.answer({"since": version, "wait": "20"}))
        await asyncio.sleep(0)
        assert not asked.done()
        mesh.apply(STRICT)
        graph.look()
        answer = await asyncio.wait_for(asked, 5)
        assert answer["version"] != version
        assert (await asyncio.wait_for(graph.answer({"since": answer["version"], "wait": "0.05"}), 5))["version"] == (
            answer["version"]
        )

    asyncio.run(ask())


def test_resources_of_a_workload_are_its_pods_services_and_rules() -> None:
    manifests = f"""{STRICT}
---
{CLIENT_ONLY}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: web}}
spec: {{host: web, subsets: [{{name: v1}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: other}}
spec: {{hosts: [elsewhere], http: [{{route: [{{destination: {{host: nobody}}}}]}}]}}
"""
    document = resources(Mesh(manifests), "shop/web")
    assert document is not None
    found = resources_of(document)
    assert [pod.name for pod in found.pods] == ["web"] and found.pods[0].proxy == "SYNCED"
    assert found.mtls == "STRICT" and found.mtls_from == "shop/s"
    assert found.services == (("web.shop.svc.cluster.local", "8000/http"),)
    assert found.objects == (
        ("AuthorizationPolicy", "shop/client-only", "ALLOW, 1 rule"),
        ("PeerAuthentication", "shop/s", "STRICT"),
        ("DestinationRule", "shop/web", "subsets v1"),
    )
    assert resources(Mesh(), "shop/nobody") is None
