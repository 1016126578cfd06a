"""Defaults of pods and pod templates. Source: k8s.io/kubernetes pkg/apis/core/v1/defaults.go."""

from __future__ import annotations

import re
from typing import Any

Obj = dict[str, Any]

_SPEC = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
}
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_TAG = re.compile(r":([\w][\w.-]*)$")
_DEFAULT_MODE = 0o644
_TOKEN_SECONDS = 3600


def pod(obj: Obj) -> None:
    """A Pod: its spec, and requests that follow from limits."""
    spec = obj.setdefault("spec", {})
    pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for container in (*spec.get("containers", []), *spec.get("initContainers", [])):
        limits = container["resources"].get("limits")
        if limits:
            requests = container["resources"].setdefault("requests", {})
            for resource, amount in limits.items():
                requests.setdefault(resource, amount)
    obj.setdefault("status", {})


def pod_template(template: Obj | None) -> None:
    if template is not None:
        template.setdefault("metadata", {})
        pod_spec(template.setdefault("spec", {}))


def pod_spec(spec: Obj) -> None:
    """In place; serviceAccount and serviceAccountName are two names of one field."""
    for key, value in _SPEC.items():
        spec.setdefault(key, value)
    spec.setdefault("securityContext", {})
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    host_network = bool(spec.get("hostNetwork"))
    for key in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(key) or []:
            _container(container, host_network=host_network)
    for volume in spec.get("volumes") or []:
        _volume(volume)


def pull_policy(image: str) -> str:
    """Always for `latest`, named or implied; IfNotPresent for other tags and digests."""
    if "@" in image:
        return "IfNotPresent"
    tag = _TAG.search(image.rpartition("/")[2])
    return "Always" if not tag or tag[1] == "latest" else "IfNotPresent"


def _container(container: Obj, *, host_network: bool) -> None:
    container.setdefault("imagePullPolicy", pull_policy(container.get("image", "")))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
        if host_network and "containerPort" in port:
            port.setdefault("hostPort", port["containerPort"])
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            probe = container[name]
            for key, value in _PROBE.items():
                probe.setdefault(key, value)
            _handler(probe)
            if "grpc" in probe:
                probe["grpc"].setdefault("service", "")
    for hook in ("postStart", "preStop"):
        if hook in (container.get("lifecycle") or {}):
            _handler(container["lifecycle"][hook])
    for variable in container.get("env") or []:
        _field_reference(variable.get("valueFrom") or {})


def _handler(handler: Obj) -> None:
    if "httpGet" in handler:
        handler["httpGet"].setdefault("path", "/")
        handler["httpGet"].setdefault("scheme", "HTTP")


def _field_reference(source: Obj) -> None:
    if "fieldRef" in source:
        source["fieldRef"].setdefault("apiVersion", "v1")


def _volume(volume: Obj) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for source in ("secret", "configMap", "downwardAPI", "projected"):
        if source in volume:
            volume[source].setdefault("defaultMode", _DEFAULT_MODE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    for item in volume.get("downwardAPI", {}).get("items", []):
        _field_reference(item)
    for source in volume.get("projected", {}).get("sources", []):
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", _TOKEN_SECONDS)
        for item in source.get("downwardAPI", {}).get("items", []):
            _field_reference(item)
    if "ephemeral" in volume:
        claim = volume["ephemeral"].get("volumeClaimTemplate")
        if claim:
            claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
