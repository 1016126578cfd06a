"""NetworkPolicies, Ingresses and their classes. Source: k8s.io/kubernetes pkg/apis/networking/validation."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import names
from labrunner.sandbox.kube.schema.validation.common_fields import (
    Obj,
    immutable,
    label_selector,
    named,
    port_number,
    port_number_or_name,
    required_name,
)

_PROTOCOLS = ["TCP", "UDP", "SCTP"]
_PATH_TYPES = ["Exact", "ImplementationSpecific", "Prefix"]
_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def network_policy(obj: Obj, _old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = label_selector("spec.podSelector", spec.get("podSelector"))
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or []):
            where = f"spec.{direction}[{index}]"
            for position, port in enumerate(rule.get("ports") or []):
                errors += _policy_port(port, f"{where}.ports[{position}]")
            for position, peer in enumerate(rule.get(peers) or []):
                errors += _peer(peer, f"{where}.{peers}[{position}]")
    kinds = spec.get("policyTypes") or []
    if len(kinds) > 2:
        errors.append(field.invalid("spec.policyTypes", kinds, "may not specify more than two policyTypes"))
        return errors
    for index, kind in enumerate(kinds):
        if kind not in ("Ingress", "Egress"):
            errors.append(field.unsupported(f"spec.policyTypes[{index}]", kind, ["Egress", "Ingress"]))
    return errors


def _policy_port(port: Obj, path: str) -> list[FieldError]:
    protocol = port.get("protocol")
    errors = (
        [] if protocol in (None, *_PROTOCOLS) else [field.unsupported(f"{path}.protocol", protocol, sorted(_PROTOCOLS))]
    )
    number, end = port.get("port"), port.get("endPort")
    if number is not None:
        errors += port_number_or_name(f"{path}.port", number)
        if end is not None:
            if isinstance(number, str):
                text = "may not be specified when `port` is non-numeric"
                errors.append(field.invalid(f"{path}.endPort", end, text))
            elif end < number:
                text = "must be greater than or equal to `port`"
                errors.append(field.invalid(f"{path}.endPort", end, text))
            else:
                errors += port_number(f"{path}.endPort", end)
    elif end is not None:
        errors.append(field.invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified"))
    return errors


def _peer(peer: Obj, path: str) -> list[FieldError]:
    errors = label_selector(f"{path}.podSelector", peer.get("podSelector"))
    errors += label_selector(f"{path}.namespaceSelector", peer.get("namespaceSelector"))
    if "ipBlock" in peer:
        errors += _ip_block(peer["ipBlock"], f"{path}.ipBlock")
    if not peer:
        errors.append(field.required(path, "must specify a peer"))
    elif "ipBlock" in peer and len(peer) > 1:
        errors.append(field.forbidden(path, "may not specify both ipBlock and another peer"))
    return errors


def _ip_block(block: Obj, path: str) -> list[FieldError]:
    cidr = block.get("cidr", "")
    if not cidr:
        return [field.required(f"{path}.cidr")]
    outer = _network(cidr)
    if outer is None:
        return [field.invalid(f"{path}.cidr", cidr, _CIDR)]
    errors: list[FieldError] = []
    for index, text in enumerate(block.get("except") or []):
        where = f"{path}.except[{index}]"
        inner = _network(text)
        if inner is None:
            errors.append(field.invalid(where, text, _CIDR))
        elif inner.version != outer.version or inner == outer or not inner.subnet_of(outer):  # type: ignore[arg-type]
            errors.append(field.invalid(where, text, "must be a strict subset of `cidr`"))
    return errors


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def ingress(obj: Obj, _old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    rules, default = spec.get("rules") or [], spec.get("defaultBackend")
    errors: list[FieldError] = []
    if not rules and default is None:
        text = "either `defaultBackend` or `rules` must be specified"
        errors.append(field.invalid("spec", spec.get("rules") or None, text))
    if default is not None:
        errors += _backend(default, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        errors += _rule(rule, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.get("tls") or []):
        for position, host in enumerate(tls.get("hosts") or []):
            errors += _host(host, f"spec.tls[{index}].hosts[{position}]")
        if tls.get("secretName"):
            errors += named(f"spec.tls[{index}].secretName", tls["secretName"], names.dns1123_subdomain)
    if spec.get("ingressClassName") is not None:
        errors += named("spec.ingressClassName", spec["ingressClassName"], names.dns1123_subdomain)
    return errors


def _host(host: str, path: str) -> list[FieldError]:
    return named(path, host, names.wildcard_subdomain if "*" in host else names.dns1123_subdomain)


def _rule(rule: Obj, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if host := rule.get("host"):
        if _is_ip(host):
            errors.append(field.invalid(f"{path}.host", host, "must be a DNS name, not an IP address"))
        errors += _host(host, f"{path}.host")
    http = rule.get("http")
    if http is None:
        return errors
    if not http.get("paths"):
        return [*errors, field.required(f"{path}.http.paths")]
    for index, item in enumerate(http["paths"]):
        errors += _path(item, f"{path}.http.paths[{index}]")
    return errors


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _path(item: Obj, path: str) -> list[FieldError]:
    kind, value = item.get("pathType"), item.get("path", "")
    errors: list[FieldError] = []
    if kind is None:
        return [field.required(f"{path}.pathType", "pathType must be specified")]
    if kind in ("Exact", "Prefix"):
        if not value.startswith("/"):
            errors.append(field.invalid(f"{path}.path", value, "must be an absolute path"))
        if value:
            for bad in ("//", "/./", "/../", "%2f", "%2F"):
                if bad in value:
                    errors.append(field.invalid(f"{path}.path", value, f"must not contain '{bad}'"))
            for bad in ("/..", "/."):
                if value.endswith(bad):
                    errors.append(field.invalid(f"{path}.path", value, f"cannot end with '{bad}'"))
    elif kind == "ImplementationSpecific":
        if value and not value.startswith("/"):
            errors.append(field.invalid(f"{path}.path", value, "must be an absolute path"))
    else:
        errors.append(field.unsupported(f"{path}.pathType", kind, _PATH_TYPES))
    return errors + _backend(item.get("backend") or {}, f"{path}.backend")


def _backend(backend: Obj, path: str) -> list[FieldError]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [field.invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return [field.required(f"{path}.resource.{k}") for k in ("kind", "name") if not resource.get(k)]
    if service is None:
        return [field.required(path, "resource or service backend is required")]
    errors = required_name(f"{path}.service.name", service.get("name", ""), names.dns1123_label)
    port = service.get("port") or {}
    name, number = port.get("name"), port.get("number")
    if name and number:
        errors.append(field.invalid(path, "", "cannot set both port name & port number"))
    elif name:
        errors += named(f"{path}.service.port.name", name, names.port_name)
    elif number:
        errors += port_number(f"{path}.service.port.number", number)
    else:
        errors.append(field.required(path, "port name or number is required"))
    return errors


def ingress_class(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors: list[FieldError] = []
    controller = spec.get("controller", "")
    if old is None and not controller:
        errors.append(field.required("spec.controller"))
    elif "/" not in controller:
        text = 'must be a domain-prefixed path (such as "acme.io/foo")'
        errors.append(field.invalid("spec.controller", controller, text))
    if old is not None:
        errors += immutable("spec.controller", controller, (old.get("spec") or {}).get("controller", ""))
    return errors
