"""Services and endpoints. Source: k8s.io/kubernetes pkg/apis/core/validation/validation.go, ValidateService."""

from __future__ import annotations

from ipaddress import ip_address

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import go_struct, metadata, names
from labrunner.sandbox.kube.schema.validation.common_fields import (
    PROTOCOLS,
    Obj,
    immutable,
    named,
    one_of,
    port_number,
    port_number_or_name,
)

_TYPES = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
_AFFINITIES = ["ClientIP", "None"]
_POLICIES = ["Cluster", "Local"]
_KUBELET = 10250
_NODE_PORTS = range(30000, 32768)
_DAY = 86400


def service(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    kind, ports = spec.get("type", ""), spec.get("ports") or []
    errors = _addresses(spec, (old or {}).get("spec") or {}) if old is not None else []
    headless = spec.get("clusterIP") == "None"
    if not ports and not headless and kind != "ExternalName":
        errors.append(field.required("spec.ports"))
    errors += _by_type(spec, kind, headless)
    errors += _ports(ports, "spec.ports")
    errors += metadata.labels(spec.get("selector") or {}, "spec.selector")
    errors += one_of("spec.sessionAffinity", spec.get("sessionAffinity", ""), _AFFINITIES)
    errors += _session(spec)
    for index, address in enumerate(spec.get("externalIPs") or []):
        errors += ip(f"spec.externalIPs[{index}]", address)
    errors += one_of("spec.type", kind, _TYPES)
    errors += _duplicate_ports(ports, "spec.ports")
    errors += _traffic(spec, kind)
    if old is None and not headless and spec.get("clusterIP"):
        errors += ip("spec.clusterIPs[0]", spec["clusterIP"])
    return errors


def ip(path: str, value: str) -> list[FieldError]:
    try:
        ip_address(value)
    except ValueError:
        text = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        return [field.invalid(path, value, text)]
    return []


def _addresses(spec: Obj, before: Obj) -> list[FieldError]:
    """The cluster IP stays, unless the Service was or becomes an ExternalName."""
    if "ExternalName" in (spec.get("type"), before.get("type")):
        return []
    old = before.get("clusterIPs") or ([before["clusterIP"]] if before.get("clusterIP") else [])
    new = spec.get("clusterIPs") or []
    if spec.get("clusterIP") and spec.get("clusterIP") != before.get("clusterIP") and new == old:
        new = [spec["clusterIP"]]
    if old and new and new[0] != old[0]:
        return [field.invalid("spec.clusterIPs[0]", new, "may not change once set")]
    return []


def _by_type(spec: Obj, kind: str, headless: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if kind == "LoadBalancer":
        for index, port in enumerate(spec.get("ports") or []):
            if port.get("port") == _KUBELET:
                text = f"may not expose port {_KUBELET} externally since it is used by kubelet"
                errors.append(field.invalid(f"spec.ports[{index}]", _KUBELET, text))
    if kind in ("LoadBalancer", "NodePort") and headless:
        text = f"may not be set to 'None' for {kind} services"
        errors.append(field.invalid("spec.clusterIPs[0]", "None", text))
    if kind == "ExternalName":
        for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(key):
                errors.append(field.forbidden(f"spec.{key}", "may not be set for ExternalName services"))
        name = spec.get("externalName", "").removesuffix(".")
        if name:
            errors += named("spec.externalName", name, names.dns1123_subdomain)
        else:
            errors.append(field.required("spec.externalName"))
    return errors


def _ports(ports: list[Obj], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        where, name = f"{path}[{index}]", port.get("name", "")
        if name:
            errors += named(f"{where}.name", name, names.dns1123_label)
            if name in seen:
                errors.append(field.duplicate(f"{where}.name", name))
            seen.add(name)
        elif len(ports) > 1:
            errors.append(field.required(f"{where}.name"))
        errors += port_number(f"{where}.port", port.get("port", 0))
        errors += one_of(f"{where}.protocol", port.get("protocol", ""), PROTOCOLS)
        errors += port_number_or_name(f"{where}.targetPort", port.get("targetPort", 0))
        if port.get("appProtocol"):
            errors += named(f"{where}.appProtocol", port["appProtocol"], names.qualified_name)
        if port.get("nodePort") and port["nodePort"] not in _NODE_PORTS:
            text = "provided port is not in the valid range. The range of valid ports is 30000-32767"
            errors.append(field.invalid(f"{where}.nodePort", port["nodePort"], text))
    return errors


def _duplicate_ports(ports: list[Obj], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        key = (port.get("protocol", ""), port.get("port", 0))
        if key in seen:
            key_port = go_struct.shown("ServicePort", {"protocol": key[0], "port": key[1]})
            errors.append(field.duplicate(f"{path}[{index}]", key_port))
        seen.add(key)
    return errors


def _session(spec: Obj) -> list[FieldError]:
    config = spec.get("sessionAffinityConfig")
    if spec.get("sessionAffinity") != "ClientIP":
        if config is not None:
            text = "must not be set when session affinity is None"
            return [field.forbidden("spec.sessionAffinityConfig", text)]
        return []
    seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds", 1)
    if not 1 <= seconds <= _DAY:
        where = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        return [field.invalid(where, seconds, f"must be greater than 0 and less than {_DAY}")]
    return []


def _traffic(spec: Obj, kind: str) -> list[FieldError]:
    errors: list[FieldError] = []
    external = spec.get("externalTrafficPolicy")
    if external is not None:
        if kind not in ("LoadBalancer", "NodePort") and not spec.get("externalIPs"):
            text = "may only be set for externally-accessible services"
            errors.append(field.invalid("spec.externalTrafficPolicy", external, text))
        else:
            errors += one_of("spec.externalTrafficPolicy", external, _POLICIES)
    internal = spec.get("internalTrafficPolicy")
    if internal is not None:
        errors += one_of("spec.internalTrafficPolicy", internal, _POLICIES)
    return errors


def endpoints(obj: Obj, _old: Obj | None) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, subset in enumerate(obj.get("subsets") or []):
        where = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errors.append(field.required(where, "must specify `addresses` or `notReadyAddresses`"))
        for key in ("addresses", "notReadyAddresses"):
            for position, address in enumerate(subset.get(key) or []):
                errors += ip(f"{where}.{key}[{position}].ip", address.get("ip", ""))
        for position, port in enumerate(subset.get("ports") or []):
            below = f"{where}.ports[{position}]"
            if port.get("name"):
                errors += named(f"{below}.name", port["name"], names.dns1123_label)
            elif len(subset["ports"]) > 1:
                errors.append(field.required(f"{below}.name"))
            errors += port_number(f"{below}.port", port.get("port", 0))
            errors += one_of(f"{below}.protocol", port.get("protocol", ""), PROTOCOLS)
    return errors


def endpoint_slice(obj: Obj, old: Obj | None) -> list[FieldError]:
    errors: list[FieldError] = []
    family = obj.get("addressType", "")
    errors += one_of("addressType", family, ["FQDN", "IPv4", "IPv6"])
    for index, endpoint in enumerate(obj.get("endpoints") or []):
        if not endpoint.get("addresses"):
            errors.append(field.required(f"endpoints[{index}].addresses", "must contain at least 1 address"))
        for position, address in enumerate(endpoint.get("addresses") or []):
            where = f"endpoints[{index}].addresses[{position}]"
            errors += ip(where, address) if family in ("IPv4", "IPv6") else []
    if old is not None:
        errors += immutable("addressType", family, old.get("addressType"))
    return errors
