"""Ingresses, IngressClasses, NetworkPolicies, ServiceCIDRs and IPAddresses."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import (
    AGE,
    NAME,
    NONE,
    Column,
    Obj,
    Printer,
    at,
    created,
    name_marked,
    name_of,
    selector_text,
)
from labrunner.sandbox.kube.printers.service import load_balancer

_HOSTS_SHOWN = 3


def _hosts(rules: list[Obj]) -> str:
    shown: list[str] = []
    more = False
    for rule in rules:
        more = more or len(shown) == _HOSTS_SHOWN
        if not more and rule.get("host"):
            shown.append(rule["host"])
    text = ",".join(shown) or "*"
    return f"{text} + {len(rules) - _HOSTS_SHOWN} more..." if more else text


def _ingress(obj: Obj, ages: Ages) -> list[Any]:
    spec = at(obj, "spec", default={})
    return [
        name_of(obj),
        spec.get("ingressClassName") or NONE,
        _hosts(spec.get("rules") or []),
        load_balancer(obj),
        "80, 443" if spec.get("tls") else "80",
        ages(created(obj)),
    ]


def _ingress_class(obj: Obj, ages: Ages) -> list[Any]:
    parameters = at(obj, "spec", "parameters")
    text = NONE
    if parameters:
        group = parameters.get("apiGroup")
        text = f"{parameters.get('kind', '')}{f'.{group}' if group is not None else ''}/{parameters.get('name', '')}"
    return [name_marked(obj, "ingressclass"), at(obj, "spec", "controller", default=""), text, ages(created(obj))]


def _network_policy(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), selector_text(at(obj, "spec", "podSelector")), ages(created(obj))]


def _service_cidr(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), ",".join(at(obj, "spec", "cidrs", default=())), ages(created(obj))]


def _ip_address(obj: Obj, ages: Ages) -> list[Any]:
    parent = at(obj, "spec", "parentRef")
    text = NONE
    if parent:
        group, namespace = parent.get("group"), parent.get("namespace")
        resource = f"{parent.get('resource', '')}.{group}" if group else parent.get("resource", "")
        text = f"{resource.lower()}{f'/{namespace}' if namespace else ''}/{parent.get('name', '')}"
    return [name_of(obj), text, ages(created(obj))]


PRINTERS = {
    "networking.k8s.io/Ingress": Printer(
        (
            NAME,
            Column("Class", "The name of the IngressClass resource that should be used for additional configuration"),
            Column("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
            Column("Address", "Address is a list containing ingress points for the load-balancer"),
            Column("Ports", "Ports of TLS configurations that open"),
            AGE,
        ),
        _ingress,
    ),
    "networking.k8s.io/IngressClass": Printer(
        (
            NAME,
            Column("Controller", "Controller that is responsible for handling this class"),
            Column("Parameters", "A reference to a resource with additional parameters"),
            AGE,
        ),
        _ingress_class,
    ),
    "networking.k8s.io/NetworkPolicy": Printer(
        (NAME, Column("Pod-Selector", "@networking.v1.NetworkPolicySpec.podSelector"), AGE), _network_policy
    ),
    "networking.k8s.io/ServiceCIDR": Printer(
        (NAME, Column("CIDRs", "@networking.v1.ServiceCIDRSpec.cidrs"), AGE), _service_cidr
    ),
    "networking.k8s.io/IPAddress": Printer(
        (NAME, Column("ParentRef", "@networking.v1.IPAddressSpec.parentRef"), AGE), _ip_address
    ),
}
