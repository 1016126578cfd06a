"""Programs of the labs call each other through their sidecars: Bookinfo, and the order services' chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.mesh_sandbox import no_envoy, until
from tests.e2e.trace_world import TraceWorld, istio

pytestmark = [pytest.mark.skipif(bool(no_envoy()), reason=no_envoy() or "-"), pytest.mark.timeout(180)]

PART = """
apiVersion: v1
kind: Service
metadata: {name: SERVICE, namespace: NAMESPACE}
spec: {selector: {app: SERVICE}, ports: [{name: http, port: PORT}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: SERVICE-v1, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: SERVICE}}
  template:
    metadata: {labels: {app: SERVICE, version: v1}}
    spec: {containers: [{name: SERVICE, image: "IMAGE", ports: [{containerPort: PORT}]}]}
---
"""
NAMESPACES = """
apiVersion: v1
kind: Namespace
metadata: {name: books, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: orders, labels: {istio-injection: enabled}}
---
"""
TRACED = istio("telemetry", "Telemetry", "all", "{tracing: [{randomSamplingPercentage: 100}]}", "istio-system")
BOOKS = {"productpage": "productpage-v1", "details": "details-v1", "reviews": "reviews-v2", "ratings": "ratings-v1"}
ORDERS = ("order", "payment", "inventory", "notification")


def part(service: str, namespace: str, port: int, image: str) -> str:
    found = PART.replace("SERVICE", service).replace("NAMESPACE", namespace)
    return found.replace("PORT", str(port)).replace("IMAGE", image)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraceWorld]:
    found = TraceWorld("workloads", tmp_path_factory.mktemp("workloads") / "sandbox")
    parts = [part(s, "books", 9080, f"docker.io/istio/examples-bookinfo-{i}:1.20.3") for s, i in BOOKS.items()]
    parts += [part(f"{s}-service", "orders", 8080, f"ghcr.io/labrunner/{s}-service:v1.0.0") for s in ORDERS]
    found.apply(NAMESPACES + TRACED + "".join(parts))
    for namespace in ("books", "orders"):
        words = ("wait", "-n", namespace, "--for=condition=Available", "deploy", "--all", "--timeout=60s")
        found.kubectl(*words)
    yield found
    found.sandbox.stop()


def page(world: TraceWorld) -> str:
    return world.curl("shop/client", "http://productpage.books:9080/productpage", "-m", "20")[2]


def spans(world: TraceWorld, service: str) -> list[dict[str, Any]]:
    """Of the latest trace in which a service took part."""
    answer = world.kubectl("get", "--raw", f"/labrunner/mesh/api/traces?service={service}&limit=1")
    found: list[dict[str, Any]] = json.loads(answer)["data"][0]["spans"]
    return found


def test_the_product_page_has_details_reviews_and_ratings_from_the_other_services(world: TraceWorld) -> None:
    until(lambda: "glyphicon-star" in page(world) or "★" in page(world) or "stars" in page(world), 30)
    text = page(world)
    assert "Book Details" in text
    assert "Book Reviews" in text
    assert "Reviewer1" in text


def test_without_ratings_or_reviews_the_page_says_so_and_stays_up(world: TraceWorld) -> None:
    deny = "{{selector: {{matchLabels: {{app: {}}}}}}}"
    with world.with_objects(istio("security", "AuthorizationPolicy", "closed", deny.format("ratings"), "books")):
        until(lambda: "Ratings service is currently unavailable" in page(world), 30)
        assert "Reviewer1" in page(world)
    with world.with_objects(istio("security", "AuthorizationPolicy", "closed", deny.format("reviews"), "books")):
        until(lambda: "product reviews are currently unavailable" in page(world), 30)
        status = world.curl("shop/client", "http://productpage.books:9080/productpage", "-m", "20")[1]
        assert status == 200


def test_the_calls_of_one_page_are_one_trace_with_parents(world: TraceWorld) -> None:
    until(lambda: "product reviews are currently unavailable" not in page(world), 30)
    found = world.trace("shop/client", "http://productpage.books:9080/productpage", "-m", "20")
    inbound = {h["workload"]: h["depth"] for h in found["hops"] if h["direction"] == "inbound"}
    names = {name.partition("-")[0]: depth for name, depth in inbound.items()}
    assert names == {"productpage": 0, "details": 1, "reviews": 1, "ratings": 2}
    linked = spans(world, "ratings.books")
    ids = {span["spanID"]: span for span in linked}
    roots = [span for span in linked if not span["references"]]
    assert len(roots) == 1
    assert all(ref["spanID"] in ids for span in linked for ref in span["references"])
    ratings = next(s for s in linked if s["operationName"].startswith("ratings.") and _kind(s) == "server")
    chain = []
    span = ratings
    while span["references"]:
        span = ids[span["references"][0]["spanID"]]
        chain.append(_kind(span))
    assert chain == ["client", "server", "client", "server", "client"]


def _kind(span: dict[str, Any]) -> str:
    return next(tag["value"] for tag in span["tags"] if tag["key"] == "span.kind")


def test_an_order_goes_through_all_services_and_a_refusal_among_them_is_told(world: TraceWorld) -> None:
    url = "http://order-service.orders:8080/api/v1/orders"
    code, status, body = world.curl("shop/client", url, "-X", "POST", "-m", "20")
    assert (code, status) == (0, 201), body
    assert all(call["ok"] for call in json.loads(body)["calls"].values())
    deny = istio(
        "security", "AuthorizationPolicy", "closed", "{selector: {matchLabels: {app: inventory-service}}}", "orders"
    )
    with world.with_objects(deny):
        found = world.traced(lambda f: f["status"] == 502, "shop/client", url, "-X", "POST", "-m", "20")
    assert found["decidedBy"].startswith("inventory-service")
    assert "orders/closed allows nothing" in found["why"]
    services = {h["workload"] for h in found["hops"]}
    assert {"order-service-v1.orders", "payment-service-v1.orders", "inventory-service-v1.orders"} <= services
