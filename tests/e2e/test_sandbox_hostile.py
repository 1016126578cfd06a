"""Whatever is sent, the answer is a 4xx as a Status (or plain 404), never a 500, a hang or a crash."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labrunner.sandbox.instance import Sandbox

JSON = "application/json"
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
NAMESPACE = "/api/v1/namespaces/default"
COLLECTIONS = (
    "/api/v1/namespaces", "/api/v1/nodes", f"{NAMESPACE}/pods", f"{NAMESPACE}/services", f"{NAMESPACE}/configmaps",
    f"{NAMESPACE}/secrets", f"{NAMESPACE}/events", f"{NAMESPACE}/limitranges", f"{NAMESPACE}/resourcequotas",
    f"{NAMESPACE}/bindings", f"{NAMESPACE}/serviceaccounts/default/token", f"{NAMESPACE}/pods/x/eviction",
    "/apis/apps/v1/namespaces/default/deployments", "/apis/apps/v1/namespaces/default/statefulsets",
    "/apis/batch/v1/namespaces/default/jobs", "/apis/batch/v1/namespaces/default/cronjobs",
    "/apis/networking.k8s.io/v1/namespaces/default/ingresses",
    "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
    "/apis/networking.istio.io/v1/namespaces/default/virtualservices",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "/apis/apiregistration.k8s.io/v1/apiservices",
    "/apis/authentication.k8s.io/v1/tokenreviews", "/apis/certificates.k8s.io/v1/certificatesigningrequests",
)  # fmt: skip
OBJECTS = (
    NAMESPACE, f"{NAMESPACE}/services/kubernetes", f"{NAMESPACE}/serviceaccounts/default",
    "/apis/apps/v1/namespaces/default/deployments/web", "/apis/apps/v1/namespaces/default/deployments/web/scale",
    "/apis/apps/v1/namespaces/default/deployments/web/status",
)  # fmt: skip
BODIES = (
    b"", b"{", b"null", b"[]", b'"x"', b"1", b"{}", b'{"kind":1}', b'{"apiVersion":[],"kind":{}}', b"\xff\xfe",
    b'{"a":"\xff"}', b'{"a":' * 4000 + b"1" + b"}" * 4000, b"[" * 60000, b'{"metadata":[]}', b'{"metadata":{"name":5}}',
    b'{"metadata":{"labels":[]}}', b'{"metadata":{"labels":{"a":1}}}', b'{"metadata":{"ownerReferences":[1]}}',
    b'{"metadata":{"ownerReferences":[{}],"name":"o"}}', b'{"metadata":{"finalizers":[1],"name":"o"}}',
    b'{"metadata":{"managedFields":[1],"name":"o"}}', b'{"metadata":{"generateName":"..%/"}}',
    b'{"metadata":{"name":"../x"}}', b'{"metadata":{"name":"a","deletionTimestamp":"x"}}',
    b'{"spec":[]}', b'{"spec":"x"}',
    b'{"spec":null,"metadata":{"name":"n"}}', b'{"status":[],"metadata":{"name":"s"}}', b'{"spec":{"replicas":1e99}}',
    b'{"a":"\\ud800"}', b'[{"op":"add"}]', b'[{"op":"remove","path":"/metadata"}]',
    b'[{"op":"replace","path":"","value":1}]',
    b'[{"op":"add","path":"/spec","value":[]}]', b'{"$patch":"delete"}', b'{"spec":{"$patch":"bogus"}}',
    b'{"metadata":{"$retainKeys":1}}', b'{"metadata":null}', b"a: &a [*a]", b"- " * 3000 + b"x", b"? [x]: y",
)  # fmt: skip
PATHS = (
    "//", "/api//v1", "/api/v1/namespaces/default/pods/..%2f..%2fx", "/api/v1/namespaces/default/pods/../../", "/%00",
    "/api/v1/%ff", "/api/v1/namespaces/%2e%2e/pods", "/apis/x", "/openapi/v3/../../etc/passwd",
    "/labrunner/save?id=../x",
    "/labrunner/zz", "/labrunner/", "/x" * 4000, "/healthz/x", "*",
    "/api/v1/namespaces/default/services/kubernetes/proxy/x",
    "/api/v1/pods?" + "a=b&" * 500, "/api/v1/pods?labelSelector=%ff", "/api/v1/watch/pods?resourceVersion=x",
)  # fmt: skip


class Attacker:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.port = int(sandbox.status().server.rpartition(":")[2])
        pki = sandbox.directory / "pki"
        self.tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self.tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self.connection: http.client.HTTPSConnection | None = None

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection = self.connection or http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=self.tls, timeout=20
        )
        self.connection = connection
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            answer = response.status, response.read()
            if response.will_close:
                self.connection = None
            return answer
        except (http.client.HTTPException, OSError):
            self.connection = None
            raise

    def expect_no_fault(self, method: str, path: str, body: bytes | None = None, **headers: str) -> None:
        code, answer = self.ask(method, path, body, **headers)
        what = f"{method} {path[:80]} {(body or b'')[:60]!r} {headers} -> {code} {answer[:200]!r}"
        # A proxied Service without endpoints is 503 on a real server, too.
        assert code < 500 or (code == 503 and "/proxy" in path), what
        if code >= 400 and method != "HEAD":
            assert answer == b"404 page not found\n" or json.loads(answer)["kind"] == "Status", what


@pytest.fixture(scope="module")
def attacker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacker]:
    sandbox = Sandbox("hostile", tmp_path_factory.mktemp("hostile") / "sandbox")
    sandbox.start(owned=True, instant=True)
    found = Attacker(sandbox)
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    path = "/apis/apps/v1/namespaces/default/deployments"
    assert found.ask("POST", path, json.dumps(web).encode(), Content_Type=JSON)[0] == 201
    yield found
    found.expect_no_fault("GET", "/api/v1/namespaces")
    assert "Traceback" not in (sandbox.directory / "sandbox.log").read_text()
    sandbox.stop()


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:24]))
def test_bodies(attacker: Attacker, body: bytes) -> None:
    for path in COLLECTIONS:
        attacker.expect_no_fault("POST", f"{path}?dryRun=All", body, Content_Type=JSON)
    for content_type in ("application/yaml", "application/vnd.kubernetes.protobuf", "x"):
        attacker.expect_no_fault("POST", f"{NAMESPACE}/configmaps?dryRun=All", body, Content_Type=content_type)
    attacker.expect_no_fault(
        "POST", f"{NAMESPACE}/pods?dryRun=All", b"k8s\0" + body, Content_Type="application/vnd.kubernetes.protobuf"
    )
    for path in OBJECTS:
        attacker.expect_no_fault("PUT", f"{path}?dryRun=All", body, Content_Type=JSON)
        for patch in PATCHES:
            query = "dryRun=All&fieldManager=f&force=true" if "apply" in patch else "dryRun=All"
            attacker.expect_no_fault("PATCH", f"{path}?{query}", body, Content_Type=patch)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
def test_paths(attacker: Attacker, path: str) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "FOO"):
        attacker.expect_no_fault(method, path, b"{}" if method in ("POST", "PUT", "PATCH") else None)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer x"}, {"Authorization": "Bearer a.b.c"}, {"Impersonate_Group": "a"},
        {"Impersonate_User": "\xff"}, {"Accept": ";;;,"}, {"Accept": "*/*;q=x"}, {"X_Large": "y" * 20000},
        {"Accept": "application/json;as=Table;v=v9;g=meta.k8s.io"}, {"Content_Length": "-1"},
        {"Transfer_Encoding": "chunked, chunked"}, {"Content_Length": "99999999999999999999"},
    ],
    ids=repr,
)  # fmt: skip
def test_headers(attacker: Attacker, headers: dict[str, str]) -> None:
    attacker.expect_no_fault("GET", f"{NAMESPACE}/pods", **headers)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(max_size=8), child, max_size=3),
    max_leaves=12,
)
_known = st.sampled_from(
    ["spec", "metadata", "status", "replicas", "selector", "matchLabels", "template", "containers", "name", "labels",
     "ports", "strategy", "annotations", "finalizers", "ownerReferences", "managedFields", "data", "rules", "hosts"]
)  # fmt: skip
_object = st.recursive(_json, lambda child: st.dictionaries(_known, child, max_size=4) | st.lists(child, max_size=2))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(COLLECTIONS), fields=st.dictionaries(_known, _object, max_size=4))
def test_any_object(attacker: Attacker, path: str, fields: dict[str, Any]) -> None:
    metadata = fields.get("metadata")
    if isinstance(metadata, dict):
        metadata.setdefault("name", "x")
    attacker.expect_no_fault("POST", f"{path}?dryRun=All", json.dumps(fields).encode(), Content_Type=JSON)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(OBJECTS), patch=st.sampled_from(PATCHES), fields=st.dictionaries(_known, _object, max_size=4)
)
def test_any_patch(attacker: Attacker, path: str, patch: str, fields: dict[str, Any]) -> None:
    query = "dryRun=All&fieldManager=f&force=true" if "apply" in patch else "dryRun=All"
    attacker.expect_no_fault("PATCH", f"{path}?{query}", json.dumps(fields).encode(), Content_Type=patch)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(
    st.builds(
        lambda op, path, value: {"op": op, "path": path, "from": path, "value": value},
        st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]),
        st.sampled_from(["", "/", "/spec", "/metadata", "/metadata/name", "/spec/replicas", "/spec/template/-", "/a~2",
                         "/metadata/labels/x", "/spec/template/spec/containers/0", "/spec/template/spec/containers/9"]),
        _json,
    ),
    max_size=3,
))  # fmt: skip
def test_any_json_patch(attacker: Attacker, operations: list[dict[str, Any]]) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments/web?dryRun=All"
    attacker.expect_no_fault("PATCH", path, json.dumps(operations).encode(), Content_Type=PATCHES[0])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
def test_any_protobuf(attacker: Attacker, data: bytes) -> None:
    attacker.expect_no_fault(
        "POST", f"{NAMESPACE}/pods?dryRun=All", b"k8s\0" + data, Content_Type="application/vnd.kubernetes.protobuf"
    )


def test_a_body_that_never_comes_holds_nobody_up(attacker: Attacker) -> None:
    slow = []
    for _ in range(30):
        raw = socket.create_connection(("127.0.0.1", attacker.port))
        tls = attacker.tls.wrap_socket(raw, server_hostname="127.0.0.1")
        tls.sendall(b"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        slow.append(tls)
    began = time.monotonic()
    attacker.expect_no_fault("GET", "/api/v1/namespaces")
    assert time.monotonic() - began < 2
    for tls in slow:
        tls.close()


def test_noise_instead_of_tls_is_dropped(attacker: Attacker) -> None:
    with socket.create_connection(("127.0.0.1", attacker.port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        raw.settimeout(5)
        with contextlib.suppress(ConnectionError):
            assert raw.recv(4096)[:1] != b"H"
    attacker.expect_no_fault("GET", "/api/v1/namespaces")


def test_memory_does_not_grow_with_refused_requests(attacker: Attacker) -> None:
    pid = attacker.sandbox.status().pid

    def resident() -> int:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))

    body = json.dumps({"metadata": {"name": "x"}, "data": {"k": "v" * 500_000}, "extra": 1}).encode()
    for _ in range(10):
        attacker.expect_no_fault("POST", f"{NAMESPACE}/configmaps?fieldValidation=Strict", body, Content_Type=JSON)
    before = resident()
    for _ in range(60):
        attacker.expect_no_fault("POST", f"{NAMESPACE}/configmaps?fieldValidation=Strict", body, Content_Type=JSON)
    assert resident() - before < 20_000, "kB"
