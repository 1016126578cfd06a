"""Host names as Istio reads them: short names, wildcards, visibility.

Source: pkg/config/host of istio/istio and the exportTo fields' reference.
"""

from __future__ import annotations

from collections.abc import Iterable

from labrunner.sandbox.mesh.model import Config, Service

DOMAIN = "svc.cluster.local"


def full_name(host: str, namespace: str) -> str:
    """A name without a dot is a Service of the resource's own namespace; every other name stands as it is."""
    return f"{host}.{namespace}.{DOMAIN}" if host and "." not in host and host != "*" else host


def matches(pattern: str, host: str) -> bool:
    """Whether a host, possibly a wildcard itself, falls under `pattern`."""
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return host.removeprefix("*").endswith(pattern[1:])
    return pattern == host


def specificity(pattern: str) -> tuple[int, int]:
    """Sorts the most specific first: exact names, then longer wildcards."""
    return (1 if pattern.startswith("*") else 0, -len(pattern))


def visible(export_to: Iterable[str], owner: str, viewer: str) -> bool:
    """Whether something exported so by namespace `owner` can be seen from `viewer`."""
    scopes = tuple(export_to) or ("*",)
    return "*" in scopes or viewer in scopes or ("." in scopes and owner == viewer)


def config_visible(config: Config, viewer: str) -> bool:
    spec = config.get("spec") or {}
    return visible(spec.get("exportTo") or ("*",), config["metadata"].get("namespace", ""), viewer)


def domains(service: Service, port: int, viewer: str) -> list[str]:
    """Every `Host` header by which a client in namespace `viewer` can mean this service and port."""
    names = [service.host]
    if service.host.endswith(f".{DOMAIN}"):
        short = f"{service.name}.{service.namespace}"
        names += [short, f"{short}.svc", f"{short}.svc.cluster"]
        if service.namespace == viewer:
            names.append(service.name)
    names += service.addresses
    return [form for name in dict.fromkeys(names) for form in (name, f"{name}:{port}")]
