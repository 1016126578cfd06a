"""Credentials of a kubeconfig: every way kubectl knows, and what is said when one does not work."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_server import FakeApi, running

from labrunner.errors import EnvironmentFault
from labrunner.target.kube_client import KubeApiClient


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with running() as server:
        server.answers["/version"] = {"gitVersion": "v1.36.0"}
        yield server


def with_user(api: FakeApi, tmp_path: Path, user: dict[str, Any], **cluster: Any) -> Path:
    path = api.kubeconfig(tmp_path / "kubeconfig", **cluster)
    config = yaml.safe_load(path.read_text())
    config["users"][0]["user"] = user
    path.write_text(yaml.safe_dump(config))
    return path


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    key, cert = directory / f"{name}.key", directory / f"{name}.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
         f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def test_a_token_file_is_read_relative_to_the_kubeconfig(api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    client = KubeApiClient(with_user(api, tmp_path, {"tokenFile": "token"}))
    client.server_version()
    assert api.headers[-1]["Authorization"] == "Bearer from-file"
    (tmp_path / "token").unlink()
    with pytest.raises(EnvironmentFault, match="token, which cannot be read"):
        KubeApiClient(with_user(api, tmp_path, {"tokenFile": "token"})).server_version()


def test_name_and_password_and_impersonation(api: FakeApi, tmp_path: Path) -> None:
    KubeApiClient(with_user(api, tmp_path, {"username": "a", "password": "b", "as": "jane"})).server_version()
    assert api.headers[-1]["Authorization"] == "Basic " + base64.b64encode(b"a:b").decode()
    assert api.headers[-1]["Impersonate-User"] == "jane"


def plugin(tmp_path: Path, script: str) -> dict[str, Any]:
    path = tmp_path / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(path),
        "args": ["get-token"],
        "env": [{"name": "WHO", "value": "me"}],
        "installHint": "See the handbook.",
    }


def answer(**status: Any) -> str:
    return json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})


def test_a_plugin_is_asked_without_a_terminal_and_again_when_its_token_expires(api: FakeApi, tmp_path: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=31)).strftime("%Y-%m-%dT%H:%M:%SZ")
    script = f"""
echo "$1 $WHO $KUBERNETES_EXEC_INFO" >> {tmp_path}/calls
if [ -t 0 ]; then exit 9; fi
echo '{answer(token="tok", expirationTimestamp=soon)}'"""
    client = KubeApiClient(with_user(api, tmp_path, {"exec": plugin(tmp_path, script)}))
    client.server_version()
    assert api.headers[-1]["Authorization"] == "Bearer tok"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].startswith("get-token me ")
    assert json.loads(calls[0].split(" ", 2)[2])["spec"] == {"interactive": False}
    deadline = time.monotonic() + 10
    while len((tmp_path / "calls").read_text().splitlines()) < 2 and time.monotonic() < deadline:
        client.server_version()
    assert len((tmp_path / "calls").read_text().splitlines()) >= 2


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'please log in' >&2; exit 1", "please log in"),
        ("exit 3", "exit 3"),
        ("echo nonsense", "gave no credentials"),
        ("echo '{}'", "gave no credentials"),
        (f"echo '{answer()}'", "gave no credentials"),
        (f"echo '{answer(token='t', expirationTimestamp='later')}'", "gave no credentials"),
    ],
)
def test_a_plugin_that_fails_is_a_fault_with_what_it_said(
    api: FakeApi, tmp_path: Path, script: str, words: str
) -> None:
    with pytest.raises(EnvironmentFault, match=words) as caught:
        KubeApiClient(with_user(api, tmp_path, {"exec": plugin(tmp_path, script)})).server_version()
    assert "See the handbook." in caught.value.hint


def test_client_certificates_leave_no_key_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    cert, key = certificate(tmp_path, "server")
    user = {f"client-{kind}-data": base64.b64encode(p.read_bytes()).decode() for kind, p in
            (("certificate", cert), ("key", key))}  # fmt: skip
    ca = {"certificate-authority-data": base64.b64encode(cert.read_bytes()).decode()}
    with running((cert, key)) as api:
        api.answers["/version"] = {"gitVersion": "v1.36.0"}
        assert KubeApiClient(with_user(api, tmp_path, user, **ca)).server_version() == "v1.36.0"
        assert os.listdir(scratch) == []
        broken = {**user, "client-key-data": base64.b64encode(b"junk").decode()}
        with pytest.raises(EnvironmentFault, match="client certificate that cannot be used"):
            KubeApiClient(with_user(api, tmp_path, broken, **ca)).server_version()
        with pytest.raises(EnvironmentFault, match="CA certificate that cannot be read"):
            bad = {"certificate-authority-data": base64.b64encode(b"junk").decode()}
            KubeApiClient(with_user(api, tmp_path, user, **bad)).server_version()


def test_server_names_and_verification_are_as_the_kubeconfig_says(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "api.example.org")
    other, _ = certificate(tmp_path, "other.example.org")
    with running((cert, key)) as api:
        api.answers["/version"] = {"gitVersion": "v1.36.0"}
        trusted = {"certificate-authority": str(cert)}
        for cluster, works in (
            ({**trusted, "tls-server-name": "api.example.org"}, True),
            ({**trusted, "tls-server-name": "else.example.org"}, False),
            ({"certificate-authority": str(other)}, False),
            ({"insecure-skip-tls-verify": True}, True),
        ):
            client = KubeApiClient(with_user(api, tmp_path, {}, **cluster))
            if works:
                assert client.server_version() == "v1.36.0"
            else:
                with pytest.raises(EnvironmentFault, match=r"not trusted|doesn't match"):
                    client.server_version()


def test_loopback_is_reached_past_the_proxy_of_the_environment(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert KubeApiClient(api.kubeconfig(tmp_path / "kubeconfig")).server_version() == "v1.36.0"
    with pytest.raises(EnvironmentFault):
        KubeApiClient(api.kubeconfig(tmp_path / "k2", **{"proxy-url": "http://127.0.0.1:9"})).server_version()


@pytest.mark.parametrize("server", ["", "ftp://x", "nonsense"])
def test_a_server_address_that_is_none(api: FakeApi, tmp_path: Path, server: str) -> None:
    path = api.kubeconfig(tmp_path / "kubeconfig", server=server)
    with pytest.raises(EnvironmentFault, match="no server address"):
        KubeApiClient(path).server_version()
