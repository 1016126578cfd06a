"""The reading client: what it asks, what it keeps, and what it says when the cluster does not answer."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kube_server import FakeApi, running

from labrunner.errors import EnvironmentFault, LabrunnerError
from labrunner.target.base import ObjectName, UnknownKind
from labrunner.target.kube_client import KubeApiClient

POD = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {}}


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with running() as server:
        server.serve_kinds("v1", ("Pod", "pods", True), ("Namespace", "namespaces", False))
        yield server


@pytest.fixture
def client(api: FakeApi, tmp_path: Path) -> KubeApiClient:
    return KubeApiClient(api.kubeconfig(tmp_path / "kubeconfig"))


def test_an_object_is_read_in_the_contexts_namespace_unless_another_is_named(
    api: FakeApi, client: KubeApiClient
) -> None:
    api.answers["/api/v1/namespaces/shop/pods/web"] = POD
    found = client.get("v1", "Pod", "web")
    assert found == {"apiVersion": "v1", "kind": "Pod", **POD}
    assert client.get("v1", "Pod", "web", "elsewhere") is None
    assert client.namespace() == "shop"
    assert api.headers[-1]["Authorization"] == "Bearer t0ken"


def test_lists_carry_selectors_and_follow_pages(api: FakeApi, client: KubeApiClient) -> None:
    api.answers["/api/v1/pods"] = {"metadata": {"continue": "page2"}, "items": [POD]}
    api.answers["/api/v1/pods#page2"] = {"metadata": {}, "items": [POD, POD]}
    found = client.list("v1", "Pod", all_namespaces=True, label_selector="a=b", field_selector="status.phase=Running")
    assert [o["kind"] for o in found] == ["Pod"] * 3
    asked = [r for r in api.requests if r.startswith("/api/v1/pods")]
    assert all("labelSelector=a%3Db" in r and "fieldSelector=status.phase%3DRunning" in r for r in asked)


def test_cluster_scoped_kinds_have_no_namespace_in_their_path(api: FakeApi, client: KubeApiClient) -> None:
    api.answers["/api/v1/namespaces/shop"] = {"metadata": {"name": "shop"}}
    assert client.get("v1", "Namespace", "shop", "ignored") is not None
    assert not client.namespaced("v1", "Namespace")


def test_discovery_is_asked_once_and_again_for_a_kind_it_did_not_have(api: FakeApi, client: KubeApiClient) -> None:
    api.answers["/api/v1/namespaces/shop/pods"] = {"items": []}
    client.list("v1", "Pod")
    client.list("v1", "Pod")
    assert api.requests.count("/api/v1") == 1
    with pytest.raises(UnknownKind):
        client.list("example.org/v1", "Widget")
    api.serve_kinds("example.org/v1", ("Widget", "widgets", True))
    api.answers["/apis/example.org/v1/namespaces/shop/widgets"] = {"items": []}
    assert client.list("example.org/v1", "Widget") == []


def test_a_kind_whose_definition_is_deleted_is_unknown_again(api: FakeApi, client: KubeApiClient) -> None:
    api.serve_kinds("example.org/v1", ("Widget", "widgets", True))
    api.answers["/apis/example.org/v1/namespaces/shop/widgets"] = {"items": []}
    assert client.list("example.org/v1", "Widget") == []
    for path in [path for path in api.answers if "example.org" in path]:
        del api.answers[path]
    assert client.get("example.org/v1", "Widget", "w") is None
    with pytest.raises(UnknownKind):
        client.list("example.org/v1", "Widget")


@pytest.mark.parametrize(
    ("api_version", "kind", "message", "hint"),
    [
        ("v1", "Pods", "serves no kind Pods in v1", "Did you mean Pod?"),
        ("v1", "Quux", "serves no kind Quux in v1", "CustomResourceDefinition"),
        ("net.io/v1beta1", "Gateway", "does not serve net.io/v1beta1", "It serves net.io/v1."),
        ("no.such/v1", "Gateway", "does not serve no.such/v1", "CustomResourceDefinition"),
    ],
)
def test_an_unknown_kind_says_what_is_served(
    api: FakeApi, client: KubeApiClient, api_version: str, kind: str, message: str, hint: str
) -> None:
    api.serve_kinds("net.io/v1", ("Gateway", "gateways", True))
    with pytest.raises(UnknownKind) as caught:
        client.get(api_version, kind, "x")
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_connections_are_kept_and_shared_by_threads(api: FakeApi, client: KubeApiClient) -> None:
    api.answers["/api/v1/namespaces/shop/pods/web"] = POD
    for _ in range(5):
        client.get("v1", "Pod", "web")
    assert api.connections == 1
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: client.get("v1", "Pod", "web"), range(80)))
    assert api.connections <= 9


def test_inventory_leaves_out_what_the_control_plane_makes(api: FakeApi, client: KubeApiClient) -> None:
    api.serve_kinds("apps/v1", ("Deployment", "deployments", True))
    api.serve_kinds("events.k8s.io/v1", ("Event", "events", True))
    owned = {"name": "web-1", "namespace": "shop", "ownerReferences": [{"controller": True, "name": "web"}]}
    api.answers["/api/v1/pods"] = {"items": [POD, {"metadata": owned}]}
    api.answers["/api/v1/namespaces"] = {"items": [{"metadata": {"name": "shop"}}]}
    api.answers["/apis/apps/v1/deployments"] = {"items": [{"metadata": {"name": "web", "namespace": "shop"}}]}
    api.answers["/apis/events.k8s.io/v1/events"] = {"items": [{"metadata": {"name": "e", "namespace": "shop"}}]}
    assert client.inventory() == {
        ObjectName("v1", "Pod", "shop", "web"),
        ObjectName("v1", "Namespace", "", "shop"),
        ObjectName("apps/v1", "Deployment", "shop", "web"),
    }


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "does not accept your credentials"),
        (403, "You may not read /api/v1 (403): as told"),
        (500, "answers 500 to /api/v1: as told"),
        (503, "answers 503"),
    ],
)
def test_refusals_are_faults_of_the_environment_with_a_way_out(
    api: FakeApi, client: KubeApiClient, status: int, message: str
) -> None:
    api.status = status
    with pytest.raises(EnvironmentFault) as caught:
        client.get("v1", "Pod", "web")
    assert message in caught.value.message
    assert caught.value.hint


def test_an_answer_that_is_no_json_is_no_kubernetes_api(api: FakeApi, client: KubeApiClient) -> None:
    api.body = b"<html>proxy login</html>"
    with pytest.raises(EnvironmentFault, match="does not answer like a Kubernetes API"):
        client.get("v1", "Pod", "web")


def test_a_refused_connection_says_so(tmp_path: Path) -> None:
    with running() as api:
        path = api.kubeconfig(tmp_path / "kubeconfig")
    with pytest.raises(EnvironmentFault, match="connection refused") as caught:
        KubeApiClient(path).get("v1", "Pod", "web")
    assert caught.value.hint


def test_a_cluster_that_goes_away_between_two_questions(tmp_path: Path) -> None:
    with running() as api:
        api.serve_kinds("v1", ("Pod", "pods", True))
        client = KubeApiClient(api.kubeconfig(tmp_path / "kubeconfig"))
        api.answers["/api/v1/namespaces/shop/pods/web"] = POD
        assert client.get("v1", "Pod", "web")
    # A thread of the old server may still serve the kept connection; a fresh one shows that it is gone.
    client.close()
    with pytest.raises(EnvironmentFault, match="connection refused"):
        client.get("v1", "Pod", "web")


def test_a_cluster_that_comes_back_at_another_address_is_found(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    with running() as api:
        client = KubeApiClient(api.kubeconfig(path))
        api.answers["/version"] = {"gitVersion": "v1"}
        assert client.server_version() == "v1"
    client.close()
    with pytest.raises(EnvironmentFault):
        client.server_version()
    with running() as api:
        api.kubeconfig(path)
        api.answers["/version"] = {"gitVersion": "v2"}
        assert client.server_version() == "v2"


def test_a_connection_that_is_cut_in_mid_answer_is_a_fault(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
                connection.close()

        thread = threading.Thread(target=cut, daemon=True)
        thread.start()
        fake = FakeApi()
        fake.server = type("S", (), {"socket": server, "server_address": server.getsockname()})()  # type: ignore[assignment]
        client = KubeApiClient(fake.kubeconfig(tmp_path / "kubeconfig"))
        with pytest.raises(EnvironmentFault, match="cannot be reached"):
            client.server_version()
        thread.join(5)


def test_a_cluster_that_does_not_answer_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        fake = FakeApi()
        fake.server = type("S", (), {"socket": server, "server_address": server.getsockname()})()  # type: ignore[assignment]
        client = KubeApiClient(fake.kubeconfig(tmp_path / "kubeconfig"), timeouts=(0.5, 0.2))
        with pytest.raises(EnvironmentFault, match=r"took more than 0\.2 s"):
            client.server_version()


def test_a_server_certificate_of_another_ca_is_not_trusted(tmp_path: Path) -> None:
    for name in ("server", "other"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
             f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / f"{name}.key", "-out",
             tmp_path / f"{name}.crt"],
            check=True, capture_output=True,
        )  # fmt: skip
    with running((tmp_path / "server.crt", tmp_path / "server.key")) as api:
        api.answers["/version"] = {"gitVersion": "v1.36.0"}
        ours = api.kubeconfig(tmp_path / "ours", **{"certificate-authority": str(tmp_path / "server.crt")})
        assert KubeApiClient(ours).server_version() == "v1.36.0"
        theirs = api.kubeconfig(tmp_path / "theirs", **{"certificate-authority": str(tmp_path / "other.crt")})
        with pytest.raises(EnvironmentFault, match="not trusted"):
            KubeApiClient(theirs).server_version()


@pytest.mark.parametrize("text", ["", "a: [", "just text", "clusters: 3", "contexts: [{}]", "\x00"])
def test_a_broken_kubeconfig_is_a_fault_not_a_traceback(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(EnvironmentFault) as caught:
        KubeApiClient(path).namespace()
    assert str(path) in caught.value.message


def test_a_missing_kubeconfig_and_an_unknown_context_are_faults(api: FakeApi, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault):
        KubeApiClient(tmp_path / "none").namespace()
    with pytest.raises(LabrunnerError, match="no context nowhere"):
        KubeApiClient(api.kubeconfig(tmp_path / "kubeconfig"), "nowhere").namespace()


def test_an_exec_plugin_gives_the_token_and_a_missing_one_is_a_fault(api: FakeApi, tmp_path: Path) -> None:
    api.answers["/version"] = {"gitVersion": "v1.36.0"}
    plugin = tmp_path / "plugin"
    plugin.write_text(
        '#!/bin/sh\necho \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
        '"status":{"token":"from-plugin"}}\'\n'
    )
    plugin.chmod(0o755)
    path = api.kubeconfig(tmp_path / "kubeconfig")
    exec_ = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    import yaml

    config = yaml.safe_load(path.read_text())
    config["users"][0]["user"] = {"exec": exec_}
    path.write_text(yaml.safe_dump(config))
    assert KubeApiClient(path).server_version() == "v1.36.0"
    assert api.headers[-1]["Authorization"] == "Bearer from-plugin"
    plugin.unlink()
    with pytest.raises(EnvironmentFault) as caught:
        KubeApiClient(path).server_version()
    assert caught.value.hint
