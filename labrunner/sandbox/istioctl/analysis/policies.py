"""DestinationRules, authentication and authorization policies, Sidecars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labrunner.sandbox.istioctl.analysis.cluster import Cluster, Object, full_host, labels_of, selected, shown
from labrunner.sandbox.istioctl.analysis.message import Message, go_list, message, quoted

_ROOTS = ("istio-system", "aks-istio-system")


def analyze(cluster: Cluster) -> Iterator[Message]:
    for rule in cluster.all("DestinationRule"):
        yield from _certificates(rule)
        yield from _mutual_tls(cluster, rule)
    for kind in ("AuthorizationPolicy", "RequestAuthentication", "PeerAuthentication"):
        for policy in cluster.all(kind):
            yield from _workloads(cluster, policy)
    for policy in cluster.all("AuthorizationPolicy"):
        yield from _namespaces(cluster, policy)
    yield from _sidecars(cluster)


def _certificates(rule: Object) -> Iterator[Message]:
    meta, spec = rule["metadata"], rule["spec"]
    policy = spec.get("trafficPolicy") or {}
    own = meta["name"], meta["namespace"]

    def unverified(tls: dict[str, Any]) -> bool:
        return (
            tls.get("mode") in ("SIMPLE", "MUTUAL") and not tls.get("caCertificates") and not tls.get("credentialName")
        )

    if unverified(policy.get("tls") or {}):
        yield message("IST0128", rule, *own, policy["tls"]["mode"], spec.get("host", ""))
    for port in policy.get("portLevelSettings") or ():
        if unverified(port.get("tls") or {}):
            number = f"number:{(port.get('port') or {}).get('number')}"
            yield message("IST0129", rule, *own, port["tls"]["mode"], spec.get("host", ""), number)


def _mutual_tls(cluster: Cluster, rule: Object) -> Iterator[Message]:
    mode = ((rule["spec"].get("trafficPolicy") or {}).get("tls") or {}).get("mode")
    namespace = rule["metadata"]["namespace"]
    service = cluster.service(rule["spec"].get("host", ""), namespace)
    if mode is None or service is None or service["kind"] != "Service":
        return
    policy, wanted = _peer_mode(cluster, service)
    mutual = mode == "ISTIO_MUTUAL"
    if (wanted == "STRICT" and not mutual) or (wanted == "DISABLE" and mutual):
        host = full_host(rule["spec"]["host"], namespace)
        name = f"{namespace}/{rule['metadata']['name']}"
        yield message("IST0113", rule, host, quoted(name), str(mutual).lower(), quoted(policy), wanted)


def _peer_mode(cluster: Cluster, service: Object) -> tuple[str, str]:
    """(policy, mode) that holds for a Service's pods: workload over namespace over mesh."""
    namespace = service["metadata"]["namespace"]
    pods = cluster.pods(namespace, service["spec"].get("selector") or {"": ""})
    found = ("", "PERMISSIVE")
    for scope in (*_ROOTS, namespace):
        for policy in cluster.all("PeerAuthentication", scope):
            selector = (policy["spec"].get("selector") or {}).get("matchLabels") or {}
            applies = not selector or (scope == namespace and any(selected(selector, labels_of(p)) for p in pods))
            mode = (policy["spec"].get("mtls") or {}).get("mode", "UNSET")
            if applies and mode != "UNSET":
                found = (f"{scope}/{policy['metadata']['name']}", mode)
    return found


def _workloads(cluster: Cluster, policy: Object) -> Iterator[Message]:
    labels = ((policy.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    namespace = policy["metadata"]["namespace"]
    if labels and not cluster.pods(None if namespace in _ROOTS else namespace, labels):
        yield message("IST0127", policy, shown(labels))


def _namespaces(cluster: Cluster, policy: Object) -> Iterator[Message]:
    known = [n["metadata"]["name"] for n in cluster.all("Namespace")]
    for rule in (policy.get("spec") or {}).get("rules") or ():
        for source in rule.get("from") or ():
            for name in (source.get("source") or {}).get("namespaces") or ():
                prefix, star, suffix = str(name).partition("*")
                if not any(n.startswith(prefix) and n.endswith(suffix) if star else n == name for n in known):
                    yield message("IST0101", policy, "namespace", quoted(name))


def _sidecars(cluster: Cluster) -> Iterator[Message]:
    by_namespace: dict[str, list[Object]] = {}
    for sidecar in cluster.all("Sidecar"):
        by_namespace.setdefault(sidecar["metadata"]["namespace"], []).append(sidecar)
    for namespace, sidecars in sorted(by_namespace.items()):
        for sidecar in sidecars:
            labels = (sidecar["spec"].get("workloadSelector") or {}).get("labels") or {}
            if labels and not cluster.pods(namespace, labels):
                yield message("IST0101", sidecar, "selector", quoted(shown(labels)))
        bare = [s for s in sidecars if not (s["spec"].get("workloadSelector") or {}).get("labels")]
        if len(bare) > 1:
            names = go_list(sorted(s["metadata"]["name"] for s in bare))
            for sidecar in bare:
                yield message("IST0111", sidecar, names, quoted(namespace))
        for pod in cluster.all("Pod", namespace):
            rivals = [
                s
                for s in sidecars
                if (labels := (s["spec"].get("workloadSelector") or {}).get("labels"))
                and selected(labels, labels_of(pod))
            ]
            if len(rivals) > 1:
                names = go_list(sorted(s["metadata"]["name"] for s in rivals))
                for sidecar in rivals:
                    yield message("IST0110", sidecar, names, quoted(namespace), quoted(pod["metadata"]["name"]))
