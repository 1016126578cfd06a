"""Sidecar injection and the mesh's own workloads, in both flavours."""

from __future__ import annotations

from typing import Any

import pytest
from controllers_world import World, condition, deployment, pod

from labrunner.sandbox.kube.controllers import ControllerSettings, MeshSettings
from labrunner.sandbox.kube.controllers.bootstrap import install

AKS = MeshSettings()
ISTIO = MeshSettings("istio", ("default",), "1.27.1")


def meshed(mesh: MeshSettings) -> World:
    return World(ControllerSettings(ca_pem="CA", mesh=mesh))


def containers(world: World, namespace: str, name: str = "p") -> list[str]:
    spec = world.get("Pod", name, namespace)["spec"]
    return [c["name"] for c in [*spec.get("initContainers", ()), *spec["containers"]]]


@pytest.mark.parametrize(
    ("mesh", "namespace", "labels", "spec", "injected"),
    [
        (AKS, {"istio.io/rev": "asm-1-25"}, {}, {}, True),
        (AKS, {"istio-injection": "enabled"}, {}, {}, False),
        (AKS, {"istio.io/rev": "asm-1-24"}, {}, {}, False),
        (AKS, {"istio.io/rev": "asm-1-25", "istio-injection": "enabled"}, {}, {}, False),
        (AKS, {}, {}, {}, False),
        (AKS, {}, {"istio.io/rev": "asm-1-25"}, {}, True),
        (AKS, {"istio.io/rev": "asm-1-25"}, {"sidecar.istio.io/inject": "false"}, {}, False),
        (AKS, {"istio.io/rev": "asm-1-25"}, {}, {"hostNetwork": True}, False),
        (ISTIO, {"istio-injection": "enabled"}, {}, {}, True),
        (ISTIO, {"istio-injection": "disabled"}, {"sidecar.istio.io/inject": "true"}, {}, False),
        (ISTIO, {}, {"sidecar.istio.io/inject": "true"}, {}, True),
        (ISTIO, {"istio.io/rev": "default"}, {}, {}, True),
        (MeshSettings("none"), {"istio-injection": "enabled"}, {}, {}, False),
    ],
)
def test_who_gets_a_sidecar(
    mesh: MeshSettings, namespace: dict[str, str], labels: dict[str, str], spec: dict[str, Any], injected: bool
) -> None:
    world = meshed(mesh)
    world.namespace("app", namespace)
    world.run()
    body = pod(labels={"app": "p", **labels}, **spec)
    body["metadata"]["namespace"] = "app"
    world.create(body)
    world.run()
    expected = ["istio-init", "istio-proxy", "c"] if injected else ["c"]
    assert containers(world, "app") == expected
    status = world.get("Pod", "p", "app")["status"]
    assert condition({"status": status}, "Ready")["status"] == "True"


def test_an_injected_pod_is_whole() -> None:
    world = meshed(AKS)
    world.namespace("app", {"istio.io/rev": "asm-1-25"})
    world.run()
    body = deployment()
    body["metadata"]["namespace"] = "app"
    probe = {"httpGet": {"path": "/", "port": 80}}
    body["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = probe
    world.create(body)
    world.run()
    [found] = world.pods("app")
    assert found["metadata"]["labels"]["security.istio.io/tlsMode"] == "istio"
    assert found["metadata"]["labels"]["service.istio.io/canonical-name"] == "web"
    assert '"revision":"asm-1-25"' in found["metadata"]["annotations"]["sidecar.istio.io/status"]
    assert found["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] == "web"
    proxy = found["spec"]["initContainers"][1]
    environment = {e["name"]: e.get("value") for e in proxy["env"]}
    assert environment["CA_ADDR"] == "istiod-asm-1-25.aks-istio-system.svc:15012"
    assert environment["ISTIO_META_WORKLOAD_NAME"] == "web" and proxy["restartPolicy"] == "Always"
    rewritten = found["spec"]["containers"][0]["readinessProbe"]["httpGet"]
    assert (rewritten["path"], rewritten["port"]) == ("/app-health/web/readyz", 15020)
    assert world.exists("ConfigMap", "istio-ca-root-cert", "app")
    [ready] = found["status"]["containerStatuses"]
    assert ready["ready"], "a rewritten probe reaches the application through the agent"


def test_a_rewritten_probe_still_fails_where_the_application_does_not_listen() -> None:
    world = meshed(AKS)
    world.namespace("app", {"istio.io/rev": "asm-1-25"})
    world.run()
    body = pod(container={"readinessProbe": {"httpGet": {"path": "/", "port": 8080}}})
    body["metadata"]["namespace"] = "app"
    world.create(body)
    world.run(30)
    assert world.get("Pod", "p", "app")["status"]["containerStatuses"][0]["ready"] is False


@pytest.mark.parametrize(
    ("mesh", "system", "gateways"),
    [
        (AKS, "aks-istio-system", ("aks-istio-ingress", {"aks-istio-ingressgateway-external",
                                                         "aks-istio-ingressgateway-internal"})),
        (ISTIO, "istio-system", ("istio-system", {"istio-ingressgateway", "istiod"})),
    ],
)  # fmt: skip
def test_the_mesh_is_installed_ready_and_only_once(
    mesh: MeshSettings, system: str, gateways: tuple[str, set[str]]
) -> None:
    world = meshed(mesh)
    install(world.api, world.settings)
    world.run(5)
    for found in world.api.objects("apps/Deployment"):
        assert found["status"].get("availableReplicas") == found["spec"]["replicas"], found["metadata"]["name"]
    namespace, services = gateways
    assert {s["metadata"]["name"] for s in world.api.objects("Service", namespace)} == services
    assert any(d["metadata"]["name"].startswith("istiod") for d in world.api.objects("apps/Deployment", system))
    before = world.store.revision
    install(world.api, world.settings)
    world.run()
    assert world.store.revision == before


def test_the_add_ons_gateways_have_azures_names_and_addresses() -> None:
    world = meshed(AKS)
    install(world.api, world.settings)
    world.run()
    name = "aks-istio-ingressgateway-internal"
    service = world.get("Service", name, "aks-istio-ingress")
    assert service["spec"]["selector"] == {"app": name, "istio": name}
    assert service["status"]["loadBalancer"]["ingress"][0]["ip"].startswith("10.224.")
    pods = world.pods("aks-istio-ingress", istio=name)
    assert len(pods) == 2 and pods[0]["metadata"]["name"].startswith(f"{name}-asm-1-25-")
    assert world.get("Endpoints", name, "aks-istio-ingress")["subsets"][0]["addresses"]
