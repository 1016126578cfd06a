"""istioctl's analyzers give Istio's codes for configuration that does not do what its author meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labrunner.sandbox.istioctl import analyze as command
from labrunner.sandbox.istioctl.analysis.cluster import Cluster
from labrunner.sandbox.istioctl.command import main
from labrunner.sandbox.istioctl.kube import CommandError, Kube
from labrunner.sandbox.istioctl.options import parse
from labrunner.sandbox.istioctl.table import columns

ISTIO = "networking.istio.io/v1"
SECURITY = "security.istio.io/v1"


def obj(kind: str, name: str, spec: Any = None, api: str = ISTIO, **meta: Any) -> dict[str, Any]:
    metadata = {"name": name, **({} if kind == "Namespace" else {"namespace": "shop"}), **meta}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec or {}}


NAMESPACE = obj("Namespace", "shop", api="v1", labels={"istio-injection": "enabled"})
PORT = {"name": "http", "port": 80}
SERVICE = obj("Service", "web", {"selector": {"app": "web"}, "ports": [PORT]}, "v1")
POD = obj("Pod", "web-1", {"containers": [{"name": "web"}, {"name": "istio-proxy"}]}, "v1", labels={"app": "web"})
GATEWAY_POD = obj("Pod", "gw-1", {"containers": [{"name": "istio-proxy"}]}, "v1", labels={"istio": "gw"})
HEALTHY = [NAMESPACE, SERVICE, POD, GATEWAY_POD]


def codes(*objects: dict[str, Any]) -> list[str]:
    cluster = Cluster((*HEALTHY, *objects))
    return sorted(m.code for m in command._run(cluster))


def route(*rules: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return obj("VirtualService", spec.pop("name", "web"), {"hosts": ["web"], "http": list(rules), **spec})


TO_WEB: dict[str, Any] = {"route": [{"destination": {"host": "web"}}]}
SERVER = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["web.example"]}
MTLS = {"mtls": {"mode": "STRICT"}}


def gateway(name: str = "gw", **server: Any) -> dict[str, Any]:
    return obj("Gateway", name, {"selector": {"istio": "gw"}, "servers": [{**SERVER, **server}]})


def match(path: str) -> dict[str, Any]:
    return {"match": [{"uri": {"prefix": path}}], **TO_WEB}


def test_a_healthy_mesh_has_no_messages() -> None:
    assert codes(route(match("/a"), TO_WEB)) == []


CASES: list[tuple[str, list[dict[str, Any]], list[str]]] = [
    ("host", [route({"route": [{"destination": {"host": "nope"}}]})], ["IST0101"]),
    ("subset", [route({"route": [{"destination": {"host": "web", "subset": "v9"}}]})], ["IST0101"]),
    ("gateway", [route(TO_WEB, gateways=["nope"])], ["IST0101"]),
    ("selector", [obj("Gateway", "g", {"selector": {"istio": "nope"}, "servers": []})], ["IST0101"]),
    ("credential", [gateway(tls={"mode": "SIMPLE", "credentialName": "nope"})], ["IST0101"]),
    ("not injected", [obj("Namespace", "other", api="v1")], ["IST0102"]),
    ("two labels", [
        obj("Namespace", "o", api="v1", labels={"istio-injection": "enabled", "istio.io/rev": "x"}),
    ], ["IST0123"]),
    ("no proxy", [obj("Pod", "bare", {"containers": [{"name": "c"}]}, "v1")], ["IST0103"]),
    ("annotation", [obj("Service", "s", {}, "v1", annotations={"sidecar.istio.io/nope": "1"})], ["IST0108"]),
    ("misplaced", [obj("Service", "s", {}, "v1", annotations={"sidecar.istio.io/inject": "1"})], ["IST0107"]),
    ("two mesh routes", [route(TO_WEB), route(TO_WEB, name="web2")], ["IST0109", "IST0109"]),
    ("two sidecars", [obj("Sidecar", "a"), obj("Sidecar", "b")], ["IST0111", "IST0111"]),
    ("strict and plain", [
        obj("PeerAuthentication", "p", MTLS, SECURITY),
        obj("DestinationRule", "d", {"host": "web", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}),
    ], ["IST0113"]),
    ("port name", [obj("Service", "s", {"ports": [{"name": "web", "port": 80}]}, "v1")], ["IST0118"]),
    ("regex", [route({"match": [{"uri": {"regex": "("}}], **TO_WEB})], ["IST0122"]),
    ("no workload", [
        obj("AuthorizationPolicy", "a", {"selector": {"matchLabels": {"app": "no"}}}, SECURITY),
    ], ["IST0127"]),
    ("unverified", [
        obj("DestinationRule", "d", {"host": "web", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}}),
    ], ["IST0128"]),
    ("unreachable", [route(TO_WEB, match("/a"))], ["IST0130"]),
    ("duplicate rule", [route(match("/a"), match("/a"), TO_WEB)], ["IST0130"]),
    ("host not in gateway", [gateway(), route(TO_WEB, gateways=["gw"])], ["IST0132"]),
    ("no addresses", [
        obj("ServiceEntry", "s", {"hosts": ["db.example"], "ports": [{"number": 5432, "protocol": "TCP"}]}),
    ], ["IST0134"]),
    ("gateways in conflict", [gateway("a"), gateway("b")], ["IST0145", "IST0145"]),
    ("namespace of a source", [
        obj("AuthorizationPolicy", "a", {"rules": [{"from": [{"source": {"namespaces": ["no"]}}]}]}, SECURITY),
    ], ["IST0101"]),
]  # fmt: skip


@pytest.mark.parametrize(("objects", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_code(objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert codes(*objects) == expected


class FakeKube(Kube):
    def served(self, group: str) -> bool:
        return True

    def default_namespace(self) -> str:
        return "shop"

    def get(self, kinds: str, namespace: str | None = None, *names: str) -> list[dict[str, Any]]:
        return [*HEALTHY, route({"route": [{"destination": {"host": "nope"}}]})]


def test_errors_exit_79_and_warnings_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError) as failed:
        command.analyze(FakeKube(), [], "1.27")
    assert failed.value.exit_code == 79
    said = capsys.readouterr().out
    assert said == 'Error [IST0101] (VirtualService shop/web) Referenced host not found: "nope"\n'
    assert command.analyze(FakeKube(), ["--suppress", "IST0101=VirtualService shop/web"], "1.27") == 0
    assert "✔ No validation issues found when analyzing namespace: shop." in capsys.readouterr().err


def test_json_has_the_fields_of_istioctl(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.analyze(FakeKube(), ["-o", "json"], "1.27") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["code"], found["level"], found["origin"]) == ("IST0101", "Error", "VirtualService shop/web")


def test_files_are_judged_against_their_schemas_with_their_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(f"apiVersion: {ISTIO}\nkind: VirtualService\nmetadata: {{name: a}}\nspec: {{hosts: [a]}}\n")
    bad.write_text(f"---\napiVersion: {ISTIO}\nkind: VirtualService\nmetadata: {{name: a}}\nspec: {{hosts: 5}}\n")
    assert main(["validate", "-f", str(good)]) == 0
    assert capsys.readouterr().out == f'"{good}" is valid\n'
    assert main(["validate", "-f", str(bad)]) == 1
    assert f"{bad}:2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["analyse"], 'unknown command "analyse" for "istioctl"'),
        (["validate", "--nope"], "unknown flag: --nope"),
        (["validate", "-f"], "flag needs an argument"),
        (["validate", "-f", "/no/such/file.yaml"], "no such file"),
        (["validate"], "must specify at least one resource file"),
        (["install"], "works on a real cluster"),
        (["x", "nope"], 'unknown command "nope" for "istioctl experimental"'),
        (["dashboard", "kiali"], "has no kiali web page"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(
    line: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line) == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert words in said


def test_flags_stand_anywhere_and_short_ones_join() -> None:
    found = parse(["listener", "-ojson", "pod", "--port=80", "-A"], {"output": "o", "port": ""}, {"all": "A"})
    assert found.words == ["listener", "pod"]
    assert (found.value("output"), found.value("port"), found.given("all")) == ("json", "80", True)


def test_tables_align_like_tabwriter() -> None:
    assert columns([("NAME", "X"), ("longer", "y")], padding=2) == "NAME    X\nlonger  y\n"
