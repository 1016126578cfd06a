"""Webhook configurations, admission policies and their bindings, and APIServices."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages
from labrunner.sandbox.kube.printers.printer import (
    AGE,
    NAME,
    UNSET,
    Column,
    Obj,
    Printer,
    at,
    created,
    name_of,
    selector_text,
)

_GROUP = "admissionregistration.k8s.io"


def _webhooks(obj: Obj, ages: Ages) -> list[Any]:
    return [name_of(obj), len(obj.get("webhooks") or ()), ages(created(obj))]


def _policy(obj: Obj, ages: Ages, rules: str) -> list[Any]:
    kind = at(obj, "spec", "paramKind")
    text = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET
    return [name_of(obj), len(at(obj, "spec", rules, default=())), text, ages(created(obj))]


def _binding(obj: Obj, ages: Ages) -> list[Any]:
    reference = at(obj, "spec", "paramRef")
    text = UNSET
    if reference and reference.get("name"):
        text = f"{reference.get('namespace') or '*'}/{reference['name']}"
    elif reference and reference.get("selector") is not None:
        text = selector_text(reference["selector"])
    return [name_of(obj), at(obj, "spec", "policyName", default=""), text, ages(created(obj))]


def _api_service(obj: Obj, ages: Ages) -> list[Any]:
    service = at(obj, "spec", "service")
    available = "Unknown"
    for condition in at(obj, "status", "conditions", default=()):
        if condition.get("type") == "Available":
            available = condition.get("status", "")
            if available != "True" and condition.get("reason"):
                available = f"{available} ({condition['reason']})"
    where = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
    return [name_of(obj), where, available, ages(created(obj))]


_WEBHOOKS = Printer(
    (
        NAME,
        Column(
            "Webhooks", "Webhooks indicates the number of webhooks registered in this configuration", type="integer"
        ),
        AGE,
    ),
    _webhooks,
)
_PARAM_KIND = Column("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy")
_BINDING = Printer(
    (
        NAME,
        Column("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to"),
        Column("ParamRef", "ParamRef indicates the param resource which sets the configration param"),
        AGE,
    ),
    _binding,
)
PRINTERS = {
    f"{_GROUP}/MutatingWebhookConfiguration": _WEBHOOKS,
    f"{_GROUP}/ValidatingWebhookConfiguration": _WEBHOOKS,
    f"{_GROUP}/ValidatingAdmissionPolicy": Printer(
        (
            NAME,
            Column(
                "Validations",
                "Validations indicates the number of validation rules defined in this configuration",
                type="integer",
            ),
            _PARAM_KIND,
            AGE,
        ),
        lambda obj, ages: _policy(obj, ages, "validations"),
    ),
    f"{_GROUP}/MutatingAdmissionPolicy": Printer(
        (
            NAME,
            Column(
                "Mutations",
                "Mutation indicates the number of mutations rules defined in this configuration",
                type="integer",
            ),
            _PARAM_KIND,
            AGE,
        ),
        lambda obj, ages: _policy(obj, ages, "mutations"),
    ),
    f"{_GROUP}/ValidatingAdmissionPolicyBinding": _BINDING,
    f"{_GROUP}/MutatingAdmissionPolicyBinding": _BINDING,
    "apiregistration.k8s.io/APIService": Printer(
        (
            NAME,
            Column("Service", "The reference to the service that hosts this API endpoint."),
            Column("Available", "Whether this service is available."),
            AGE,
        ),
        _api_service,
    ),
}
