"""The PodSecurity plugin: levels from the namespace's labels, enforced on pods, warned about on workloads.

Source: k8s.io/pod-security-admission/admission/admission.go.
"""

from __future__ import annotations

import json
import re
from typing import Any

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.admission.pod_security_checks import LEVELS, evaluate
from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.request import AdmissionRequest
from labrunner.sandbox.kube.status import forbidden, invalid

_PREFIX = "pod-security.kubernetes.io/"
_VERSION = re.compile(r"latest|v1\.(?:0|[1-9]\d*)")
_TEMPLATES = {
    "ReplicationController": ("template",),
    "apps/Deployment": ("template",),
    "apps/ReplicaSet": ("template",),
    "apps/StatefulSet": ("template",),
    "apps/DaemonSet": ("template",),
    "batch/Job": ("template",),
    "batch/CronJob": ("jobTemplate", "spec", "template"),
}
_MOST_WARNINGS = 10


def pod_security(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
    """Refuses pods their namespace's `enforce` level forbids; warns by its `warn` level."""
    if request.operation not in ("CREATE", "UPDATE") or request.subresource not in ("", "ephemeralcontainers"):
        return obj
    if request.kind.id == "Namespace":
        _namespace(api, request, obj, old)
    elif request.kind.id == "Pod":
        if old is None or old.get("spec") != obj.get("spec"):
            _pod(api, request, obj)
    elif path := _TEMPLATES.get(request.kind.id):
        template: Any = obj.get("spec") or {}
        for part in path:
            template = template.get(part) or {}
        _warn(api, request, template.get("metadata") or {}, template.get("spec") or {})
    return obj


def _levels(api: Api, namespace: str) -> dict[str, tuple[str, str]]:
    found = api.get("Namespace", namespace)
    return policy((found or {}).get("metadata", {}).get("labels") or {})


def policy(labels: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Mode (enforce, warn, audit) -> (level, version), as these namespace labels set them."""
    modes = {}
    for mode in ("enforce", "warn", "audit"):
        level = labels.get(_PREFIX + mode, "privileged")
        version = labels.get(f"{_PREFIX}{mode}-version", "latest")
        if level not in LEVELS:
            level = "restricted" if mode == "enforce" else "privileged"
        modes[mode] = level, version if _VERSION.fullmatch(version) else "latest"
    if f"{_PREFIX}warn" not in labels and f"{_PREFIX}enforce" in labels:
        modes["warn"] = modes["enforce"]
    return modes


def _pod(api: Api, request: AdmissionRequest, pod: Obj) -> None:
    level, version = _levels(api, request.namespace)["enforce"]
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    violations = evaluate(level, metadata, spec)
    if violations:
        said = ", ".join(map(str, violations))
        name = request.name or metadata.get("name") or metadata.get("generateName", "")
        raise forbidden("pods", "", name, f"violates PodSecurity {json.dumps(f'{level}:{version}')}: {said}")
    _warn(api, request, metadata, spec)


def _warn(api: Api, request: AdmissionRequest, metadata: dict[str, Any], spec: dict[str, Any]) -> None:
    level, version = _levels(api, request.namespace)["warn"]
    if violations := evaluate(level, metadata, spec):
        said = ", ".join(map(str, violations))
        request.options.warn(f"would violate PodSecurity {json.dumps(f'{level}:{version}')}: {said}")


def _namespace(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> None:
    labels = obj["metadata"].get("labels") or {}
    errors = []
    for mode in ("enforce", "audit", "warn"):
        level, version = labels.get(_PREFIX + mode), labels.get(f"{_PREFIX}{mode}-version")
        if level is not None and level not in LEVELS:
            path = f"metadata.labels[{_PREFIX}{mode}]"
            errors.append(field.invalid(path, level, f"must be one of {', '.join(LEVELS)}"))
        if version is not None and not _VERSION.fullmatch(version):
            path = f"metadata.labels[{_PREFIX}{mode}-version]"
            errors.append(field.invalid(path, version, 'must be "latest" or "v1.x"'))
    if errors:
        # A label that was wrong before may stay: only a change is judged.
        if old is None or (old["metadata"].get("labels") or {}) != labels:
            raise invalid("Namespace", "", obj["metadata"].get("name", ""), [error.cause() for error in errors])
        return
    if old is None:
        return
    level, version = policy(labels)["enforce"]
    before, _ = policy(old["metadata"].get("labels") or {})["enforce"]
    if LEVELS.index(level) > LEVELS.index(before):
        _warn_existing(api, request, level, version)


def _warn_existing(api: Api, request: AdmissionRequest, level: str, version: str) -> None:
    grouped: dict[str, list[str]] = {}
    for pod in api.objects("Pod", request.name):
        reasons = ", ".join(v.reason for v in evaluate(level, pod["metadata"], pod.get("spec") or {}))
        if reasons:
            grouped.setdefault(reasons, []).append(pod["metadata"]["name"])
    if not grouped:
        return
    request.options.warn(
        f"existing pods in namespace {json.dumps(request.name)} violate the new PodSecurity enforce level"
        f" {json.dumps(f'{level}:{version}')}"
    )
    lines = []
    for reasons, names in grouped.items():
        first, *others = sorted(names)
        more = f" (and {len(others)} other pod{'s' if len(others) > 1 else ''})" if others else ""
        lines.append(f"{first}{more}: {reasons}")
    for line in sorted(lines)[:_MOST_WARNINGS]:
        request.options.warn(line)
