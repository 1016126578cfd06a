"""`istioctl version`, `tag` and `dashboard`: what is known of the control plane through the API."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from labrunner.sandbox.istioctl.analysis.cluster import has_proxy, labels_of
from labrunner.sandbox.istioctl.kube import CommandError, Kube
from labrunner.sandbox.istioctl.options import parse
from labrunner.sandbox.istioctl.table import columns

_UNKNOWN = "unknown"
_DASHBOARDS = ("controlz", "envoy", "grafana", "istiod-debug", "jaeger", "kiali", "prometheus", "proxy", "skywalking",
               "zipkin")  # fmt: skip


def istiods(kube: Kube) -> list[dict[str, Any]]:
    """The control plane's Deployments."""
    found = kube.get("deployments.apps")
    return [d for d in found if labels_of(d).get("app") == "istiod"]


def istiod_version(deployment: dict[str, Any]) -> str:
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    return _version_of(image)


def _version_of(image: str) -> str:
    tag = image.rpartition(":")[2]
    found = re.match(r"v?(\d+\.\d+\.\d+[^@]*)", tag)
    return found[1] if found else _UNKNOWN


def minor_version(kube: Kube) -> str:
    """`1.27`, for links into the documentation."""
    try:
        found = istiods(kube)
    except CommandError:
        found = []
    return ".".join(istiod_version(found[0]).split(".")[:2]) if found else "1.27"


def proxies(kube: Kube) -> list[dict[str, Any]]:
    """Pods with an istio-proxy that are running."""
    return [p for p in kube.get("pods") if has_proxy(p) and p.get("status", {}).get("phase") == "Running"]


def proxy_version(pod: dict[str, Any]) -> str:
    every = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    return _version_of(next(c["image"] for c in every if c["name"] == "istio-proxy"))


def version(kube: Kube, arguments: list[str]) -> int:
    """Client, control plane and data plane."""
    options = parse(arguments, {"output": "o"}, {"remote": "", "short": "s"})
    if options.value("output") not in ("", "json", "yaml"):
        raise CommandError('--output must be "yaml" or "json"')
    remote = options.value("remote", "true") != "false"
    planes = [istiod_version(d) for d in istiods(kube)] if remote else []
    pods: dict[str, int] = {}
    for pod in proxies(kube) if remote else ():
        pods[proxy_version(pod)] = pods.get(proxy_version(pod), 0) + 1
    client = planes[0] if planes else _client()
    document: dict[str, Any] = {"clientVersion": {"version": client, "status": "Clean"}}
    if planes:
        document["meshVersion"] = [{"Component": "pilot", "Info": {"version": v, "status": "Clean"}} for v in planes]
        document["dataPlaneVersion"] = [
            {"ID": f"{p['metadata']['name']}.{p['metadata']['namespace']}", "IstioVersion": proxy_version(p)}
            for p in proxies(kube)
        ]
    match options.value("output"):
        case "json":
            sys.stdout.write(json.dumps(document, indent=2) + "\n")
        case "yaml":
            import yaml

            sys.stdout.write(yaml.safe_dump(document, sort_keys=False))
        case _ if not remote:
            sys.stdout.write(f"client version: {client}\n")
        case _ if not planes:
            sys.stdout.write(f"Istio is not present in the cluster: no running Istio pods\nclient version: {client}\n")
        case _:
            data = ", ".join(f"{v} ({n} proxies)" for v, n in sorted(pods.items())) or "none"
            planes_text = ", ".join(sorted(set(planes)))
            sys.stdout.write(
                f"client version: {client}\ncontrol plane version: {planes_text}\ndata plane version: {data}\n"
            )
    return 0


def _client() -> str:
    from labrunner.sandbox.kube.controllers.settings import MeshSettings

    return MeshSettings().version


def tag(kube: Kube, arguments: list[str]) -> int:
    """`tag list`: revision tags are mutating webhooks with a tag label."""
    options = parse(arguments, {"output": "o"}, {})
    if options.words[:1] != ["list"]:
        raise CommandError("the sandbox's control plane has fixed revisions: only `istioctl tag list` works here")
    hooks = kube.get("mutatingwebhookconfigurations.admissionregistration.k8s.io")
    namespaces = kube.get("namespaces")
    rows = [("TAG", "REVISION", "NAMESPACES")]
    for hook in hooks:
        labels = labels_of(hook)
        if "istio.io/tag" in labels:
            name = labels["istio.io/tag"]
            users = [n["metadata"]["name"] for n in namespaces if labels_of(n).get("istio.io/rev") == name]
            rows.append((name, labels.get("istio.io/rev", ""), ",".join(users)))
    if len(rows) == 1:
        sys.stdout.write("No Istio revision tag MutatingWebhookConfigurations to list\n")
    else:
        sys.stdout.write(columns(rows, padding=1))
    return 0


def dashboard(arguments: list[str]) -> int:
    """Says which web pages the sandbox has, and how to reach them."""
    name = next((a for a in arguments if not a.startswith("-")), "")
    if name in ("jaeger", "zipkin"):
        raise CommandError(
            "the sandbox has no Jaeger web page; its query API answers at\n"
            "  kubectl -n istio-system port-forward svc/tracing 16686:80   then   "
            "curl 'http://localhost:16686/jaeger/api/traces?service=NAME.NAMESPACE'"
        )
    if name in _DASHBOARDS:
        raise CommandError(f"the sandbox has no {name} web page; `labrunner trace` and proxy-config show what it knows")
    raise CommandError(f'unknown dashboard "{name}"' if name else "specify a dashboard: " + ", ".join(_DASHBOARDS))
