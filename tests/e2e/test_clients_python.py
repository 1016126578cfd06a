"""The official Python client on the sandbox: typed, dynamic, watch, apply, create_from_yaml, and streams to a pod."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from labrunner.sandbox.instance import Sandbox

kubernetes = pytest.importorskip("kubernetes")

from kubernetes import client, config, dynamic, utils, watch  # type: ignore[import-untyped]  # noqa: E402
from kubernetes.client.rest import ApiException  # type: ignore[import-untyped]  # noqa: E402
from kubernetes.stream import stream  # type: ignore[import-untyped]  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    sandbox = Sandbox("clients", tmp_path_factory.mktemp("clients") / "sandbox")
    sandbox.start(owned=True, instant=True)
    configuration = client.Configuration()
    config.load_kube_config(sandbox.environment()["KUBECONFIG"], client_configuration=configuration)
    with client.ApiClient(configuration) as made:
        yield made
    sandbox.stop()


@pytest.fixture
def core(api: Any) -> Any:
    return client.CoreV1Api(api)


@pytest.fixture
def name() -> str:
    return f"t-{uuid.uuid4().hex[:10]}"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"n": name}}, "data": data}


def pod(name: str, image: str = "busybox", *words: str) -> dict[str, Any]:
    container = {"name": "c", "image": image, **({"args": list(words)} if words else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}


def running(core: Any, manifest: dict[str, Any]) -> str:
    """Create the pod and wait, on a watch, until it is Ready."""
    name: str = manifest["metadata"]["name"]
    core.create_namespaced_pod("default", manifest)
    events = watch.Watch().stream(
        core.list_namespaced_pod, "default", field_selector=f"metadata.name={name}", timeout_seconds=20
    )
    for event in events:
        if any(c.type == "Ready" and c.status == "True" for c in event["object"].status.conditions or ()):
            return name
    raise AssertionError(f"{name} never became Ready")


def test_typed_objects_are_created_read_patched_and_deleted(core: Any, name: str) -> None:
    core.create_namespaced_config_map("default", config_map(name, a="1"))
    merged = core.patch_namespaced_config_map(name, "default", {"data": {"b": "2"}})
    assert merged.data == {"a": "1", "b": "2"}
    replaced = core.patch_namespaced_config_map(
        name, "default", [{"op": "replace", "path": "/data", "value": {"c": "3"}}]
    )
    assert replaced.data == {"c": "3"}
    core.delete_namespaced_config_map(name, "default", body={})
    assert core.list_namespaced_config_map("default", label_selector=f"n={name}").items == []
    with pytest.raises(ApiException) as gone:
        core.read_namespaced_config_map(name, "default")
    assert (gone.value.status, gone.value.reason) == (404, "Not Found")


def test_a_services_ports_merge_by_their_key(core: Any, name: str) -> None:
    def service(port: int) -> dict[str, Any]:
        ports = [{"name": f"p{port}", "port": port, "targetPort": port}]
        return {"metadata": {"name": name}, "spec": {"ports": ports, "selector": {"n": name}}}

    created = core.create_namespaced_service("default", service(80))
    assert created.spec.cluster_ip.startswith("10.")
    assert len(core.patch_namespaced_service(name, "default", service(8080)).spec.ports) == 2
    core.delete_namespaced_service(name, "default")


def test_a_watch_replays_everything_since_a_list(core: Any, name: str) -> None:
    version = core.list_namespaced_config_map("default").metadata.resource_version
    core.create_namespaced_config_map("default", config_map(name, a="1"))
    core.patch_namespaced_config_map(name, "default", {"data": {"a": "2"}})
    core.delete_collection_namespaced_config_map("default", label_selector=f"n={name}")
    seen = [
        (event["type"], event["object"].metadata.name)
        for event in watch.Watch().stream(
            core.list_namespaced_config_map,
            "default",
            resource_version=version,
            label_selector=f"n={name}",
            timeout_seconds=1,
        )
    ]
    assert seen == [("ADDED", name), ("MODIFIED", name), ("DELETED", name)]


def test_the_dynamic_client_serves_a_new_custom_kind_and_its_conflicts(api: Any, name: str) -> None:
    dyn = dynamic.DynamicClient(api)
    group = f"{name}.example.com"
    crds = dyn.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    crds.create(crd)
    dyn.resources.invalidate_cache()
    things = dyn.resources.get(api_version=f"{group}/v1", kind="Thing")
    thing = {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"n": 1}}
    first = things.create(thing, namespace="default")
    stale = first.to_dict()
    things.patch(
        {"metadata": {"name": "a"}, "spec": {"n": 2}},
        namespace="default",
        content_type="application/merge-patch+json",
    )
    with pytest.raises(dynamic.exceptions.ConflictError):
        things.replace(stale, namespace="default")
    assert things.get(name="a", namespace="default").spec.n == 2
    crds.delete(name=f"things.{group}")
    with pytest.raises(dynamic.exceptions.NotFoundError):
        things.get(name="a", namespace="default")


def test_server_side_apply_keeps_to_its_fields(api: Any, core: Any, name: str) -> None:
    dyn = dynamic.DynamicClient(api)
    maps = dyn.resources.get(api_version="v1", kind="ConfigMap")
    maps.server_side_apply(config_map(name, a="1"), namespace="default", field_manager="one")
    with pytest.raises(dynamic.exceptions.ConflictError) as conflict:
        maps.server_side_apply(config_map(name, a="2"), namespace="default", field_manager="two")
    status = json.loads(conflict.value.body)
    assert status["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.a"}
    ]
    maps.server_side_apply(config_map(name, a="2"), namespace="default", field_manager="two", force_conflicts=True)
    assert core.read_namespaced_config_map(name, "default").data == {"a": "2"}


def test_applying_another_version_is_refused_in_the_servers_words(core: Any, name: str) -> None:
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
    with pytest.raises(ApiException) as refused:
        core.patch_namespaced_config_map(
            name, "default", manifest, field_manager="t", _content_type="application/apply-patch+yaml"
        )
    assert refused.value.status == 400
    assert json.loads(refused.value.body)["message"] == (
        "Incorrect version specified in apply patch. Specified patch version: apps/v1, expected: v1"
    )


def test_an_api_service_of_ones_own_is_kept_and_said_to_be_unavailable(api: Any, name: str) -> None:
    registration = client.ApiregistrationV1Api(api)
    group = f"{name}.example.com"
    spec = {"group": group, "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15}
    body = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1.{group}"},
        "spec": spec | {"insecureSkipTLSVerify": True, "service": {"name": "none", "namespace": "default"}},
    }
    utils.create_from_dict(api, body)
    with pytest.raises(utils.FailToCreateError) as again:
        utils.create_from_dict(api, body)
    assert f'apiservices.apiregistration.k8s.io \\"v1.{group}\\" already exists' in str(again.value)
    for event in watch.Watch().stream(registration.list_api_service, timeout_seconds=20):
        conditions = (event["object"].status.conditions or []) if event["object"].status else []
        if event["object"].metadata.name == f"v1.{group}" and conditions:
            break
    assert [(c.type, c.status, c.reason, c.message) for c in conditions] == [
        ("Available", "False", "ServiceNotFound", 'service/none in "default" is not present')
    ]
    registration.delete_api_service(f"v1.{group}")


def test_create_from_dict_reports_what_exists_in_the_servers_words(api: Any, name: str) -> None:
    utils.create_from_dict(api, config_map(name, a="1"))
    with pytest.raises(utils.FailToCreateError) as refused:
        utils.create_from_dict(api, config_map(name, a="1"))
    body = refused.value.api_exceptions[0].body
    assert body.startswith('{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"configmaps ')
    assert body.endswith(',"code":409}\n')


def test_an_approved_signing_request_makes_a_user(api: Any, name: str) -> None:
    from base64 import b64decode, b64encode

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    asked = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    certificates = client.CertificatesV1Api(api)
    made = certificates.create_certificate_signing_request(
        {
            "metadata": {"name": name},
            "spec": {
                "request": b64encode(asked.public_bytes(serialization.Encoding.PEM)).decode(),
                "signerName": "kubernetes.io/kube-apiserver-client",
                "usages": ["client auth"],
                "username": "somebody-else",
            },
        }
    )
    assert made.spec.username == "kubernetes-admin"
    condition = client.V1CertificateSigningRequestCondition(type="Approved", status="True", reason="Test")
    made.status.conditions = [condition]
    certificates.replace_certificate_signing_request_approval(name, made)
    events = watch.Watch().stream(
        certificates.list_certificate_signing_request, field_selector=f"metadata.name={name}", timeout_seconds=10
    )
    issued = next(e["object"].status.certificate for e in events if e["object"].status.certificate)
    certificate = x509.load_pem_x509_certificate(b64decode(issued))
    assert certificate.subject == subject
    assert certificate.public_key() == asked.public_key()


def test_exec_streams_and_gives_the_exit_code(core: Any, name: str) -> None:
    running(core, pod(name, "busybox", "/bin/sh", "-c", "while true; do date; sleep 5; done"))
    try:
        said = stream(
            core.connect_get_namespaced_pod_exec,
            name,
            "default",
            command=["/bin/sh", "-c", "for i in $(seq 1 3); do echo $i; done"],
            stdout=True,
            stderr=False,
        )
        assert said == "1\n2\n3\n"
        shell = stream(
            core.connect_post_namespaced_pod_exec,
            name,
            "default",
            command=["/bin/sh"],
            stdin=True,
            stdout=True,
            stderr=True,
            _preload_content=False,
        )
        shell.write_stdin("echo one\n")
        assert shell.readline_stdout(timeout=5) == "one"
        shell.write_stdin("echo two >&2\n")
        assert shell.readline_stderr(timeout=5) == "two"
        shell.write_stdin("exit 3\n")
        shell.run_forever(timeout=5)
        assert shell.returncode == 3
    finally:
        core.delete_namespaced_pod(name, "default", grace_period_seconds=0)


def test_a_claim_in_use_outlasts_its_deletion(core: Any, name: str) -> None:
    claim = {
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    made = core.create_namespaced_persistent_volume_claim("default", claim)
    assert made.metadata.finalizers == ["kubernetes.io/pvc-protection"]
    manifest = pod(name, "registry.k8s.io/pause:3.10")
    manifest["spec"]["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": name}}]
    running(core, manifest)
    core.delete_namespaced_persistent_volume_claim(name, "default")
    waiting = core.read_namespaced_persistent_volume_claim(name, "default")
    assert waiting.metadata.deletion_timestamp is not None
    core.delete_namespaced_pod(name, "default")
    events = watch.Watch().stream(
        core.list_namespaced_persistent_volume_claim,
        "default",
        field_selector=f"metadata.name={name}",
        resource_version=waiting.metadata.resource_version,
        timeout_seconds=10,
    )
    assert any(event["type"] == "DELETED" for event in events)


def test_a_quotas_status_says_what_is_used(core: Any, name: str) -> None:
    core.create_namespace({"metadata": {"name": name}})
    core.create_namespaced_resource_quota(name, {"metadata": {"name": "q"}, "spec": {"hard": {"secrets": "1"}}})
    core.create_namespaced_secret(name, {"metadata": {"name": "s"}})
    events = watch.Watch().stream(core.list_namespaced_resource_quota, name, timeout_seconds=10)
    assert any((event["object"].status.used or {}).get("secrets") == "1" for event in events)
    with pytest.raises(ApiException) as refused:
        core.create_namespaced_secret(name, {"metadata": {"name": "t"}})
    assert "exceeded quota: q, requested: secrets=1, used: secrets=1, limited: secrets=1" in refused.value.body
    core.delete_namespace(name)


def test_names_taken_by_another_definition_are_not_served(api: Any, name: str) -> None:
    extensions = client.ApiextensionsV1Api(api)
    group = f"{name}.example.com"

    def definition(kind: str) -> dict[str, Any]:
        plural = kind.lower() + "s"
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        names = {"kind": kind, "plural": plural, "shortNames": ["same"]}
        spec = {"group": group, "scope": "Cluster", "names": names, "versions": [version]}
        return {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}

    extensions.create_custom_resource_definition(definition("First"))
    extensions.create_custom_resource_definition(definition("Second"))
    second = extensions.read_custom_resource_definition(f"seconds.{group}")
    found = {c.type: (c.status, c.reason, c.message) for c in second.status.conditions}
    assert found == {
        "NamesAccepted": ("False", "ShortNamesConflict", '"same" is already in use'),
        "Established": ("False", "NotAccepted", "not all names are accepted"),
    }
    with pytest.raises(ApiException) as missing:
        client.CustomObjectsApi(api).list_cluster_custom_object(group, "v1", "seconds")
    assert missing.value.status == 404
