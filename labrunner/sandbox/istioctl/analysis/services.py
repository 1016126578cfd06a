"""Services and the Deployments behind them."""

from __future__ import annotations

from collections.abc import Iterator

from labrunner.sandbox.istioctl.analysis.cluster import Cluster, is_system, selected, target_ports
from labrunner.sandbox.istioctl.analysis.message import Message, go_list, message

_PREFIXES = (
    "http", "http2", "https", "grpc", "grpc-web", "tcp", "tls", "udp", "mongo", "mysql", "redis", "hbone", "thrift",
)  # fmt: skip
_UNNAMED_PORTS = (22, 25, 53, 3306, 27017)


def analyze(cluster: Cluster) -> Iterator[Message]:
    for service in cluster.all("Service"):
        meta, spec = service["metadata"], service["spec"]
        if is_system(meta["namespace"]) or (meta["namespace"], meta["name"]) == ("default", "kubernetes"):
            continue
        if spec.get("type") == "ExternalName":
            continue
        for port, target in target_ports(service):
            if port.get("protocol", "TCP") != "TCP" or port.get("appProtocol"):
                continue
            if not follows_convention(port.get("name", "")) and port["port"] not in _UNNAMED_PORTS:
                yield message("IST0118", service, port.get("name", ""), port["port"], target)
    yield from _deployments(cluster)


def follows_convention(name: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}-") for prefix in _PREFIXES)


def protocol(port: dict[str, object]) -> str:
    """Of a Service's port, as Istio selects it."""
    if port.get("protocol", "TCP") != "TCP":
        return str(port["protocol"])
    word = str(port.get("appProtocol") or str(port.get("name", "")).partition("-")[0]).lower()
    return {"http": "HTTP", "http2": "HTTP2", "grpc": "GRPC", "https": "HTTPS", "tls": "TLS"}.get(word, "TCP")


def _deployments(cluster: Cluster) -> Iterator[Message]:
    for deployment in cluster.all("Deployment"):
        meta = deployment["metadata"]
        if is_system(meta["namespace"]):
            continue
        labels = deployment["spec"]["template"]["metadata"].get("labels") or {}
        services = [
            s
            for s in cluster.all("Service", meta["namespace"])
            if s["spec"].get("selector") and selected(s["spec"]["selector"], labels)
        ]
        by_port: dict[int, dict[str, str]] = {}
        by_target: dict[str, dict[str, int]] = {}
        for service in services:
            name = service["metadata"]["name"]
            for port, target in target_ports(service):
                by_port.setdefault(port["port"], {})[name] = protocol(port)
                by_target.setdefault(str(target), {})[name] = port["port"]
        for number, protocols in sorted(by_port.items()):
            if len(set(protocols.values())) > 1:
                yield message("IST0116", deployment, meta["name"], number, go_list(sorted(protocols)))
        for target_port, numbers in sorted(by_target.items()):
            if len(set(numbers.values())) > 1:
                where = f'"{target_port}"'
                ports = go_list(sorted(set(numbers.values())))
                yield message("IST0137", deployment, meta["name"], go_list(sorted(numbers)), where, ports)


def service_entries(cluster: Cluster) -> Iterator[Message]:
    for entry in cluster.all("ServiceEntry"):
        spec = entry["spec"]
        if spec.get("addresses") or spec.get("resolution", "NONE") not in ("NONE", ""):
            continue
        if any(str(p.get("protocol", "")).upper() in ("", "TCP") for p in spec.get("ports") or ()):
            yield message("IST0134", entry)
