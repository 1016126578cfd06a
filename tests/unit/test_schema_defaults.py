"""Objects get the defaults a 1.36 server writes."""

from __future__ import annotations

from typing import Any

import pytest

from labrunner.sandbox.kube.kinds import KindTable
from labrunner.sandbox.kube.schema.catalog import builtin_kinds, kind_of_crd, shipped_crds
from labrunner.sandbox.kube.schema.pod_defaults import pull_policy
from labrunner.sandbox.kube.schema.served import CatalogSchemas

_CONTAINER = {"name": "c", "image": "nginx:1.27"}
_FULL_CONTAINER = {
    **_CONTAINER,
    "imagePullPolicy": "IfNotPresent",
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
_POD_SPEC = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}


@pytest.fixture(scope="module")
def world() -> tuple[CatalogSchemas, KindTable]:
    schemas, kinds = CatalogSchemas(), KindTable(builtin_kinds())
    for crd in shipped_crds():
        schemas.catalog.add_crd(crd)
        kinds.add(kind_of_crd(crd))
    return schemas, kinds


def defaulted(world: tuple[CatalogSchemas, KindTable], api_version: str, kind: str, **fields: Any) -> dict[str, Any]:
    schemas, kinds = world
    obj = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, **fields}
    found = kinds.of_object(obj)
    assert found
    version = api_version.rpartition("/")[2]
    clean, problems = schemas.decode(found, version, obj, None)
    assert problems == []
    schemas.default(found, version, clean)
    return clean


def test_a_deployment_gets_strategy_history_and_a_complete_template(world: tuple[CatalogSchemas, KindTable]) -> None:
    labels = {"app": "x"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [_CONTAINER]}}
    obj = defaulted(world, "apps/v1", "Deployment", spec={"selector": {"matchLabels": labels}, "template": template})
    assert obj["spec"] == {
        "progressDeadlineSeconds": 600,
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "selector": {"matchLabels": labels},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "template": {"metadata": {"labels": labels}, "spec": {**_POD_SPEC, "containers": [_FULL_CONTAINER]}},
    }
    assert obj["status"] == {}


def test_a_pod_requests_what_it_limits_and_a_template_does_not(world: tuple[CatalogSchemas, KindTable]) -> None:
    container = {**_CONTAINER, "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}}}
    pod = defaulted(world, "v1", "Pod", spec={"containers": [container]})
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "100m", "memory": "1Gi"}
    job = defaulted(world, "batch/v1", "Job", spec={"template": {"spec": {"containers": [container]}}})
    assert job["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "100m"}
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 1


def test_probes_volumes_and_references_are_completed(world: tuple[CatalogSchemas, KindTable]) -> None:
    container = {
        **_CONTAINER,
        "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [{"containerPort": 80}],
        "readinessProbe": {"httpGet": {"port": 80}},
    }
    volumes = [{"name": "a", "secret": {"secretName": "s"}}, {"name": "b"}, {"name": "c", "hostPath": {"path": "/x"}}]
    spec = defaulted(world, "v1", "Pod", spec={"containers": [container], "volumes": volumes})["spec"]
    full = spec["containers"][0]
    assert full["env"][0]["valueFrom"]["fieldRef"] == {"apiVersion": "v1", "fieldPath": "metadata.name"}
    assert full["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert full["readinessProbe"] == {
        "failureThreshold": 3,
        "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
        "periodSeconds": 10,
        "successThreshold": 1,
        "timeoutSeconds": 1,
    }
    assert spec["volumes"] == [
        {"name": "a", "secret": {"secretName": "s", "defaultMode": 420}},
        {"name": "b", "emptyDir": {}},
        {"name": "c", "hostPath": {"path": "/x", "type": ""}},
    ]


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("localhost:5000/nginx", "Always"),
        ("localhost:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_a_service_is_exposed_by_type(world: tuple[CatalogSchemas, KindTable]) -> None:
    plain = defaulted(world, "v1", "Service", spec={"ports": [{"port": 80}]})["spec"]
    assert plain == {
        "internalTrafficPolicy": "Cluster",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "sessionAffinity": "None",
        "type": "ClusterIP",
    }
    balancer = defaulted(world, "v1", "Service", spec={"type": "LoadBalancer", "ports": [{"port": 80}]})["spec"]
    assert (balancer["externalTrafficPolicy"], balancer["allocateLoadBalancerNodePorts"]) == ("Cluster", True)
    name = defaulted(world, "v1", "Service", spec={"type": "ExternalName", "externalName": "a.b"})["spec"]
    assert name == {"externalName": "a.b", "sessionAffinity": "None", "type": "ExternalName"}


def test_string_data_overwrites_data(world: tuple[CatalogSchemas, KindTable]) -> None:
    secret = defaulted(world, "v1", "Secret", data={"a": "YQ==", "b": "Yg=="}, stringData={"b": "hello"})
    assert (secret["type"], secret["data"]) == ("Opaque", {"a": "YQ==", "b": "aGVsbG8="})
    assert "stringData" not in secret


def test_policy_types_follow_the_rules(world: tuple[CatalogSchemas, KindTable]) -> None:
    def types(spec: dict[str, Any]) -> list[str]:
        return defaulted(world, "networking.k8s.io/v1", "NetworkPolicy", spec=spec)["spec"]["policyTypes"]  # type: ignore[no-any-return]

    assert types({"podSelector": {}}) == ["Ingress"]
    assert types({"podSelector": {}, "egress": [{}]}) == ["Ingress", "Egress"]
    assert types({"podSelector": {}, "policyTypes": ["Egress"]}) == ["Egress"]


def test_a_custom_kind_gets_the_defaults_of_its_schema(world: tuple[CatalogSchemas, KindTable]) -> None:
    spec = {"parentRefs": [{"name": "g"}], "rules": [{"backendRefs": [{"name": "b", "port": 80}]}]}
    route = defaulted(world, "gateway.networking.k8s.io/v1", "HTTPRoute", spec=spec)
    assert route["spec"]["parentRefs"] == [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g"}]
    assert route["spec"]["rules"][0]["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    assert route["spec"]["rules"][0]["backendRefs"][0] == {
        "group": "",
        "kind": "Service",
        "name": "b",
        "port": 80,
        "weight": 1,
    }


def test_defaulting_twice_changes_nothing(world: tuple[CatalogSchemas, KindTable]) -> None:
    once = defaulted(world, "v1", "Pod", spec={"containers": [_CONTAINER], "volumes": [{"name": "v"}]})
    again = defaulted(world, "v1", "Pod", **{k: v for k, v in once.items() if k in ("spec", "status")})
    assert again == once
