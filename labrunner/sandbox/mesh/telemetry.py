"""What Telemetry resources say of one proxy: how much is traced, with which tags, and what its access log has.

Source: pilot/pkg/model/telemetry.go and the Telemetry reference. The root namespace's holds for the mesh, then the
namespace's, then the one that selects the workload; what a nearer one sets replaces what a wider one has set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labrunner.sandbox.mesh.access_log import TAG
from labrunner.sandbox.mesh.model import Config, Workload, World

_LOG_PROVIDERS = ("envoy", "stdout")


@dataclass(frozen=True, slots=True)
class Tracing:
    """`tags`: custom tags whose value is known without the request: literals and the proxy's environment."""

    percentage: float = 1.0
    disabled: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Custom tags from request headers: tag -> (header, value when it is absent)."""


@dataclass(frozen=True, slots=True)
class AccessLogging:
    enabled: bool = True
    expressions: tuple[str, ...] = ()
    """CEL over a request: only what all of them hold for is logged."""


def tracing_of(world: World, workload: Workload | None) -> Tracing:
    found = Tracing(world.mesh.sampling)
    if workload is None:
        return found
    for telemetry in telemetries_for(world, workload):
        for each in (telemetry.get("spec") or {}).get("tracing") or ():
            custom: Mapping[str, Any] | None = each.get("customTags")
            tags, headers = found.tags, found.headers
            if custom:
                tags, headers = _fixed(custom, world, workload), _from_headers(custom)
            found = Tracing(
                float(each.get("randomSamplingPercentage", found.percentage)),
                bool(each.get("disableSpanReporting", found.disabled)),
                tags,
                headers,
            )
    return found


def access_logging_of(world: World, workload: Workload) -> AccessLogging:
    found = AccessLogging(world.mesh.access_log)
    for telemetry in telemetries_for(world, workload):
        for each in (telemetry.get("spec") or {}).get("accessLogging") or ():
            providers = [p.get("name", "") for p in each.get("providers") or ()]
            if providers and not set(providers) & set(_LOG_PROVIDERS):
                continue
            expression = (each.get("filter") or {}).get("expression", "")
            found = AccessLogging(not each.get("disabled", False), (expression,) if expression else ())
    return found


def telemetries_for(world: World, workload: Workload) -> Iterator[Config]:
    """Those that hold for this proxy, the widest first."""
    for namespace in dict.fromkeys((world.mesh.root_namespace, workload.namespace)):
        for own in (False, True):
            for telemetry in world.of("Telemetry", namespace):
                labels = ((telemetry.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
                picked = all(workload.labels.get(key) == value for key, value in labels.items())
                if bool(labels) is own and picked:
                    yield telemetry


def log_fields(world: World, proxy: Workload, direction: str, port: int | str) -> dict[str, str]:
    """What every line of this proxy's HTTP access log carries: whose it is, and the tags that come from headers."""
    found = {"proxy": proxy.key, "direction": direction, "port": str(port)}
    if world.configs.get("Telemetry"):
        for tag, (header, _) in tracing_of(world, proxy).headers.items():
            found[f"{TAG}{tag}"] = f"%REQ({header.upper()})%"
    return found


def _fixed(custom: Mapping[str, Any], world: World, workload: Workload) -> dict[str, str]:
    found = {}
    environment = environment_of(world, workload)
    for name, tag in custom.items():
        if "literal" in tag:
            found[name] = str(tag["literal"].get("value", ""))
        elif "environment" in tag:
            each = tag["environment"]
            value = environment.get(each.get("name", ""), each.get("defaultValue", ""))
            if value:
                found[name] = str(value)
    return found


def _from_headers(custom: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        name: (str(tag["header"].get("name", "")), str(tag["header"].get("defaultValue", "")))
        for name, tag in custom.items()
        if (tag.get("header") or {}).get("name")
    }


def environment_of(world: World, workload: Workload) -> dict[str, str]:
    """The variables that injection gives every istio-proxy. Source: Istio's injection template."""
    return {
        "POD_NAME": workload.name,
        "POD_NAMESPACE": workload.namespace,
        "INSTANCE_IP": workload.ip,
        "SERVICE_ACCOUNT": workload.service_account,
        "TRUST_DOMAIN": world.mesh.trust_domain,
        "ISTIO_META_MESH_ID": world.mesh.trust_domain,
        "ISTIO_META_CLUSTER_ID": "Kubernetes",
        "CREDENTIAL_FETCHER_TYPE": "",
    }
