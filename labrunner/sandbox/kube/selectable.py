"""Which fields of a kind `--field-selector` can select, and their values.

Source: the field label conversion functions under pkg/apis/*/v*/conversion.go and the kinds' strategies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.selectors import Matcher, parse_fields
from labrunner.sandbox.kube.status import bad_request

Value = Callable[[Obj], str]


def _at(*path: str, default: str = "") -> Value:
    def value(obj: Obj) -> str:
        found: Any = obj
        for step in path:
            found = found.get(step) if isinstance(found, Mapping) else None
        if found is None:
            return default
        if isinstance(found, bool):
            return "true" if found else "false"
        return str(found)

    return value


_GENERIC: dict[str, Value] = {
    "metadata.name": _at("metadata", "name"),
    "metadata.namespace": _at("metadata", "namespace"),
}

_EVENT_FIELDS = {
    f"involvedObject.{name}": _at("involvedObject", name)
    for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
} | {
    "reason": _at("reason"),
    "reportingComponent": _at("reportingComponent"),
    "source": lambda obj: str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or ""),
    "type": _at("type"),
}

_FIELDS: dict[str, dict[str, Value]] = {
    "Pod": {
        "spec.nodeName": _at("spec", "nodeName"),
        "spec.restartPolicy": _at("spec", "restartPolicy"),
        "spec.schedulerName": _at("spec", "schedulerName"),
        "spec.serviceAccountName": _at("spec", "serviceAccountName"),
        "spec.hostNetwork": _at("spec", "hostNetwork", default="false"),
        "status.phase": _at("status", "phase"),
        "status.podIP": _at("status", "podIP"),
        "status.podIPs": _at("status", "podIP"),
        "status.nominatedNodeName": _at("status", "nominatedNodeName"),
    },
    "Event": _EVENT_FIELDS,
    "events.k8s.io/Event": _EVENT_FIELDS
    | {f"regarding.{key.partition('.')[2]}": value for key, value in _EVENT_FIELDS.items() if "." in key}
    | {"reportingController": _at("reportingComponent")},
    "Secret": {"type": _at("type")},
    "Namespace": {"status.phase": _at("status", "phase"), "name": _at("metadata", "name")},
    "Node": {"spec.unschedulable": _at("spec", "unschedulable", default="false")},
    "Service": {"spec.clusterIP": _at("spec", "clusterIP"), "spec.type": _at("spec", "type")},
    "ReplicationController": {"status.replicas": _at("status", "replicas", default="0")},
    "apps/ReplicaSet": {"status.replicas": _at("status", "replicas", default="0")},
    "batch/Job": {"status.successful": _at("status", "succeeded", default="0")},
    "certificates.k8s.io/CertificateSigningRequest": {"spec.signerName": _at("spec", "signerName")},
}

_OWN_MESSAGE = frozenset(
    {"Pod", "Event", "Secret", "Namespace", "Node", "Service", "ReplicationController", "batch/Job"}
) | {"apps/ReplicaSet", "certificates.k8s.io/CertificateSigningRequest", "events.k8s.io/Event"}


def fields_matcher(kind: Kind, text: str, selectable: Mapping[str, str] | None = None) -> Matcher | None:
    """A predicate for a field selector; None when it selects everything. Raises ApiError 400 for an unknown field.

    `selectable`: a CRD's selectableFields, name -> path.
    """
    known = _FIELDS.get(kind.id, {}) | _GENERIC
    if selectable:
        known |= {name: _at(*path.lstrip(".").split(".")) for name, path in selectable.items()}
    terms: list[tuple[Value, bool, str]] = []
    for term in parse_fields(text):
        value = known.get(term.field)
        if value is None:
            raise bad_request(_unknown(kind, term.field))
        terms.append((value, term.equal, term.value))
    if not terms:
        return None
    return lambda obj: all((value(obj) == wanted) == equal for value, equal, wanted in terms)


def _unknown(kind: Kind, label: str) -> str:
    if kind.custom:
        return f"field label not supported: {label}"
    if kind.id in _OWN_MESSAGE:
        return f"field label not supported: {label}"
    return f'"{label}" is not a known field selector: only "metadata.name", "metadata.namespace"'
