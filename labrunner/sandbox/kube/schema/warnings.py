"""Warnings about objects that are valid but hardly meant so: what `kubectl` prints as `Warning: ...`.

Source: k8s.io/kubernetes/pkg/api/pod/warnings.go, pkg/api/service/warnings.go and the strategies' WarningsOnCreate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.schema.quantity import QuantityError, parse
from labrunner.sandbox.kube.schema.validation import names
from labrunner.sandbox.kube.schema.validation.metadata import STANDARD_FINALIZERS

_TEMPLATES = {
    "PodTemplate": ("template",),
    "ReplicationController": ("spec", "template"),
    "apps/ReplicaSet": ("spec", "template"),
    "apps/Deployment": ("spec", "template"),
    "apps/StatefulSet": ("spec", "template"),
    "apps/DaemonSet": ("spec", "template"),
    "batch/Job": ("spec", "template"),
    "batch/CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where a kind has its pod template."""
_NAMES_PODS = {"ReplicationController", "apps/ReplicaSet", "apps/Deployment", "apps/DaemonSet", "batch/Job"}
_NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": ('deprecated since v1.17; use "topology.kubernetes.io/region" instead'),
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
_INGRESS_CLASS = "kubernetes.io/ingress.class"
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def of_custom(new: Obj, old: Obj | None) -> list[str]:
    """What to warn of on creating or updating a custom resource: finalizers that others may write, too."""
    before = set((old or {}).get("metadata", {}).get("finalizers") or ())
    return [
        f'metadata.finalizers: "{finalizer}": prefer a domain-qualified finalizer name including a path (/) to avoid '
        "accidental conflicts with other finalizer writers"
        for finalizer in sorted(set(new["metadata"].get("finalizers") or ()) - before)
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS
    ]


def of(kind_id: str, new: Obj, old: Obj | None) -> list[str]:
    """What to warn of on creating (`old` is None) or updating this object."""
    if kind_id == "Pod":
        return [] if old is not None else [*_dotted(new, "the Pod's hostname"), *_pod(new, "")]
    if kind_id == "networking.k8s.io/Ingress":
        if _INGRESS_CLASS in (new["metadata"].get("annotations") or {}):
            return [f"annotation \"{_INGRESS_CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"]
        return []
    if kind_id == "Service":
        return list(_service(new.get("spec") or {}))
    path = _TEMPLATES.get(kind_id)
    if path is None:
        return []
    found = _dotted(new, "Pod names and hostnames") if kind_id in _NAMES_PODS and old is None else []
    if old is None or old["metadata"].get("generation") != new["metadata"].get("generation"):
        template: Any = new
        for key in path:
            template = template.get(key) or {}
        found += _pod(template, ".".join(path) + ".")
    return found


def _dotted(obj: Obj, used_in: str) -> list[str]:
    problems = names.dns1123_label(obj["metadata"].get("name", ""))
    if not problems:
        return []
    return [
        f"metadata.name: this is used in {used_in}, which can result in surprising behavior; "
        f"a DNS label is recommended: [{', '.join(problems)}]"
    ]


def _pod(template: Obj, at: str) -> list[str]:
    spec = template.get("spec") or {}
    found = [
        f"{at}spec.nodeSelector[{label}]: {_NODE_LABELS[label]}"
        for label in sorted(spec.get("nodeSelector") or {})
        if label in _NODE_LABELS
    ]
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        if message := _NODE_LABELS.get(constraint.get("topologyKey", "")):
            found.append(f"{at}spec.topologySpreadConstraints[{index}].topologyKey: {message}")
    for key in sorted((template.get("metadata") or {}).get("annotations") or {}):
        if key.startswith(_APPARMOR):
            advice = 'deprecated since v1.30; use the "appArmorProfile" field instead'
            found.append(f"{at}metadata.annotations[{key}]: {advice}")
    for index, volume in enumerate(spec.get("volumes") or ()):
        if "gitRepo" in volume:
            found.append(f"{at}spec.volumes[{index}].gitRepo: deprecated in v1.11, and disabled by default in v1.33+")
    found += _duplicates(spec.get("hostAliases"), "ip", f"{at}spec.hostAliases", "ip")
    found += _pull_secrets(spec, at)
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            found += _container(container, f"{at}spec.{field}[{index}]")
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        advice = "must be >= 0; negative values are invalid and will be treated as 1"
        found.append(f"{at}spec.terminationGracePeriodSeconds: {advice}")
    return found


def _pull_secrets(spec: Obj, at: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        name = (secret or {}).get("name", "")
        where = f"{at}spec.imagePullSecrets[{index}]"
        if not name:
            yield f'{where}: invalid empty name ""'
        elif name in seen:
            yield f'{where}: duplicate name "{name}"'
        seen.add(name)


def _duplicates(entries: list[Obj] | None, key: str, where: str, word: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, entry in enumerate(entries or ()):
        value = str(entry.get(key, ""))
        if value in seen:
            yield f'{where}[{index}].{key}: duplicate {word} "{value}"'
        seen.add(value)


def _container(container: Obj, at: str) -> Iterator[str]:
    resources = container.get("resources") or {}
    for resource in ("memory", "ephemeral-storage"):
        for kind in ("limits", "requests"):
            text = (resources.get(kind) or {}).get(resource)
            if text is not None and _fractional(str(text)):
                where = f"{at}.resources.{kind}[{resource}]"
                yield f'{where}: fractional byte value "{text}" is invalid, must be an integer'
    seen: set[str] = set()
    for index, variable in enumerate(container.get("env") or ()):
        name = variable.get("name", "")
        if name in seen:
            yield f'{at}.env[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
        seen.add(name)
    ports: dict[tuple[Any, ...], int] = {}
    for index, port in enumerate(container.get("ports") or ()):
        key = (port.get("containerPort"), port.get("protocol"), port.get("hostPort"), port.get("hostIP"))
        if key in ports:
            yield f"{at}.ports[{index}]: duplicate port definition with {at}.ports[{ports[key]}]"
        ports.setdefault(key, index)


def _fractional(text: str) -> bool:
    try:
        return bool(parse(text).value % 1)
    except QuantityError:
        return False


def _service(spec: Obj) -> Iterator[str]:
    if spec.get("type") != "ExternalName" and spec.get("clusterIP") == "None":
        if spec.get("loadBalancerIP"):
            yield 'spec.loadBalancerIP is ignored when spec.clusterIP is "None"'
        if spec.get("externalIPs"):
            yield 'spec.externalIPs is ignored when spec.clusterIP is "None"'
        if spec.get("sessionAffinity", "None") != "None":
            yield "spec.SessionAffinity is ignored for headless services"
    elif spec.get("type") == "ExternalName" and spec.get("sessionAffinity", "None") != "None":
        yield 'spec.SessionAffinity is ignored when service.spec.type is "ExternalName"'
