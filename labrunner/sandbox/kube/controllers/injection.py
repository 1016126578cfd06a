"""Istio's sidecar injection, as admission on pods: who is injected, and what with.

Source of the decision: istio.io/istio/pkg/kube/inject (injectRequired) and the webhooks' selectors in
manifests/charts/istio-control/istio-discovery; of the containers: files/injection-template.yaml.
"""

from __future__ import annotations

import json
from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers.kubelet.runtime import APP_PROBERS, named_port
from labrunner.sandbox.kube.controllers.mesh_install import proxy_image
from labrunner.sandbox.kube.controllers.meta import annotations_of, controller_of, labels_of
from labrunner.sandbox.kube.controllers.settings import MeshSettings

INJECT = "sidecar.istio.io/inject"
REVISION = "istio.io/rev"
_NEVER = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")
_EXCLUDED_UID = "1337"


def inject(api: Api, pod: Obj, namespace: str, mesh: MeshSettings) -> Obj:
    """The pod with its sidecar, or the pod itself when it gets none."""
    revision = revision_for(api, pod, namespace, mesh)
    return with_sidecar(pod, namespace, mesh, revision) if revision else pod


def revision_for(api: Api, pod: Obj, namespace: str, mesh: MeshSettings) -> str:
    """The control plane that injects this pod; empty when none does."""
    if mesh.flavour == "none" or not mesh.revisions:
        return ""
    scope = api.get("Namespace", namespace)
    labels, own = (labels_of(scope) if scope else {}), labels_of(pod)
    wish = own.get(INJECT, annotations_of(pod).get(INJECT, ""))
    if own.get(INJECT) == "false" or labels.get("istio-injection") == "disabled":
        return ""
    revision = _selected(labels, own, mesh)
    if not revision:
        return ""
    if pod["spec"].get("hostNetwork") or namespace in (*_NEVER, mesh.system_namespace) or wish.lower() == "false":
        return ""
    if any(c["name"] == "istio-proxy" for c in _all_containers(pod)):
        return ""
    return revision


def _selected(namespace: dict[str, str], pod: dict[str, str], mesh: MeshSettings) -> str:
    """What the webhooks' namespace and object selectors let through."""
    asked = namespace.get(REVISION, "")
    if asked and "istio-injection" not in namespace:
        return asked if asked in mesh.revisions else ""
    if namespace.get("istio-injection") == "enabled" and mesh.flavour == "istio":
        return mesh.revisions[0] if "default" in mesh.revisions else ""
    if pod.get(REVISION) and "istio-injection" not in namespace:
        return pod[REVISION] if pod[REVISION] in mesh.revisions else ""
    if pod.get(INJECT) == "true" and "default" in mesh.revisions and mesh.flavour == "istio":
        return "default"
    return ""


def _all_containers(pod: Obj) -> list[dict[str, Any]]:
    return [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]


def with_sidecar(pod: Obj, namespace: str, mesh: MeshSettings, revision: str) -> Obj:
    """istio-init (an init container) and istio-proxy (a native sidecar), volumes, labels and the status annotation."""
    spec, metadata = dict(pod["spec"]), dict(pod["metadata"])
    labels = dict(metadata.get("labels") or {})
    workload = _workload(pod)
    canonical = labels.get("app.kubernetes.io/name") or labels.get("app") or workload
    labels.setdefault("security.istio.io/tlsMode", "istio")
    labels.setdefault("service.istio.io/canonical-name", canonical)
    labels.setdefault("service.istio.io/canonical-revision", labels.get("version", "latest"))
    annotations = dict(metadata.get("annotations") or {})
    first = spec["containers"][0]["name"]
    annotations.setdefault("kubectl.kubernetes.io/default-container", first)
    annotations.setdefault("kubectl.kubernetes.io/default-logs-container", first)
    volumes = _volumes()
    names = [volume["name"] for volume in volumes]
    annotations["istio.io/rev"] = revision
    annotations["sidecar.istio.io/status"] = _status(names, revision)
    metadata["labels"], metadata["annotations"] = labels, annotations
    existing = [volume for volume in spec.get("volumes") or () if volume["name"] not in names]
    spec["volumes"] = [*volumes, *existing]
    proxy = _proxy(pod, mesh, revision, workload)
    spec["initContainers"] = [_init(mesh, annotations), proxy, *(spec.get("initContainers") or ())]
    spec["containers"] = [_rewritten(container, annotations) for container in spec["containers"]]
    return {**pod, "metadata": metadata, "spec": spec}


def _status(volumes: list[str], revision: str) -> str:
    return json.dumps(
        {
            "initContainers": ["istio-init", "istio-proxy"],
            "containers": None,
            "volumes": volumes,
            "imagePullSecrets": None,
            "revision": revision,
        },
        separators=(",", ":"),
    )


def _workload(pod: Obj) -> str:
    owner = controller_of(pod)
    name = str(owner["name"]) if owner else str(pod["metadata"].get("name") or pod["metadata"].get("generateName", ""))
    if owner and owner["kind"] == "ReplicaSet" and "pod-template-hash" in labels_of(pod):
        return name.rpartition("-")[0]
    return name.rstrip("-")


def _init(mesh: MeshSettings, annotations: dict[str, str]) -> dict[str, Any]:
    excluded = annotations.get("traffic.sidecar.istio.io/excludeInboundPorts", "")
    ports = ",".join(filter(None, ("15090,15021,15020", excluded)))
    arguments = [
        *("istio-iptables", "-p", "15001", "-z", "15006", "-u", _EXCLUDED_UID, "-m", "REDIRECT", "-i"),
        annotations.get("traffic.sidecar.istio.io/includeOutboundIPRanges", "*"),
        *("-x", annotations.get("traffic.sidecar.istio.io/excludeOutboundIPRanges", "")),
        *("-b", annotations.get("traffic.sidecar.istio.io/includeInboundPorts", "*"), "-d", ports),
        "--log_output_level=default:info",
    ]
    return {
        "name": "istio-init",
        "image": proxy_image(mesh),
        "imagePullPolicy": "IfNotPresent",
        "args": arguments,
        "resources": _resources(),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": False,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "runAsUser": 0,
        },
    }


def _resources() -> dict[str, Any]:
    return {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "128Mi"}}


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _proxy(pod: Obj, mesh: MeshSettings, revision: str, workload: str) -> dict[str, Any]:
    annotations = annotations_of(pod)
    suffix = "" if revision == "default" else f"-{revision}"
    discovery = f"istiod{suffix}.{mesh.system_namespace}.svc:15012"
    level = annotations.get("sidecar.istio.io/logLevel", "warning")
    container: dict[str, Any] = {
        "name": "istio-proxy",
        "image": annotations.get("sidecar.istio.io/proxyImage") or proxy_image(mesh),
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "args": [
            *("proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local"),
            *(f"--proxyLogLevel={level}", "--proxyComponentLogLevel=misc:error", "--log_output_level=default:info"),
        ],
        "env": [
            {"name": "PILOT_CERT_PROVIDER", "value": "istiod"},
            {"name": "CA_ADDR", "value": discovery},
            _field("POD_NAME", "metadata.name"),
            _field("POD_NAMESPACE", "metadata.namespace"),
            _field("INSTANCE_IP", "status.podIP"),
            _field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
            _field("HOST_IP", "status.hostIP"),
            {"name": "PROXY_CONFIG", "value": f'{{"discoveryAddress":"{discovery}"}}\n'},
            {"name": "ISTIO_META_CLUSTER_ID", "value": "Kubernetes"},
            {"name": "ISTIO_META_INTERCEPTION_MODE", "value": "REDIRECT"},
            {"name": "ISTIO_META_WORKLOAD_NAME", "value": workload},
            {"name": "ISTIO_META_MESH_ID", "value": "cluster.local"},
            {"name": "TRUST_DOMAIN", "value": "cluster.local"},
        ],
        "ports": [{"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"}],
        "readinessProbe": {
            "failureThreshold": 4,
            "httpGet": {"path": "/healthz/ready", "port": 15021, "scheme": "HTTP"},
            "periodSeconds": 15,
            "successThreshold": 1,
            "timeoutSeconds": 3,
        },
        "startupProbe": {
            "failureThreshold": 600,
            "httpGet": {"path": "/healthz/ready", "port": 15021, "scheme": "HTTP"},
            "periodSeconds": 1,
            "successThreshold": 1,
            "timeoutSeconds": 3,
        },
        "resources": _resources(),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsGroup": 1337,
            "runAsNonRoot": True,
            "runAsUser": 1337,
        },
        "volumeMounts": [
            {"mountPath": "/var/run/secrets/workload-spiffe-uds", "name": "workload-socket"},
            {"mountPath": "/var/run/secrets/credential-uds", "name": "credential-socket"},
            {"mountPath": "/var/run/secrets/workload-spiffe-credentials", "name": "workload-certs"},
            {"mountPath": "/var/run/secrets/istio", "name": "istiod-ca-cert"},
            {"mountPath": "/var/lib/istio/data", "name": "istio-data"},
            {"mountPath": "/etc/istio/proxy", "name": "istio-envoy"},
            {"mountPath": "/var/run/secrets/tokens", "name": "istio-token"},
            {"mountPath": "/etc/istio/pod", "name": "istio-podinfo"},
        ],
    }
    applications = ",".join(c["name"] for c in pod["spec"]["containers"])
    container["env"].append({"name": "ISTIO_META_APP_CONTAINERS", "value": applications})
    probers = {path: probe for c in pod["spec"]["containers"] for path, probe in _probers(c).items()}
    if probers and _rewrites(annotations):
        value = json.dumps(probers, separators=(",", ":"))
        container["env"].append({"name": APP_PROBERS, "value": value})
    container["volumeMounts"] += _token_mounts(pod)
    return container


def _token_mounts(pod: Obj) -> list[dict[str, Any]]:
    """The service account's token, where ServiceAccount admission has given it to the application."""
    mounts = pod["spec"]["containers"][0].get("volumeMounts") or ()
    return [dict(m) for m in mounts if m.get("mountPath") == "/var/run/secrets/kubernetes.io/serviceaccount"]


def _probers(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Path at the agent -> the application's own probe, for those that the agent makes in the kubelet's stead."""
    found = {}
    for probe, word in (("readinessProbe", "readyz"), ("livenessProbe", "livez"), ("startupProbe", "startupz")):
        given = container.get(probe) or {}
        kept = {k: given[k] for k in ("httpGet", "tcpSocket", "grpc") if k in given}
        if kept:
            kept = {k: {**v, "port": named_port(container, v.get("port"))} for k, v in kept.items()}
            found[f"/app-health/{container['name']}/{word}"] = {
                **kept,
                "timeoutSeconds": given.get("timeoutSeconds", 1),
            }
    return found


def _rewritten(container: dict[str, Any], annotations: dict[str, str]) -> dict[str, Any]:
    """HTTP, TCP and gRPC probes go through the agent, so that mTLS does not stand in their way."""
    if not _rewrites(annotations):
        return container
    changed = dict(container)
    for path in _probers(container):
        probe = {"readyz": "readinessProbe", "livez": "livenessProbe", "startupz": "startupProbe"}[
            path.rpartition("/")[2]
        ]
        original = {k: v for k, v in container[probe].items() if k not in ("httpGet", "tcpSocket", "grpc")}
        changed[probe] = {**original, "httpGet": {"path": path, "port": 15020, "scheme": "HTTP"}}
    return changed


def _rewrites(annotations: dict[str, str]) -> bool:
    return annotations.get("sidecar.istio.io/rewriteAppHTTPProbers", "true") != "false"


def _volumes() -> list[dict[str, Any]]:
    items = [
        {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.{part}"}, "path": part}
        for part in ("labels", "annotations")
    ]
    token = {"serviceAccountToken": {"audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token"}}
    return [
        {"emptyDir": {}, "name": "workload-socket"},
        {"emptyDir": {}, "name": "credential-socket"},
        {"emptyDir": {}, "name": "workload-certs"},
        {"emptyDir": {"medium": "Memory"}, "name": "istio-envoy"},
        {"emptyDir": {}, "name": "istio-data"},
        {"downwardAPI": {"defaultMode": 420, "items": items}, "name": "istio-podinfo"},
        {"name": "istio-token", "projected": {"defaultMode": 420, "sources": [token]}},
        {"configMap": {"defaultMode": 420, "name": "istio-ca-root-cert"}, "name": "istiod-ca-cert"},
    ]
