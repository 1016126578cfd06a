"""The Priority and DefaultTolerationSeconds plugins, and the tolerations every pod gets.

Source: plugin/pkg/admission/{priority,defaulttolerationseconds}/admission.go.
"""

from __future__ import annotations

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.request import AdmissionRequest
from labrunner.sandbox.kube.status import forbidden

_SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_SECONDS = 300


def priority(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
    """Resolves the pod's priorityClassName to its number, or takes the default class."""
    if request.kind.id != "Pod" or request.operation != "CREATE" or request.subresource:
        return obj
    spec = obj.get("spec") or {}
    name = spec.get("priorityClassName", "")
    value, policy = 0, "PreemptLowerPriority"
    if name:
        found = api.get("scheduling.k8s.io/PriorityClass", name)
        if found is None and name not in _SYSTEM:
            pod = request.name or obj["metadata"].get("generateName", "")
            raise forbidden("pods", "", pod, f"no PriorityClass with name {name} was found")
        value = found.get("value", 0) if found else _SYSTEM[name]
        policy = (found or {}).get("preemptionPolicy", policy)
    else:
        classes = [c for c in api.objects("scheduling.k8s.io/PriorityClass") if c.get("globalDefault")]
        if classes:
            default = min(classes, key=lambda c: int(c.get("value", 0)))
            spec["priorityClassName"], value = default["metadata"]["name"], default.get("value", 0)
            policy = default.get("preemptionPolicy", policy)
    if spec.get("priority") is not None and spec["priority"] != value:
        pod = request.name or obj["metadata"].get("generateName", "")
        why = (
            f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; priority admission"
            f" controller computed {value} from the given PriorityClass name"
        )
        raise forbidden("pods", "", pod, why)
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", policy)
    return obj


def default_tolerations(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
    """Five minutes on a node that is not ready or unreachable, unless the pod says otherwise."""
    if request.kind.id != "Pod" or request.subresource or request.operation != "CREATE":
        return obj
    tolerations = list((obj.get("spec") or {}).get("tolerations") or ())
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(t.get("key", "") in ("", key) and t.get("effect", "") in ("", "NoExecute") for t in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS})
    obj["spec"]["tolerations"] = tolerations
    return obj
