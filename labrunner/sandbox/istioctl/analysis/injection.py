"""Namespaces, injection and annotations."""

from __future__ import annotations

from collections.abc import Iterator

from labrunner.sandbox.istioctl.analysis.cluster import Cluster, has_proxy, is_system, labels_of
from labrunner.sandbox.istioctl.analysis.message import Message, go_list, message

_INJECT = "sidecar.istio.io/inject"
_KNOWN_ANNOTATIONS = {
    "istio.io/dry-run": "",
    "istio.io/rev": "",
    "istio.io/use-waypoint": "",
    "galley.istio.io/analyze-suppress": "",
    "networking.istio.io/exportTo": "Service",
    "networking.istio.io/traffic-distribution": "Service",
    "prometheus.istio.io/merge-metrics": "Pod",
    "proxy.istio.io/config": "Pod",
    "proxy.istio.io/overrides": "Pod",
    "ambient.istio.io/redirection": "Pod",
    "inject.istio.io/templates": "Pod",
    "install.operator.istio.io/chart-owner": "",
    "status.sidecar.istio.io/port": "Pod",
    "readiness.status.sidecar.istio.io/applicationPorts": "Pod",
    "readiness.status.sidecar.istio.io/failureThreshold": "Pod",
    "readiness.status.sidecar.istio.io/initialDelaySeconds": "Pod",
    "readiness.status.sidecar.istio.io/periodSeconds": "Pod",
    "topology.istio.io/controlPlaneClusters": "Namespace",
    **dict.fromkeys(
        (
            f"sidecar.istio.io/{name}"
            for name in (
                "agentLogLevel", "bootstrapOverride", "componentLogLevel", "controlPlaneAuthPolicy",
                "discoveryAddress", "enableCoreDump", "extraStatTags", "inject", "interceptionMode", "logLevel",
                "nativeSidecar", "proxyCPU", "proxyCPULimit", "proxyImage", "proxyImageType", "proxyMemory",
                "proxyMemoryLimit", "rewriteAppHTTPProbers", "statsCompression", "statsHistogramBuckets",
                "statsInclusionPrefixes", "statsInclusionRegexps", "statsInclusionSuffixes", "status", "userVolume",
                "userVolumeMount",
            )
        ),
        "Pod",
    ),
    **dict.fromkeys(
        (
            f"traffic.sidecar.istio.io/{name}"
            for name in (
                "excludeInboundPorts", "excludeInterfaces", "excludeOutboundIPRanges", "excludeOutboundPorts",
                "includeInboundPorts", "includeOutboundIPRanges", "includeOutboundPorts", "kubevirtInterfaces",
            )
        ),
        "Pod",
    ),
}  # fmt: skip
"""Annotation -> the kind it belongs to; empty: any. Source: istio.io, Resource Annotations."""


def analyze(cluster: Cluster) -> Iterator[Message]:
    injected = {}
    for namespace in cluster.all("Namespace"):
        name, labels = namespace["metadata"]["name"], labels_of(namespace)
        if is_system(name):
            continue
        found = [key for key in ("istio-injection", "istio.io/rev") if key in labels]
        if len(found) > 1:
            yield message("IST0123", namespace, go_list([f"{key}={labels[key]}" for key in found]))
        elif not found and labels.get("istio.io/dataplane-mode") != "ambient":
            yield message("IST0102", namespace, name)
        injected[name] = labels.get("istio-injection", "enabled" if "istio.io/rev" in labels else "") == "enabled"
    for pod in cluster.all("Pod"):
        meta, labels = pod["metadata"], labels_of(pod)
        annotations = meta.get("annotations") or {}
        wish = labels.get(_INJECT, annotations.get(_INJECT, "true"))
        outside = pod["spec"].get("hostNetwork") or pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if injected.get(meta["namespace"]) and not has_proxy(pod) and wish != "false" and not outside:
            yield message("IST0103", pod, f"{meta['namespace']}/{meta['name']}")
        contexts = [pod["spec"].get("securityContext") or {}]
        contexts += [c.get("securityContext") or {} for c in pod["spec"]["containers"] if c["name"] != "istio-proxy"]
        if any(each.get("runAsUser") == 1337 for each in contexts):
            yield message("IST0144", pod)


def known_annotations(cluster: Cluster) -> Iterator[Message]:
    for resource in cluster.objects:
        if is_system(resource["metadata"].get("namespace", "")):
            continue
        own = dict(resource["metadata"].get("annotations") or {})
        kind = resource["kind"]
        if kind == "Deployment":
            own |= resource["spec"].get("template", {}).get("metadata", {}).get("annotations") or {}
        for name in sorted(own):
            prefix = name.partition("/")[0]
            if not (prefix == "istio.io" or prefix.endswith(".istio.io")):
                continue
            if name not in _KNOWN_ANNOTATIONS:
                yield message("IST0108", resource, name)
            elif (wanted := _KNOWN_ANNOTATIONS[name]) and kind not in (wanted, *_CARRIERS.get(wanted, ())):
                yield message("IST0107", resource, name, wanted)


_CARRIERS = {"Pod": ("Deployment",)}
