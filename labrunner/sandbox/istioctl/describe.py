"""`istioctl experimental describe` and `authz check`: what of Istio concerns one pod or service."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from labrunner.sandbox.istioctl.analysis.cluster import (
    KINDS,
    Cluster,
    Object,
    full_host,
    has_proxy,
    labels_of,
    selected,
    target_ports,
)
from labrunner.sandbox.istioctl.analysis.services import protocol
from labrunner.sandbox.istioctl.kube import CommandError, Kube
from labrunner.sandbox.istioctl.options import parse
from labrunner.sandbox.istioctl.proxies import pod_of
from labrunner.sandbox.istioctl.table import columns

_RULE = "--------------------\n"


def describe(kube: Kube, arguments: list[str]) -> int:
    """`describe pod POD` and `describe service NAME`."""
    options = parse(arguments, {}, {"ignoreUnmeshed": ""})
    match options.words:
        case ["pod" | "po", text]:
            return _pod(kube, pod_of(kube, text), options.given("ignoreUnmeshed"))
        case ["service" | "svc" | "services", text]:
            return _service(kube, text)
        case ["pod" | "po"]:
            raise CommandError("expecting pod name")
        case ["service" | "svc"]:
            raise CommandError("expecting service name")
        case [other, *_]:
            raise CommandError(f'unknown resource type "{other}"')
    raise CommandError("use: istioctl experimental describe pod|service NAME")


class Words:
    """Names as describe writes them: with the namespace when it is another one."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def name(self, obj: Object) -> str:
        meta = obj["metadata"]
        same = meta.get("namespace") == self.namespace
        return str(meta["name"]) if same else f"{meta['name']}.{meta.get('namespace', '')}"


def _pod(kube: Kube, key: str, ignore_unmeshed: bool) -> int:
    name, _, namespace = key.rpartition(".")
    cluster = Cluster(tuple(kube.get(KINDS)))
    pod = cluster.get("Pod", namespace, name)
    if pod is None:
        raise CommandError(f'pods "{name}" not found')
    words = Words(namespace)
    out = sys.stdout.write
    revision = (pod["metadata"].get("annotations") or {}).get("istio.io/rev", "")
    out(f"Pod: {words.name(pod)}\n   Pod Revision: {revision}\n")
    every = [*pod["spec"]["containers"], *(c for c in pod["spec"].get("initContainers") or () if _is_sidecar(c))]
    ports = [f"{p['containerPort']} ({c['name']})" for c in every for p in c.get("ports") or ()]
    out(f"   Pod Ports: {', '.join(ports)}\n" if ports else "   Pod does not expose ports\n")
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if not status.get("ready"):
            out(f"WARNING: Pod {words.name(pod)} Container {status['name']} NOT READY\n")
    if not has_proxy(pod) and not ignore_unmeshed:
        out(f"WARNING: {words.name(pod)} is not part of mesh; no Istio sidecar\n")
    for label, text in (("app", "name"), ("version", "revision")):
        if not ignore_unmeshed and has_proxy(pod) and not _canonical(labels_of(pod), label):
            out(f"Suggestion: add required service {text} label for Istio telemetry. See "
                "https://istio.io/latest/docs/ops/deployment/application-requirements/.\n")  # fmt: skip
    services = [
        s
        for s in cluster.all("Service", namespace)
        if s["spec"].get("selector") and selected(s["spec"]["selector"], labels_of(pod))
    ]
    if not services and not ignore_unmeshed:
        out(f"Warning: No Kubernetes Services select pod {words.name(pod)} (see "
            "https://istio.io/docs/setup/kubernetes/additional-setup/requirements/ )\n")  # fmt: skip
    out(_RULE)
    for service in services:
        _about_service(cluster, words, service, [pod])
    out(_RULE)
    out("Effective PeerAuthentication:\n")
    mode, applied = _peer_mode(cluster, pod)
    out(f"   Workload mTLS mode: {mode}\n")
    if applied:
        out(f"Applied PeerAuthentication:\n   {', '.join(applied)}\n")
    _ingress(cluster, words, services)
    return 0


def _is_sidecar(container: dict[str, Any]) -> bool:
    return container.get("restartPolicy") == "Always"


def _canonical(labels: Any, name: str) -> bool:
    if name == "app":
        return any(k in labels for k in ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app"))
    return any(k in labels for k in ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"))


def _service(kube: Kube, text: str) -> int:
    base, _, given = text.partition(".")
    namespace = given or kube.default_namespace()
    cluster = Cluster(tuple(kube.get(KINDS)))
    service = cluster.get("Service", namespace, base)
    if service is None:
        raise CommandError(f'services "{base}" not found')
    words = Words(namespace)
    selector = service["spec"].get("selector") or {}
    pods = cluster.pods(namespace, selector) if selector else []
    _about_service(cluster, words, service, pods)
    if not pods:
        sys.stdout.write("WARNING: no pods match the service's selector\n" if selector else "")
    _ingress(cluster, words, [service])
    return 0


def _about_service(cluster: Cluster, words: Words, service: Object, pods: Sequence[Object]) -> None:
    out = sys.stdout.write
    out(f"Service: {words.name(service)}\n")
    for port, target in target_ports(service):
        if port.get("protocol", "TCP") != "TCP":
            continue
        number = _pod_port(pods, target)
        shown = "auto-detect" if not port.get("name") and not port.get("appProtocol") else protocol(port)
        out(f"   Port: {port.get('name', '')} {port['port']}/{shown} targets pod port {number}\n")
    host = full_host(service["metadata"]["name"], service["metadata"]["namespace"])
    matching: list[str] = []
    other: list[str] = []
    rule = _destination_rule(cluster, host)
    if rule is not None:
        matching, other = _subsets(rule, pods)
        out(f'DestinationRule: {words.name(rule)} for "{rule["spec"].get("host", "")}"\n')
        if matching or other:
            if not matching:
                out(f"   WARNING POD DOES NOT MATCH ANY SUBSETS.  (Non matching subsets {','.join(other)})\n")
            out(f"   Matching subsets: {','.join(matching)}\n")
            if other:
                out(f"      (Non-matching subsets {','.join(other)})\n")
        policy = rule["spec"].get("trafficPolicy")
        if not policy:
            out("   No Traffic Policy\n")
        else:
            if policy.get("tls"):
                out(f"   Traffic Policy TLS Mode: {policy['tls'].get('mode', 'DISABLE')}\n")
            names = (("loadBalancer", "load balancer"), ("connectionPool", "connection pool"),
                     ("outlierDetection", "outlier detection"))  # fmt: skip
            found = [text for key, text in names if key in policy]
            if found:
                out(f"   Policies: {'/'.join(found)}\n")
    for route in cluster.all("VirtualService"):
        if "mesh" in (route["spec"].get("gateways") or ["mesh"]) and _hosts(route, host):
            _virtual_service(words, route, host, matching, other, rule, "")


def _pod_port(pods: Sequence[Object], target: object) -> object:
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for port in container.get("ports") or ():
                if port.get("name") == target:
                    return port["containerPort"]
    return target


def _destination_rule(cluster: Cluster, host: str) -> Object | None:
    return next(
        (
            r
            for r in cluster.all("DestinationRule")
            if full_host(r["spec"].get("host", ""), r["metadata"]["namespace"]) == host
        ),
        None,
    )


def _subsets(rule: Object, pods: Sequence[Object]) -> tuple[list[str], list[str]]:
    matching: list[str] = []
    other: list[str] = []
    for subset in rule["spec"].get("subsets") or ():
        labels = subset.get("labels") or {}
        (matching if any(selected(labels, labels_of(p)) for p in pods) else other).append(subset["name"])
    return matching, other


def _hosts(route: Object, host: str) -> bool:
    namespace = route["metadata"]["namespace"]
    return any(full_host(h, namespace) == host for h in route["spec"].get("hosts") or ())


def _virtual_service(
    words: Words, route: Object, host: str, matching: list[str], other: list[str], rule: Object | None, indent: str
) -> None:
    out = sys.stdout.write
    out(f"{indent}VirtualService: {words.name(route)}\n")
    namespace = route["metadata"]["namespace"]
    lines: list[str] = []
    notes: list[str] = []
    reached = 0
    rules = route["spec"].get("http") or []
    for each in rules:
        hit, facts = _http_rule(each, namespace, host, matching, other, rule, words)
        reached += hit
        (lines if hit else notes).extend(facts)
    if rules and not reached:
        out(f"{indent}   WARNING: No destinations match pod subsets (checked {len(rules)} HTTP routes)\n")
        out("".join(f"{indent}      {note}\n" for note in notes))
        return
    out("".join(f"{indent}   {line}\n" for line in lines))
    if reached < len(rules):
        out(f"{indent}   {len(rules) - reached} additional destination(s) that will not reach this pod\n")
    elif not lines and rules:
        out(f"{indent}   {len(rules)} HTTP route(s)\n")
    if route["spec"].get("tcp"):
        out(f"{indent}   {len(route['spec']['tcp'])} TCP route(s)\n")


def _http_rule(
    rule: dict[str, Any],
    namespace: str,
    host: str,
    matching: list[str],
    other: list[str],
    destination_rule: Object | None,
    words: Words,
) -> tuple[bool, list[str]]:
    facts: list[str] = []
    notes: list[str] = []
    hit = False
    for each in rule.get("route") or ():
        destination = each.get("destination") or {}
        subset, weight = destination.get("subset", ""), each.get("weight", 0)
        if full_host(destination.get("host", ""), namespace) != host:
            facts.append(f'Route to host "{destination.get("host", "")}" with weight {weight}%')
            continue
        if subset in other:
            notes.append(f"Route to non-matching subset {subset} for ({_matches(rule)})")
            continue
        if subset and subset not in matching:
            notes.append(
                f"Warning: Route to UNKNOWN subset {subset}; check DestinationRule {words.name(destination_rule)}"
                if destination_rule
                else f"Warning: Route to subset {subset} but NO DESTINATION RULE defining subsets!"
            )
            continue
        hit = True
        if weight:
            shown = f' subset "{subset}"' if subset else ""
            facts.append(f'Route to host "{destination["host"]}"{shown} with weight {weight}%')
    if hit:
        about = ["Fault injection"] if rule.get("fault") else []
        about += [_match(m) for m in rule.get("match") or ()]
        facts += [", ".join(about)] if about else []
    return hit, facts if hit else notes


def _matches(rule: dict[str, Any]) -> str:
    return ", ".join(_match(m) for m in rule.get("match") or ()) or "everything"


def _match(match: dict[str, Any]) -> str:
    text = "Match: " + _string(match.get("uri"))
    if match.get("headers"):
        headers = "; ".join(f"{key}={_string(value)}" for key, value in match["headers"].items())
        text += f" when headers are {headers}"
    return text.strip()


def _string(matcher: dict[str, str] | None) -> str:
    if not matcher:
        return ""
    kind, value = next(iter(matcher.items()))
    return value + "*" if kind == "prefix" else value if kind == "exact" else f'{kind}:"{value}"'


def _peer_mode(cluster: Cluster, pod: Object) -> tuple[str, list[str]]:
    namespace = pod["metadata"]["namespace"]
    mode, applied = "PERMISSIVE", []
    for scope in dict.fromkeys(("istio-system", "aks-istio-system", namespace)):
        for with_selector in (False, True):
            for policy in cluster.all("PeerAuthentication", scope):
                spec = policy.get("spec") or {}
                labels = (spec.get("selector") or {}).get("matchLabels") or {}
                if bool(labels) != with_selector or (labels and scope != namespace):
                    continue
                if selected(labels, labels_of(pod)):
                    applied.append(f"{policy['metadata']['name']}.{scope}")
                    found = (spec.get("mtls") or {}).get("mode", "UNSET")
                    mode = mode if found == "UNSET" else found
    return mode, applied


def _ingress(cluster: Cluster, words: Words, services: Iterable[Object]) -> None:
    out = sys.stdout.write
    for service in services:
        host = full_host(service["metadata"]["name"], service["metadata"]["namespace"])
        for route in cluster.all("VirtualService"):
            gateways = [g for g in route["spec"].get("gateways") or () if g != "mesh"]
            targets = {
                full_host((d.get("destination") or {}).get("host", ""), route["metadata"]["namespace"])
                for rule in route["spec"].get("http") or ()
                for d in rule.get("route") or ()
            }
            if not gateways or host not in targets:
                continue
            out(f"{_RULE}Exposed on Ingress Gateway {', '.join(gateways)}\n")
            _virtual_service(words, route, host, [], [], None, "")


def authz_check(kube: Kube, arguments: list[str]) -> int:
    """The AuthorizationPolicies that a pod's proxy enforces, in the order of their actions."""
    options = parse(arguments, {"file": "f"}, {"verbose": "v"})
    if len(options.words) != 1:
        raise CommandError("check requires only <pod-name>[.<pod-namespace>]")
    name, _, namespace = pod_of(kube, options.words[0]).rpartition(".")
    cluster = Cluster(tuple(kube.get(KINDS)))
    pod = cluster.get("Pod", namespace, name)
    if pod is None or not has_proxy(pod):
        raise CommandError(f"the pod {name}.{namespace} has no Istio proxy: no AuthorizationPolicy is enforced for it")
    rows = [("ACTION", "AuthorizationPolicy", "RULES")]
    for action in ("CUSTOM", "DENY", "ALLOW", "AUDIT"):
        for scope in dict.fromkeys(("istio-system", "aks-istio-system", namespace)):
            for policy in cluster.all("AuthorizationPolicy", scope):
                spec = policy.get("spec") or {}
                labels = (spec.get("selector") or {}).get("matchLabels") or {}
                if spec.get("action", "ALLOW") == action and selected(labels, labels_of(pod)):
                    shown = f"{policy['metadata']['name']}.{scope}"
                    rows.append((action, shown, str(max(1, len(spec.get("rules") or ())))))
    sys.stdout.write(columns(rows, padding=3))
    return 0
