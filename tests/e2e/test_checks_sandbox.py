"""Checks and targets against a running sandbox, changed by real kubectl."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labrunner.check.evaluate import evaluate_check
from labrunner.check.kind import CheckContext
from labrunner.check.result import CheckResult, CheckStatus
from labrunner.cli import run
from labrunner.errors import EnvironmentFault
from labrunner.lab.model import Check
from labrunner.target.live import LiveTarget
from labrunner.target.sandbox import SandboxTarget

GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: shop, namespace: {namespace}}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
    - port: {{number: 443, name: https, protocol: HTTPS}}
      tls: {{mode: {mode}, credentialName: shop-cert}}
      hosts: [shop.example.org]
"""
CHECK = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Gateway",
    "name": "shop",
    "match": {"spec": {"servers": [{"port": {"number": 443}, "tls": {"mode": "SIMPLE"}}]}},
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxTarget]:
    directory = tmp_path_factory.mktemp("checks") / "sandbox"
    found = SandboxTarget("checks", ephemeral=True, instant=True, directory=directory)
    found.start()
    yield found
    found.stop()
    assert not directory.exists()


def kubectl(target: Any, *args: str, stdin: str = "", directory: Path | None = None) -> str:
    environment = {**os.environ, **target.environment()}
    done = subprocess.run(
        ["kubectl", *args], input=stdin, env=environment, cwd=directory, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(target: Any, directory: Path, kind: str, /, **params: Any) -> CheckResult:
    environment = {**os.environ, **target.environment()}
    return evaluate_check(Check("c", kind, params), CheckContext(target, directory, environment))


def eventually_passes(target: Any, directory: Path, kind: str, /, **params: Any) -> CheckResult:
    deadline = time.monotonic() + 10
    while True:
        result = ask(target, directory, kind, **params)
        if result.passed or time.monotonic() > deadline:
            return result


def test_a_gateway_goes_from_missing_to_different_to_passed(target: SandboxTarget, tmp_path: Path) -> None:
    assert ask(target, tmp_path, "resource", **CHECK).findings[0].reason == "missing"
    kubectl(target, "create", "namespace", "elsewhere")
    kubectl(target, "apply", "-f", "-", stdin=GATEWAY.format(namespace="elsewhere", mode="SIMPLE"))
    assert ask(target, tmp_path, "resource", **CHECK).findings[0].reason == "wrong-namespace"
    kubectl(target, "apply", "-f", "-", stdin=GATEWAY.format(namespace="default", mode="PASSTHROUGH"))
    finding = ask(target, tmp_path, "resource", **CHECK).findings[0]
    assert (finding.where, finding.observed) == ("Gateway default/shop: spec.servers[0].tls.mode", "PASSTHROUGH")
    kubectl(target, "apply", "-f", "-", stdin=GATEWAY.format(namespace="default", mode="SIMPLE"))
    result = ask(target, tmp_path, "resource", **CHECK)
    assert result.status is CheckStatus.PASSED
    older = ask(target, tmp_path, "resource", **{**CHECK, "apiVersion": "networking.istio.io/v1beta1"})
    assert older.status is CheckStatus.PASSED


def test_a_tls_secret_is_judged_as_its_files_are(target: SandboxTarget, tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=shop.example.org",
         "-addext", "subjectAltName=DNS:shop.example.org", "-keyout", "k", "-out", "c"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    kubectl(target, "create", "secret", "tls", "shop-cert", "--cert=c", "--key=k", directory=tmp_path)
    asked: dict[str, Any] = {"hosts": ["shop.example.org"], "selfSigned": True, "key": {"type": "rsa", "size": 2048}}
    for source in ({"file": "c"}, {"secret": {"name": "shop-cert"}}):
        result = ask(target, tmp_path, "certificate", **source, **asked, privateKey={"secret": {"name": "shop-cert"}})
        assert result.status is CheckStatus.PASSED, result
    result = ask(target, tmp_path, "certificate", secret={"name": "shop-cart"})
    assert 'did you mean "shop-cert"?' in result.summary


def test_a_deployment_becomes_available_and_is_gone_again(target: SandboxTarget, tmp_path: Path) -> None:
    before = target.kube().inventory()
    kubectl(target, "create", "deployment", "web", "--image=nginx", "--replicas=2")
    about = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    result = eventually_passes(target, tmp_path, "condition", **about, type="Available")
    assert result.status is CheckStatus.PASSED, result
    pods = {"apiVersion": "v1", "kind": "Pod", "labelSelector": "app=web"}
    assert ask(target, tmp_path, "resource", **pods, count=2, match={"status": {"phase": "Running"}}).passed
    assert {str(name) for name in target.kube().inventory() - before} == {"Deployment default/web"}
    kubectl(target, "delete", "deployment", "web", "--wait")
    assert eventually_passes(target, tmp_path, "absent", **pods).passed
    assert ask(target, tmp_path, "absent", **about).passed
    assert target.kube().inventory() == before


def test_a_command_check_reaches_the_same_cluster(target: SandboxTarget, tmp_path: Path) -> None:
    result = ask(target, tmp_path, "command", run="kubectl get namespace default -o json",
                 json={"metadata": {"name": "default"}})  # fmt: skip
    assert result.status is CheckStatus.PASSED, result


def test_a_snapshot_brings_the_world_back(target: SandboxTarget, tmp_path: Path) -> None:
    about = {"apiVersion": "v1", "kind": "ConfigMap", "name": "kept"}
    assert target.snapshot("before")
    kubectl(target, "create", "configmap", "kept")
    assert ask(target, tmp_path, "resource", **about).passed
    assert target.restore("before")
    assert ask(target, tmp_path, "absent", **about).passed


def test_a_sandbox_used_as_a_live_cluster_needs_its_context_named(target: SandboxTarget, tmp_path: Path) -> None:
    environment = target.environment()
    context = kubectl(target, "config", "current-context").strip()
    live = LiveTarget(context, environment=environment)
    live.start()
    try:
        assert {"kubernetes", "istio-crds"} <= live.features
        assert live.environment()["KUBECONFIG"] != environment["KUBECONFIG"]
        assert kubectl(live, "config", "current-context").strip() == context
        namespaces = {"apiVersion": "v1", "kind": "Namespace", "name": "default"}
        assert ask(live, tmp_path, "resource", **namespaces).passed
    finally:
        live.stop()


def test_a_cluster_that_goes_away_in_mid_check_is_an_error_not_a_failure(tmp_path: Path) -> None:
    target = SandboxTarget("brief", instant=True, directory=tmp_path / "sandbox")
    target.start()
    namespaces = {"apiVersion": "v1", "kind": "Namespace", "name": "default"}
    try:
        assert ask(target, tmp_path, "resource", **namespaces).passed
        target.sandbox.stop()
        result = ask(target, tmp_path, "resource", **namespaces)
        assert result.status is CheckStatus.ERROR
        assert "cannot be reached" in result.summary
        assert result.findings[0].message
        target.start()
        assert ask(target, tmp_path, "resource", **namespaces).passed
    finally:
        target.stop()


def test_a_sandbox_that_already_runs_is_left_running(tmp_path: Path) -> None:
    first = SandboxTarget("shared", ephemeral=True, instant=True, directory=tmp_path / "sandbox")
    first.start()
    second = SandboxTarget("shared", ephemeral=True, directory=tmp_path / "sandbox")
    second.start()
    second.stop()
    assert first.sandbox.status().health == "running"
    first.stop()
    assert not (tmp_path / "sandbox").exists()
    with pytest.raises(EnvironmentFault):
        first.kube().list("v1", "Namespace")


def test_a_kind_that_is_deleted_in_mid_lab_is_a_finding(target: SandboxTarget, tmp_path: Path) -> None:
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
            "scope": "Namespaced",
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
            ],
        },
    }
    about = {"apiVersion": "example.org/v1", "kind": "Widget", "name": "w"}
    assert ask(target, tmp_path, "resource", **about).findings[0].reason == "unknown-kind"
    kubectl(target, "apply", "-f", "-", stdin=json.dumps(definition))
    kubectl(target, "wait", "--for=condition=Established", "crd/widgets.example.org", "--timeout=10s")
    assert ask(target, tmp_path, "resource", **about).findings[0].reason == "missing"
    kubectl(target, "delete", "crd", "widgets.example.org", "--wait")
    assert ask(target, tmp_path, "resource", **about).findings[0].reason == "unknown-kind"
    assert ask(target, tmp_path, "absent", **about).passed


def test_doctor_starts_and_stops_a_sandbox_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["sandbox"]["status"] == "ok", checks["sandbox"]
