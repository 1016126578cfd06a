"""The environment of a container: the image's, the manifest's, and the Services' variables.

Source: k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables) and pkg/kubelet/envvars.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.workload.images import Image

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$(\$|\([A-Za-z_][-A-Za-z0-9_.]*\))")


def environment(api: Api, pod: Obj, container: dict[str, Any], image: Image, hostname: str) -> dict[str, str]:
    """Every variable that the container's first process gets, the runtime's and the image's first."""
    return {"PATH": DEFAULT_PATH, "HOSTNAME": hostname, **image.env, **declared(api, pod, container)}


def declared(api: Api, pod: Obj, container: dict[str, Any]) -> dict[str, str]:
    """What the pod says, then the services: all that `$(NAME)` may refer to. Source: pkg/kubelet/kubelet_pods.go."""
    found: dict[str, str] = {}
    namespace = pod["metadata"].get("namespace", "")
    services = service_variables(api, namespace, links=pod["spec"].get("enableServiceLinks", True))
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix", "")
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if reference := source.get(field):
                obj = api.get(kind, reference.get("name", ""), namespace)
                for key, value in data_of(obj).items():
                    found[prefix + key] = value.decode("utf-8", "surrogateescape")
    for variable in container.get("env") or ():
        value = variable.get("value")
        if origin := variable.get("valueFrom"):
            taken = value_from(api, pod, container, origin)
            if taken is None:
                continue
            found[variable["name"]] = taken
        else:
            found[variable["name"]] = expanded(value or "", {**services, **found})
    return found | {name: value for name, value in services.items() if name not in found}


def expanded(text: str, variables: dict[str, str]) -> str:
    """`$(NAME)` replaced where NAME is known; `$$` is a dollar sign."""

    def replace(found: re.Match[str]) -> str:
        if found[1] == "$":
            return "$"
        name = found[1][1:-1]
        return variables.get(name, found[0])

    return _REFERENCE.sub(replace, text)


def value_from(api: Api, pod: Obj, container: dict[str, Any], origin: dict[str, Any]) -> str | None:
    """None when it is optional and not there."""
    namespace = pod["metadata"].get("namespace", "")
    for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if reference := origin.get(field):
            data = data_of(api.get(kind, reference.get("name", ""), namespace))
            value = data.get(reference.get("key", ""))
            return None if value is None else value.decode("utf-8", "surrogateescape")
    if reference := origin.get("fieldRef"):
        return field_value(pod, reference.get("fieldPath", ""))
    if reference := origin.get("resourceFieldRef"):
        return resource_value(pod, container, reference)
    return None


def data_of(obj: Obj | None) -> dict[str, bytes]:
    """The content of a ConfigMap or Secret."""
    if obj is None:
        return {}
    found: dict[str, bytes] = {}
    secret = obj.get("kind") == "Secret"
    for key, value in (obj.get("data") or {}).items():
        found[key] = _decoded(value) if secret else str(value).encode("utf-8", "surrogateescape")
    for key, value in (obj.get("binaryData") or {}).items():
        found[key] = _decoded(value)
    return found


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value)
    except (binascii.Error, ValueError):
        return b""


def field_value(pod: Obj, path: str) -> str:
    """A downward API field, as environment variables and volumes show it."""
    found = re.fullmatch(r"metadata\.(labels|annotations)(?:\['([^']*)'\])?", path)
    if found:
        values: dict[str, str] = pod["metadata"].get(found[1]) or {}
        if found[2] is not None:
            return str(values.get(found[2], ""))
        return "\n".join(f'{k}="{_escaped(str(v))}"' for k, v in sorted(values.items()))
    if path == "status.hostIPs" or path == "status.podIPs":
        key = path.partition(".")[2]
        ips = (pod.get("status") or {}).get(key) or ()
        return ",".join(entry["ip"] for entry in ips)
    value: Any = pod
    for part in path.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def resource_value(pod: Obj, container: dict[str, Any], reference: dict[str, Any]) -> str:
    """`limits.cpu` and its like, divided by the divisor and rounded up; what is not set is the node's."""
    from labrunner.sandbox.kube.controllers import quantity

    name = reference.get("containerName")
    if name:
        everyone = [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]
        container = next((c for c in everyone if c["name"] == name), container)
    kind, _, resource = str(reference.get("resource", "")).partition(".")
    resources = container.get("resources") or {}
    value = (resources.get(kind) or {}).get(resource)
    if value is None:
        value = (resources.get("limits") or {}).get(resource) if kind == "requests" else None
    if value is None:
        value = {"cpu": "4", "memory": "16Gi", "ephemeral-storage": "100Gi"}.get(resource, "0")
        if kind == "requests":
            value = "0"
    divisor = str(reference.get("divisor") or "1")
    amount, unit = quantity.parse(str(value)), quantity.parse(divisor if divisor != "0" else "1")
    return str(-int(-amount // unit))


def service_variables(api: Api, namespace: str, *, links: bool) -> dict[str, str]:
    """`REDIS_SERVICE_HOST` and the Docker link variables; the API's own Service is always there."""
    found: dict[str, str] = {}
    services = api.objects("Service", namespace) if links else []
    master = api.get("Service", "kubernetes", "default")
    for service in [*([master] if (master and namespace != "default") or (master and not links) else []), *services]:
        spec = service["spec"]
        ip = spec.get("clusterIP")
        if not ip or ip == "None":
            continue
        name = service["metadata"]["name"].upper().replace("-", "_")
        ports = spec.get("ports") or []
        if not ports:
            continue
        found[f"{name}_SERVICE_HOST"] = ip
        found[f"{name}_SERVICE_PORT"] = str(ports[0]["port"])
        for port in ports:
            if port.get("name"):
                found[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
        for index, port in enumerate(ports):
            protocol = str(port.get("protocol") or "TCP")
            url = f"{protocol.lower()}://{ip}:{port['port']}"
            prefix = f"{name}_PORT_{port['port']}_{protocol}"
            if index == 0:
                found[f"{name}_PORT"] = url
            found |= {prefix: url, f"{prefix}_PROTO": protocol.lower(), f"{prefix}_PORT": str(port["port"]),
                      f"{prefix}_ADDR": ip}  # fmt: skip
    return found
