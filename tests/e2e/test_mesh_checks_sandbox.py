"""Checks of traffic, `labrunner trace` and istioctl, on a sandbox whose requests go through a real Envoy."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from labrunner.check.evaluate import evaluate_check
from labrunner.check.kind import CheckContext
from labrunner.check.result import CheckResult, CheckStatus
from labrunner.errors import EnvironmentFault
from labrunner.lab.model import Check
from labrunner.sandbox.mesh.envoy import find_envoy
from labrunner.target.sandbox import SandboxTarget

MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/rev: asm-1-25}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: client, namespace: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: shop}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec:
      serviceAccountName: client
      containers: [{name: curl, image: curlimages/curl, command: [sleep, "100000"]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: kennethreitz/httpbin, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: jaeger, namespace: default}
spec:
  selector: {matchLabels: {app: jaeger}}
  template:
    metadata: {labels: {app: jaeger}}
    spec: {containers: [{name: jaeger, image: "docker.io/jaegertracing/all-in-one:1.58"}]}
---
apiVersion: v1
kind: Service
metadata: {name: tracing, namespace: default}
spec: {selector: {app: jaeger}, ports: [{name: http-query, port: 80, targetPort: 16686}]}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: tracing, namespace: shop}
spec:
  tracing:
  - randomSamplingPercentage: 100
    customTags: {team: {header: {name: x-team, defaultValue: nobody}}, course: {literal: {value: mesh}}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  action: DENY
  rules: [{to: [{operation: {paths: ["/admin*"]}}]}]
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckContext]:
    try:
        find_envoy()
    except EnvironmentFault as error:
        pytest.skip(error.message)
    directory = tmp_path_factory.mktemp("mesh")
    target = SandboxTarget("mesh-checks", ephemeral=True, directory=directory / "sandbox")
    target.start()
    try:
        environment = {**os.environ, **target.environment()}
        for words, text in (
            (["apply", "-f", "-"], MANIFEST),
            (["wait", "-n", "shop", "--for=condition=Available", "deploy", "--all", "--timeout=40s"], None),
        ):
            subprocess.run(["kubectl", *words], input=text, text=True, env=environment, check=True, capture_output=True)
        yield CheckContext(target, directory, environment)
    finally:
        target.stop()


def ask(world: CheckContext, kind: str, seconds: float = 10.0, **params: Any) -> CheckResult:
    """Asks until it holds, or the time is over: configuration takes a moment."""
    deadline = time.monotonic() + seconds
    while True:
        found = evaluate_check(Check("c", kind, params), world)
        if found.passed or time.monotonic() > deadline:
            return found


CLIENT = {"from": "deploy/client", "namespace": "shop"}


def test_a_request_goes_over_mutual_tls_with_both_identities(world: CheckContext) -> None:
    identities = {
        "client": "spiffe://cluster.local/ns/shop/sa/client",
        "server": "spiffe://cluster.local/ns/shop/sa/default",
    }
    found = ask(world, "request", **CLIENT, url="http://web/get", status=200, mtls=True, **identities)
    assert found.status is CheckStatus.PASSED, found


def test_a_refusal_is_the_policys_and_says_so(world: CheckContext) -> None:
    denied = ask(world, "request", **CLIENT, url="http://web/admin", status=403, deniedBy="shop/no-admin")
    assert denied.status is CheckStatus.PASSED, denied
    wrong = ask(world, "request", 0, **CLIENT, url="http://web/admin", status=200)
    assert wrong.status is CheckStatus.FAILED
    assert "denied by shop/no-admin rules[0] (DENY)" in wrong.findings[0].message


def test_each_cell_of_the_matrix_is_tried(world: CheckContext) -> None:
    targets = [{"name": "get", "url": "http://web/get"}, {"name": "admin", "url": "http://web/admin"}]
    callers = [{"name": "client", **CLIENT}]
    good = ask(world, "connectivity", callers=callers, targets=targets, allow=[{"caller": "client", "target": "get"}])
    assert good.status is CheckStatus.PASSED, good
    wrong = ask(
        world, "connectivity", 0, callers=callers, targets=targets, allow=[{"caller": "client", "target": "admin"}]
    )
    assert sorted(f.reason for f in wrong.findings) == ["reached", "refused"]


def test_sidecars_are_in_step_and_requests_are_counted(world: CheckContext) -> None:
    found = ask(world, "mesh", namespace="shop", expiresAfter=60)
    assert found.status is CheckStatus.PASSED, found
    ask(world, "request", **CLIENT, url="http://web/get", status=200)
    labels = {"reporter": "destination", "destination_app": "web", "connection_security_policy": "mutual_tls"}
    counted = ask(world, "metric", metric="istio_requests_total", labels=labels, value={"$gte": 1})
    assert counted.status is CheckStatus.PASSED, counted


def test_istioctl_shows_proxies_and_their_configuration(world: CheckContext) -> None:
    def istioctl(*words: str) -> str:
        environment = dict(world.environment)
        done = subprocess.run(["istioctl", *words], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "SYNCED" in istioctl("proxy-status")
    assert "outbound" in istioctl("proxy-config", "cluster", "deploy/client", "-n", "shop")
    assert "ROOTCA" in istioctl("proxy-config", "secret", "deploy/web", "-n", "shop")
    assert "Route: 80" in istioctl("proxy-config", "listener", "deploy/client", "-n", "shop", "--port", "80")
    assert "inbound|80||" in istioctl("pc", "l", "deploy/web", "-n", "shop", "--port", "15006")
    (routes,) = json.loads(istioctl("pc", "route", "deploy/client", "-n", "shop", "--name", "80", "-o", "json"))
    assert "web.shop.svc.cluster.local:80" in [host["name"] for host in routes["virtualHosts"]]
    assert "no-admin.shop" in istioctl("x", "authz", "check", "deploy/web", "-n", "shop")


def test_the_proxys_admin_pages_have_envoys_formats(world: CheckContext) -> None:
    def admin(path: str) -> str:
        words = [
            "exec",
            "-n",
            "shop",
            "deploy/client",
            "-c",
            "istio-proxy",
            "--",
            "pilot-agent",
            "request",
            "GET",
            path,
        ]
        done = subprocess.run(
            ["kubectl", *words], env=dict(world.environment), capture_output=True, text=True, check=True
        )  # fmt: skip
        return done.stdout

    ask(world, "request", **CLIENT, url="http://web/get", status=200)
    kinds = [each["@type"].rpartition(".")[2] for each in json.loads(admin("config_dump"))["configs"]]
    assert {"ClustersConfigDump", "ListenersConfigDump", "RoutesConfigDump", "SecretsConfigDump"} <= set(kinds)
    (found,) = json.loads(admin("certs"))["certificates"]
    assert found["cert_chain"][0]["subject_alt_names"] == [{"uri": "spiffe://cluster.local/ns/shop/sa/client"}]
    assert "outbound|80||web.shop.svc.cluster.local::10.244." in admin("clusters")
    assert "PRIVATE KEY" not in admin("config_dump")
    assert "upstream_rq_total" in admin("stats")


def test_the_sidecars_log_has_the_request(world: CheckContext) -> None:
    ask(world, "request", **CLIENT, url="http://web/get?marked", status=200)
    command = ["kubectl", "logs", "-n", "shop", "deploy/web", "-c", "istio-proxy", "--tail=20"]
    deadline = time.monotonic() + 5
    text = ""
    while "GET /get?marked HTTP/1.1" not in text and time.monotonic() < deadline:
        done = subprocess.run(command, env=dict(world.environment), capture_output=True, text=True, check=True)
        text = done.stdout
    assert '"GET /get?marked HTTP/1.1" 200' in text


def test_spans_have_the_tags_that_telemetry_asks_for(world: CheckContext) -> None:
    ask(world, "request", **CLIENT, url="http://web/get", status=200, headers={"x-team": "blue"})
    base = "http://tracing.default/jaeger/api"
    tags = quote('{"team": "blue", "course": "mesh"}')
    url = f"{base}/traces?service=web.shop&tags={tags}"
    found = ask(world, "request", **CLIENT, url=url, status=200, body={"$matches": '"value": "blue"'})
    assert found.status is CheckStatus.PASSED, found
    services = ask(world, "request", **CLIENT, url=f"{base}/services", status=200, body={"$matches": "client.shop"})
    assert services.status is CheckStatus.PASSED, services


def test_two_hundred_requests_are_sent_and_their_shares_counted(world: CheckContext) -> None:
    shares = [{"body": '"url"', "percent": 100}, {"body": "teapot", "percent": 0}]
    found = ask(world, "request", 0, **CLIENT, url="http://web/get", times=200, status=200, mtls=True, shares=shares)
    assert found.status is CheckStatus.PASSED, found


def test_jaegers_query_api_has_the_requests_spans(world: CheckContext) -> None:
    ask(world, "request", **CLIENT, url="http://web/get", status=200)
    url = "http://tracing.default/jaeger/api/traces?service=web.shop"
    found = ask(world, "request", **CLIENT, url=url, status=200, body={"$matches": "client.shop"})
    assert found.status is CheckStatus.PASSED, found
