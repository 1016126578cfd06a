"""The API over HTTP: lists, watches, representations, identity and refusals, as a client without kubectl sees them."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labrunner.sandbox.instance import Sandbox

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"
JSON = "application/json"


class Client:
    """Requests of the administrator, or of nobody."""

    def __init__(self, sandbox: Sandbox) -> None:
        status = sandbox.status()
        self.port = int(status.server.rpartition(":")[2])
        self.pki = sandbox.directory / "pki"

    def connection(self, *, anonymous: bool = False) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.pki / "ca.crt"))
        if not anonymous:
            context.load_cert_chain(self.pki / "admin.crt", self.pki / "admin.key")
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=20)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        anonymous: bool = False,
        raw: bytes | None = None,
        **headers: str,
    ) -> tuple[int, Any]:
        """(status, decoded body)."""
        connection = self.connection(anonymous=anonymous)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        if data is not None:
            sent.setdefault("Content-Type", JSON)
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            text = response.read()
            self.headers = response.headers
        finally:
            connection.close()
        is_json = response.headers.get("Content-Type", "").startswith(JSON)
        return response.status, json.loads(text) if is_json and text else text.decode()

    def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        code, answer = self.ask(method, path, body, **headers)
        assert code < 300, answer
        return answer

    def refused(self, method: str, path: str, body: Any = None, **how: Any) -> tuple[int, str, str]:
        code, answer = self.ask(method, path, body, **how)
        assert answer["kind"] == "Status" and answer["status"] == "Failure" and answer["code"] == code, answer
        return code, answer.get("reason", ""), answer["message"]

    def watch(self, path: str, **headers: str) -> Iterator[dict[str, Any]]:
        """Events until the server ends the watch."""
        connection = self.connection()
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        try:
            while line := response.readline():
                yield json.loads(line)
        finally:
            connection.close()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    sandbox = Sandbox("api", tmp_path_factory.mktemp("api") / "sandbox")
    sandbox.start(owned=True, instant=True)
    yield Client(sandbox)
    sandbox.stop()


@pytest.fixture
def namespace(client: Client, request: pytest.FixtureRequest) -> str:
    name = "t-" + "".join(c for c in request.node.name.lower() if c.isalnum())[-40:]
    client.ok("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def names(answer: Any) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"] if item["metadata"]["name"].startswith("c")]


# lists


def test_pages_show_one_moment_whatever_is_written_between_them(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    for i in range(5):
        client.ok("POST", path, config_map(f"c{i}"))
    first = client.ok("GET", f"{path}?limit=2")
    assert names(first) == ["c0", "c1"] and first["metadata"]["remainingItemCount"] >= 3
    client.ok("DELETE", f"{path}/c3")
    client.ok("POST", path, config_map("c2a"))
    seen, token = names(first), first["metadata"]["continue"]
    while token:
        page = client.ok("GET", f"{path}?limit=2&continue={token}")
        seen += names(page)
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        token = page["metadata"].get("continue", "")
    assert seen == ["c0", "c1", "c2", "c3", "c4"]
    exact = f"?resourceVersion={first['metadata']['resourceVersion']}&resourceVersionMatch=Exact"
    assert names(client.ok("GET", path + exact)) == seen


def test_selectors_choose_what_is_listed_and_deleted(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    for name, team in (("c1", "a"), ("c2", "b"), ("c3", "a")):
        client.ok("POST", path, config_map(name, {"team": team}))
    assert names(client.ok("GET", f"{path}?labelSelector=team%3Da")) == ["c1", "c3"]
    assert names(client.ok("GET", f"{path}?fieldSelector=metadata.name%3Dc2")) == ["c2"]
    assert names(client.ok("DELETE", f"{path}?labelSelector=team+in+(a)")) == ["c1", "c3"]
    assert names(client.ok("GET", path)) == ["c2"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("resourceVersion=x", (400, "BadRequest")),
        ("resourceVersion=99999999", (504, "Timeout")),
        ("continue=nonsense", (400, "BadRequest")),
        ("resourceVersionMatch=Exact", (422, "Invalid")),
        ("labelSelector=a%20in%20b", (400, "BadRequest")),
        ("fieldSelector=spec.x%3D1", (400, "BadRequest")),
        ("watch=1&sendInitialEvents=true", (422, "Invalid")),
        ("limit=x", (400, "BadRequest")),
    ],
)
def test_list_options_that_cannot_be(client: Client, query: str, expected: tuple[int, str]) -> None:
    assert client.refused("GET", f"/api/v1/namespaces/default/configmaps?{query}")[:2] == expected


# watches


def test_a_watch_tells_what_happens_after_a_list(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    version = client.ok("GET", path)["metadata"]["resourceVersion"]
    client.ok("POST", path, config_map("c1", {"a": "b"}))
    client.ok("PUT", f"{path}/c1", config_map("c1", {"a": "b"}, k="v"))
    client.ok("PUT", f"{path}/c1", config_map("c1", {"a": "other"}))
    client.ok("DELETE", f"{path}/c1")
    query = f"?watch=1&resourceVersion={version}&timeoutSeconds=1&fieldSelector=metadata.name%3Dc1"
    events = [e["type"] for e in client.watch(path + query)]
    assert events == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    selected = [e["type"] for e in client.watch(path + query + "&labelSelector=a%3Db")]
    assert selected == ["ADDED", "MODIFIED", "DELETED"], "leaving the selection is a deletion"


def test_a_watch_from_a_forgotten_version_is_expired(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    version = client.ok("GET", path)["metadata"]["resourceVersion"]
    client.ok("POST", path, config_map("c1"))
    connection = client.connection()
    for i in range(1001):
        connection.request("PUT", f"{path}/c1", json.dumps(config_map("c1", n=str(i))), {"Content-Type": JSON})
        connection.getresponse().read()
    connection.close()
    (event,) = client.watch(f"{path}?watch=1&resourceVersion={version}&timeoutSeconds=1")
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert event["object"]["message"].startswith(f"too old resource version: {version} (")
    exact = client.refused("GET", f"{path}?resourceVersion={version}&resourceVersionMatch=Exact")
    assert exact[:2] == (410, "Expired")


def test_a_streamed_list_ends_with_its_bookmark(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    client.ok("POST", path, config_map("c1"))
    query = (
        "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
        "&fieldSelector=metadata.name%3Dc1"
    )
    events = list(client.watch(path + query))
    assert events[0]["type"] == "ADDED"
    assert events[1]["type"] == "BOOKMARK"
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert events[1]["object"]["kind"] == "ConfigMap"


def test_a_watched_table_has_its_columns_once(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    for name in ("c1", "c2"):
        client.ok("POST", path, config_map(name))
    query = "?watch=1&timeoutSeconds=1&labelSelector=!x&fieldSelector=metadata.name!=kube-root-ca.crt"
    events = [e["object"] for e in client.watch(path + query, Accept=TABLE)]
    rows = [row["cells"][0] for e in events for row in e["rows"]]
    assert {"c1", "c2"} <= {*rows}
    assert events[0]["columnDefinitions"] and not events[1]["columnDefinitions"]
    assert events[0]["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_every_watcher_hears_of_an_event(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    version = client.ok("GET", path)["metadata"]["resourceVersion"]
    heard: list[str] = []

    def listen() -> None:
        for event in client.watch(f"{path}?watch=1&resourceVersion={version}&timeoutSeconds=15"):
            if event["object"]["metadata"]["name"] == "c-marker":
                heard.append(event["type"])
                return

    listeners = [threading.Thread(target=listen) for _ in range(20)]
    for listener in listeners:
        listener.start()
    client.ok("POST", path, config_map("c-marker"))
    for listener in listeners:
        listener.join(timeout=15)
    assert heard == ["ADDED"] * 20


# representations


def test_one_object_in_every_representation(client: Client, namespace: str) -> None:
    path = CONFIG_MAPS.format(namespace)
    client.ok("POST", path, config_map("c1", k="v"))
    table = client.ok("GET", f"{path}/c1", Accept=f"{TABLE},application/json")
    assert (table["kind"], table["rows"][0]["cells"][:2]) == ("Table", ["c1", 1])
    metadata = client.ok("GET", f"{path}/c1", Accept=METADATA)
    assert metadata["kind"] == "PartialObjectMetadata" and "data" not in metadata
    found = client.ok("GET", path, Accept=METADATA_LIST)
    assert found["kind"] == "PartialObjectMetadataList" and {i["kind"] for i in found["items"]} == {
        "PartialObjectMetadata"
    }
    code, text = client.ask("GET", f"{path}/c1", Accept="application/yaml")
    assert code == 200 and "kind: ConfigMap" in text
    items = client.ok("GET", path)
    assert items["kind"] == "ConfigMapList" and "kind" not in items["items"][0]
    assert client.refused("GET", path, Accept="application/xml")[0] == 406


def test_one_event_in_both_its_groups(client: Client, namespace: str) -> None:
    event = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "reason": "Tested", "message": "so it is",
        "type": "Normal", "involvedObject": {"kind": "Pod", "name": "p", "namespace": namespace},
    }  # fmt: skip
    client.ok("POST", f"/api/v1/namespaces/{namespace}/events", event)
    other = client.ok("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events/e")
    assert (other["apiVersion"], other["note"], other["regarding"]["name"]) == ("events.k8s.io/v1", "so it is", "p")


def test_an_autoscaler_in_both_its_versions(client: Client, namespace: str) -> None:
    spec = {
        "maxReplicas": 3, "targetCPUUtilizationPercentage": 50,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
    }  # fmt: skip
    v1 = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}, "spec": spec}
    path = "/apis/autoscaling/{}/namespaces/" + namespace + "/horizontalpodautoscalers"
    made = client.ok("POST", path.format("v1"), v1)
    assert made["spec"]["targetCPUUtilizationPercentage"] == 50
    v2 = client.ok("GET", path.format("v2") + "/h")
    assert v2["spec"]["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 50}


# writes


def test_field_validation_refuses_warns_or_ignores(client: Client, namespace: str) -> None:
    path, wrong = CONFIG_MAPS.format(namespace), config_map("c1") | {"extra": 1}
    code, reason, message = client.refused("POST", f"{path}?fieldValidation=Strict", wrong)
    assert (code, reason) == (400, "BadRequest")
    assert message == (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "extra"'
    )
    client.ok("POST", f"{path}?fieldValidation=Warn&dryRun=All", wrong)
    assert client.headers.get_all("Warning") == ['299 - "unknown field \\"extra\\""']
    client.ok("POST", f"{path}?fieldValidation=Ignore", wrong)
    assert client.headers.get_all("Warning") is None


def test_a_strategic_patch_of_a_custom_resource_is_415(client: Client, namespace: str) -> None:
    gateways = f"/apis/networking.istio.io/v1/namespaces/{namespace}/gateways"
    spec = {"servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]}
    gateway = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "g"}, "spec": spec}
    client.ok("POST", gateways, gateway)
    answer = client.refused("PATCH", f"{gateways}/g", {}, Content_Type="application/strategic-merge-patch+json")
    assert answer == (
        415, "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
    )  # fmt: skip
    beta = client.ok("GET", gateways.replace("/v1/", "/v1beta1/") + "/g")
    assert beta["apiVersion"] == "networking.istio.io/v1beta1"


def test_yaml_bodies_are_accepted(client: Client, namespace: str) -> None:
    raw = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c1}\ndata: {a: b}\n"
    code, made = client.ask("POST", CONFIG_MAPS.format(namespace), raw=raw, Content_Type="application/yaml")
    assert code == 201 and made["data"] == {"a": "b"}


def test_a_crd_is_served_at_once_and_its_objects_go_with_it(client: Client) -> None:
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "boxes.example.org"},
        "spec": {
            "group": "example.org", "scope": "Namespaced", "names": {"plural": "boxes", "kind": "Box"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }  # fmt: skip
    made = client.ok("POST", crds, crd)
    assert {c["type"]: c["status"] for c in made["status"]["conditions"]}["Established"] == "True"
    boxes = "/apis/example.org/v1/namespaces/default/boxes"
    box = {"apiVersion": "example.org/v1", "kind": "Box", "metadata": {"name": "b"}, "spec": {"size": 1}}
    assert client.ok("POST", boxes, box)["metadata"]["generation"] == 1
    code, _, message = client.refused("POST", boxes, box | {"metadata": {"name": "x"}, "spec": {"size": "big"}})
    assert code == 422 and "spec.size: Invalid value" in message
    assert client.ok("GET", "/apis/example.org/v1")["resources"][0]["name"] == "boxes"
    client.ok("DELETE", f"{crds}/boxes.example.org")
    assert client.ask("GET", boxes) == (404, "404 page not found\n")
    client.ok("POST", crds, crd)
    assert client.ok("GET", boxes)["items"] == []
    client.ok("DELETE", f"{crds}/boxes.example.org")


# identity


def test_the_swagger_document_has_every_kind_and_no_loose_end(client: Client) -> None:
    document = client.ok("GET", "/openapi/v2")
    assert (document["swagger"], document["info"]["title"]) == ("2.0", "Kubernetes")
    definitions = document["definitions"]
    assert definitions["io.k8s.api.apps.v1.DeploymentSpec"]["required"] == ["selector", "template"]
    route = definitions["io.istio.networking.v1.VirtualService"]["properties"]["metadata"]
    assert route["$ref"] == "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    create = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"]["post"]
    body = {"$ref": "#/definitions/io.k8s.api.apps.v1.Deployment"}
    assert create["parameters"][0] == {"name": "body", "in": "body", "required": True, "schema": body}

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for child in value.values():
                yield from references(child)
        elif isinstance(value, list):
            for child in value:
                yield from references(child)

    assert {reference.removeprefix("#/definitions/") for reference in references(document)} <= definitions.keys()


def test_nobody_is_refused(client: Client) -> None:
    assert client.refused("GET", "/api/v1/pods", anonymous=True) == (401, "Unauthorized", "Unauthorized")
    assert client.refused("GET", "/api", anonymous=True)[0] == 401
    token = client.refused("GET", "/api/v1/pods", anonymous=True, Authorization="Bearer made.up.token")
    assert token[0] == 401
    assert client.ask("GET", "/readyz", anonymous=True) == (200, "ok")


def test_a_service_account_token_is_its_account_until_that_is_gone(client: Client, namespace: str) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    client.ok("POST", accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}})
    made = client.ok("POST", f"{accounts}/robot/token", {"spec": {"expirationSeconds": 600}})
    bearer = f"Bearer {made['status']['token']}"
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    code, answer = client.ask("POST", path, review, anonymous=True, Authorization=bearer)
    assert code == 201 and answer["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:robot"
    code, reason, message = client.refused("GET", "/api/v1/nodes", anonymous=True, Authorization=bearer)
    assert (code, reason) == (403, "Forbidden")
    assert message == (
        f'nodes is forbidden: User "system:serviceaccount:{namespace}:robot" cannot list resource "nodes" '
        'in API group "" at the cluster scope'
    )
    client.ok("DELETE", f"{accounts}/robot")
    assert client.refused("GET", "/api/v1/nodes", anonymous=True, Authorization=bearer)[0] == 401
    short = client.refused("POST", f"{accounts}/default/token", {"spec": {"expirationSeconds": 5}})
    assert short[0] == 422 and "may not specify a duration less than 10 minutes" in short[2]


def test_a_token_secret_is_filled_and_goes_with_its_account(client: Client, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}"
    client.ok("POST", f"{base}/serviceaccounts", {"metadata": {"name": "robot"}})
    note = {"kubernetes.io/service-account.name": "robot"}
    secret = {"metadata": {"name": "s", "annotations": note}, "type": "kubernetes.io/service-account-token"}
    made = client.ok("POST", f"{base}/secrets", secret)
    assert {*made["data"]} == {"token", "ca.crt", "namespace"}
    bearer = "Bearer " + base64.b64decode(made["data"]["token"]).decode()
    assert client.refused("GET", "/api/v1/nodes", anonymous=True, Authorization=bearer)[0] == 403
    client.ok("DELETE", f"{base}/serviceaccounts/robot")
    assert client.refused("GET", f"{base}/secrets/s")[0] == 404
    assert client.refused("GET", "/api/v1/nodes", anonymous=True, Authorization=bearer)[0] == 401


def test_impersonation(client: Client) -> None:
    refusal = client.refused("GET", "/api/v1/namespaces/default/pods", Impersonate_User="jane")
    assert refusal[0] == 403 and refusal[2] == (
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    assert client.refused("GET", "/api/v1/pods", Impersonate_Group="x")[0] == 400


# what is not there


@pytest.mark.parametrize(
    "path",
    [
        "/nope", "/api/v2", "/api/v1/gizmos", "/apis/nope.example.org/v1", "/apis/apps/v9/deployments",
        "/api/v1/namespaces/default/pods/p/nope", "/apis/apps/v1/deployments/x",
    ],
)  # fmt: skip
def test_paths_nobody_serves_are_plain_404(client: Client, path: str) -> None:
    assert client.ask("GET", path) == (404, "404 page not found\n")


def test_what_a_kind_cannot_do_is_405(client: Client) -> None:
    assert client.refused("DELETE", "/api/v1/namespaces")[:2] == (405, "MethodNotAllowed")
    assert client.refused("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")[0] == 405


def test_a_body_beyond_the_limit_is_413(client: Client) -> None:
    raw = b'{"x":"' + b"x" * (3 * 1024 * 1024) + b'"}'
    assert client.refused("POST", "/api/v1/namespaces", raw=raw)[:2] == (413, "RequestEntityTooLarge")


def test_a_journal_that_cannot_grow_refuses_writes_and_goes_on_reading(tmp_path: Path) -> None:
    import resource
    import subprocess
    import sys

    sandbox = Sandbox("full", tmp_path / "sandbox")
    sandbox.start()
    sandbox.stop()
    size = (tmp_path / "sandbox" / "state" / "journal.jsonl").stat().st_size
    script = (
        "import pathlib, sys\n"
        "from labrunner.sandbox.instance import Sandbox\n"
        f"Sandbox('full', pathlib.Path({str(tmp_path / 'sandbox')!r})).start()\n"
    )

    def limited() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 400_000, size + 400_000))

    subprocess.run([sys.executable, "-c", script], preexec_fn=limited, check=True)
    try:
        client = Client(sandbox)
        answers = [
            client.ask("POST", CONFIG_MAPS.format("default"), config_map(f"c{i}", k="x" * 40_000)) for i in range(20)
        ]
        assert answers[0][0] == 201
        code, refusal = answers[-1]
        assert code == 507 and "cannot write its journal" in refusal["message"], refusal
        kept = names(client.ok("GET", CONFIG_MAPS.format("default")))
        assert kept == sorted(f"c{i}" for i, (code, _) in enumerate(answers) if code == 201)
    finally:
        sandbox.stop()
