"""The ServiceAccount plugin: every pod has one, and a projected token to prove it.

Source: plugin/pkg/admission/serviceaccount/admission.go.
"""

from __future__ import annotations

import secrets
from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.request import AdmissionRequest
from labrunner.sandbox.kube.status import forbidden

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_SECONDS = 3607
_MIRROR = "kubernetes.io/config.mirror"
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


def service_account(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
    """Names the pod's account (`default` if it names none), requires that it exists, mounts its token."""
    if request.kind.id != "Pod" or request.operation != "CREATE" or request.subresource:
        return obj
    spec = obj.get("spec") or {}
    if _MIRROR in (obj["metadata"].get("annotations") or {}):
        return obj
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = api.get("ServiceAccount", name, request.namespace)
    if account is None:
        pod = request.name or obj["metadata"].get("generateName", "")
        why = f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden("pods", "", pod, why)
    if _mounts_token(account, spec):
        _mount(spec)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]
    return obj


def _mounts_token(account: Obj, spec: dict[str, Any]) -> bool:
    own = spec.get("automountServiceAccountToken")
    return bool(own if own is not None else account.get("automountServiceAccountToken", True))


def _mount(spec: dict[str, Any]) -> None:
    volumes = spec.setdefault("volumes", [])
    existing = next((v["name"] for v in volumes if v["name"].startswith("kube-api-access-")), None)
    volume = existing or "kube-api-access-" + "".join(secrets.choice(_SUFFIX) for _ in range(5))
    needed = existing is not None
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        mounts = container.setdefault("volumeMounts", [])
        if not any(mount.get("mountPath") == MOUNT_PATH for mount in mounts):
            mounts.append({"name": volume, "readOnly": True, "mountPath": MOUNT_PATH})
            needed = True
    if needed and not existing:
        volumes.append(_volume(volume))


def _volume(name: str) -> dict[str, Any]:
    root_ca = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    token = {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}
    sources = [{"serviceAccountToken": token}, {"configMap": root_ca}, {"downwardAPI": {"items": [namespace]}}]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}
