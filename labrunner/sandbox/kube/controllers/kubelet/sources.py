"""What a pod needs from other objects before it can start: volumes' sources, and the values of environment variables.

Sentences: pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables), pkg/volume/{configmap,secret,projected} and
pkg/volume/util/operationexecutor.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers.kubelet.runtime import Container
from labrunner.sandbox.kube.controllers.meta import name_of, namespace_of, uid_of
from labrunner.sandbox.kube.controllers.volumes import claims_of
from labrunner.sandbox.workload.images import Image

_KINDS = {"configMap": ("ConfigMap", "configmap", "configmap"), "secret": ("Secret", "secret", "secret")}


def mount_problem(api: Api, pod: Obj) -> str:
    """The FailedMount message of the first volume that cannot be mounted, or nothing."""
    for volume in pod["spec"].get("volumes") or ():
        if problem := _volume(api, pod, volume):
            return f'MountVolume.SetUp failed for volume "{volume["name"]}" : {problem}'
    return ""


def waits_for_volume(api: Api, pod: Obj) -> bool:
    """Whether a claim is still being provisioned."""
    return any(
        claim is None or (claim.get("status") or {}).get("phase") != "Bound"
        for name in claims_of(pod)
        for claim in [api.get("PersistentVolumeClaim", name, namespace_of(pod))]
    )


def _volume(api: Api, pod: Obj, volume: dict[str, Any]) -> str:
    namespace = namespace_of(pod)
    if source := volume.get("configMap"):
        return _source(api, namespace, "ConfigMap", source.get("name", ""), source)
    if source := volume.get("secret"):
        return _source(api, namespace, "Secret", source.get("secretName", ""), source)
    for part in (volume.get("projected") or {}).get("sources") or ():
        for field in ("configMap", "secret"):
            if source := part.get(field):
                kind = "ConfigMap" if field == "configMap" else "Secret"
                if problem := _source(api, namespace, kind, source.get("name", ""), source):
                    return problem
    return ""


def _source(api: Api, namespace: str, kind: str, name: str, source: dict[str, Any]) -> str:
    obj = api.get(kind, name, namespace)
    if obj is None:
        return "" if source.get("optional") else f'{kind.lower()} "{name}" not found'
    keys = {*(obj.get("data") or {}), *(obj.get("binaryData") or {})}
    for item in source.get("items") or ():
        if item["key"] not in keys and not source.get("optional"):
            return f"references non-existent {'config' if kind == 'ConfigMap' else 'secret'} key: {item['key']}"
    return ""


def config_problem(api: Api, pod: Obj, container: Container, image: Image) -> str:
    """The message of CreateContainerConfigError, or nothing."""
    namespace = namespace_of(pod)
    for source in container.get("envFrom") or ():
        for field, (kind, word, _) in (("configMapRef", _KINDS["configMap"]), ("secretRef", _KINDS["secret"])):
            reference = source.get(field)
            if reference and not reference.get("optional") and not api.get(kind, reference["name"], namespace):
                return f'{word} "{reference["name"]}" not found'
    for variable in container.get("env") or ():
        origin = variable.get("valueFrom") or {}
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            reference = origin.get(field)
            if not reference or reference.get("optional"):
                continue
            obj = api.get(kind, reference["name"], namespace)
            if obj is None:
                return f'{kind.lower()} "{reference["name"]}" not found'
            if reference["key"] not in {*(obj.get("data") or {}), *(obj.get("binaryData") or {})}:
                return f"couldn't find key {reference['key']} in {kind} {namespace}/{reference['name']}"
    return _root_problem(pod, container, image)


def _root_problem(pod: Obj, container: Container, image: Image) -> str:
    pod_level, own = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    if not own.get("runAsNonRoot", pod_level.get("runAsNonRoot")):
        return ""
    user = own.get("runAsUser", pod_level.get("runAsUser"))
    where = f'(pod: "{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})", container: {container["name"]})'
    if user == 0:
        return f"container's runAsUser breaks non-root policy {where}"
    if user is not None:
        return ""
    if image.user in ("root", "0", ""):
        return f"container has runAsNonRoot and image will run as root {where}"
    if not image.user.isdigit():
        named = f"image has non-numeric user ({image.user}), cannot verify user is non-root"
        return f"container has runAsNonRoot and {named} {where}"
    return ""
