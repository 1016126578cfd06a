"""The mesh's own workloads: AKS's Istio add-on or upstream Istio, as declared here, installed once.

Names of the add-on: learn.microsoft.com/azure/aks/istio-deploy-addon; of upstream: the `default` profile of istioctl.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers.load_balancer import INTERNAL
from labrunner.sandbox.kube.controllers.meta import id_of, name_of, namespace_of
from labrunner.sandbox.kube.controllers.settings import ControllerSettings, MeshSettings

_MANAGER = "istio-installer"
_GATEWAY_PORTS = (("status-port", 15021, 15021), ("http2", 80, 80), ("https", 443, 443))


def install_mesh(api: Api, settings: ControllerSettings) -> None:
    """Create what is missing of the flavour in `settings.mesh`; nothing for `none`."""
    for obj in manifests(settings.mesh):
        if api.get(id_of(obj), name_of(obj), namespace_of(obj)) is None:
            api.create(obj, manager=_MANAGER)


def manifests(mesh: MeshSettings) -> list[Obj]:
    """Namespaces, control plane and gateways of a flavour."""
    if mesh.flavour == "none":
        return []
    found = [_namespace(mesh.system_namespace, mesh)]
    if mesh.ingress_namespace != mesh.system_namespace:
        found.append(_namespace(mesh.ingress_namespace, mesh))
    for revision in mesh.revisions:
        found += _control_plane(mesh, revision)
    if mesh.flavour == "aks":
        for exposure in ("external", "internal"):
            found += _aks_gateway(mesh, exposure)
    else:
        found += _upstream_gateway(mesh)
    return found


def proxy_image(mesh: MeshSettings) -> str:
    if mesh.flavour == "aks":
        return f"mcr.microsoft.com/oss/v2/istio/proxyv2:v{mesh.version}"
    return f"docker.io/istio/proxyv2:{mesh.version}"


def _namespace(name: str, mesh: MeshSettings) -> Obj:
    labels = {"azmk8s.io/servicemesh": "istio"} if mesh.flavour == "aks" else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _object(api_version: str, kind: str, name: str, namespace: str, labels: dict[str, str], spec: Any = None) -> Obj:
    obj: Obj = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
    }
    if spec is not None:
        obj["spec"] = spec
    return obj


def _control_plane(mesh: MeshSettings, revision: str) -> list[Obj]:
    suffix = "" if revision == "default" else f"-{revision}"
    name, namespace = f"istiod{suffix}", mesh.system_namespace
    labels = {"app": "istiod", "istio": "pilot" if not suffix else "istiod", "istio.io/rev": revision}
    selector = {"app": "istiod", "istio.io/rev": revision} if suffix else {"istio": "pilot"}
    image = (
        f"mcr.microsoft.com/oss/v2/istio/pilot:v{mesh.version}"
        if mesh.flavour == "aks"
        else f"docker.io/istio/pilot:{mesh.version}"
    )
    container = {
        "name": "discovery",
        "image": image,
        "args": ["discovery", "--monitoringAddr=:15014", "--domain", "cluster.local"],
        "ports": [
            {"containerPort": 8080, "protocol": "TCP", "name": "http-debug"},
            {"containerPort": 15010, "protocol": "TCP", "name": "grpc-xds"},
            {"containerPort": 15012, "protocol": "TCP", "name": "tls-xds"},
            {"containerPort": 15017, "protocol": "TCP", "name": "webhooks"},
            {"containerPort": 15014, "protocol": "TCP", "name": "http-monitoring"},
        ],
        "env": [{"name": "REVISION", "value": revision}],
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": 8080},
            "initialDelaySeconds": 1,
            "periodSeconds": 3,
            "timeoutSeconds": 5,
        },
        "resources": {"requests": {"cpu": "500m", "memory": "2Gi"}},
    }
    ports = [("grpc-xds", 15010, 15010), ("https-dns", 15012, 15012), ("https-webhook", 443, 15017),
             ("http-monitoring", 15014, 15014)]  # fmt: skip
    replicas = 2 if mesh.flavour == "aks" else 1
    pod_labels = {**selector, **labels, "sidecar.istio.io/inject": "false"}
    config = _object("v1", "ConfigMap", f"istio{suffix}", namespace, {"istio.io/rev": revision})
    config["data"] = {
        "mesh": (
            "accessLogFile: /dev/stdout\n"
            "defaultConfig:\n"
            f"  discoveryAddress: {name}.{namespace}.svc:15012\n"
            "enablePrometheusMerge: true\n"
            f"rootNamespace: {namespace}\n"
            "trustDomain: cluster.local\n"
        ),
        "meshNetworks": "networks: {}",
    }
    return [
        _object("v1", "ServiceAccount", name, namespace, labels),
        config,
        _deployment(name, namespace, labels, selector, pod_labels, name, container, replicas),
        _service(name, namespace, labels, selector, ports, "ClusterIP"),
    ]


def _deployment(
    name: str, namespace: str, labels: dict[str, str], selector: dict[str, str], pod_labels: dict[str, str],
    account: str, container: dict[str, Any], replicas: int,
) -> Obj:  # fmt: skip
    return _object(
        "apps/v1",
        "Deployment",
        name,
        namespace,
        labels,
        {
            "replicas": replicas,
            "selector": {"matchLabels": selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"}},
            "template": {
                "metadata": {"labels": pod_labels},
                "spec": {"serviceAccountName": account, "containers": [container]},
            },
        },
    )


def _service(
    name: str, namespace: str, labels: dict[str, str], selector: dict[str, str],
    ports: list[tuple[str, int, int]], type_: str, annotations: dict[str, str] | None = None,
) -> Obj:  # fmt: skip
    shown = [{"name": n, "port": port, "protocol": "TCP", "targetPort": target} for n, port, target in ports]
    spec: dict[str, Any] = {"type": type_, "ports": shown, "selector": selector}
    service = _object("v1", "Service", name, namespace, labels, spec)
    if annotations:
        service["metadata"]["annotations"] = annotations
    return service


def _gateway_container(mesh: MeshSettings, revision: str) -> dict[str, Any]:
    return {
        "name": "istio-proxy",
        "image": proxy_image(mesh),
        "args": ["proxy", "router", "--domain", "$(POD_NAMESPACE).svc.cluster.local"],
        "ports": [
            {"containerPort": 15021, "protocol": "TCP"},
            {"containerPort": 80, "protocol": "TCP"},
            {"containerPort": 443, "protocol": "TCP"},
            {"containerPort": 15090, "protocol": "TCP", "name": "http-envoy-prom"},
        ],
        "env": [
            {"name": "ISTIO_META_REVISION", "value": revision},
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        ],
        "readinessProbe": {
            "httpGet": {"path": "/healthz/ready", "port": 15021, "scheme": "HTTP"},
            "initialDelaySeconds": 1,
            "periodSeconds": 2,
            "failureThreshold": 30,
        },
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "2", "memory": "1Gi"},
        },
        "securityContext": {"runAsUser": 1337, "runAsGroup": 1337, "runAsNonRoot": True},
    }


def _aks_gateway(mesh: MeshSettings, exposure: str) -> list[Obj]:
    """One of the add-on's two gateways: the Service is shared by all revisions, each has a Deployment."""
    name, namespace = f"aks-istio-ingressgateway-{exposure}", mesh.ingress_namespace
    selector = {"app": name, "istio": name}
    found = []
    for revision in mesh.revisions:
        deployment_name = f"{name}-{revision}"
        labels = {**selector, "istio.io/rev": revision}
        pod_labels = {**labels, "sidecar.istio.io/inject": "false", "service.istio.io/canonical-name": deployment_name}
        container = _gateway_container(mesh, revision)
        account = _object("v1", "ServiceAccount", deployment_name, namespace, labels)
        deployment = _deployment(deployment_name, namespace, labels, labels, pod_labels, deployment_name, container, 2)
        found += [account, deployment]
    annotations = {INTERNAL: "true"} if exposure == "internal" else None
    ports = [*_GATEWAY_PORTS]
    return [*found, _service(name, namespace, dict(selector), selector, ports, "LoadBalancer", annotations)]


def _upstream_gateway(mesh: MeshSettings) -> list[Obj]:
    name, namespace, revision = "istio-ingressgateway", mesh.system_namespace, mesh.revisions[0]
    selector = {"app": name, "istio": "ingressgateway"}
    labels = {**selector, "istio.io/rev": revision}
    pod_labels = {**labels, "sidecar.istio.io/inject": "false"}
    ports = [("status-port", 15021, 15021), ("http2", 80, 8080), ("https", 443, 8443)]
    account = f"{name}-service-account"
    return [
        _object("v1", "ServiceAccount", account, namespace, labels),
        _deployment(name, namespace, labels, selector, pod_labels, account, _gateway_container(mesh, revision), 1),
        _service(name, namespace, labels, selector, ports, "LoadBalancer"),
    ]
