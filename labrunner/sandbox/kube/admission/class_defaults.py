"""The RuntimeClass and DefaultIngressClass plugins: what a class adds to the objects that use it.

Source: plugin/pkg/admission/{runtimeclass,network/defaultingressclass}/admission.go.
"""

from __future__ import annotations

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.request import AdmissionRequest
from labrunner.sandbox.kube.status import forbidden

_DEFAULT_INGRESS = "ingressclass.kubernetes.io/is-default-class"
_CLASS_ANNOTATION = "kubernetes.io/ingress.class"


def runtime_class(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
    """A pod's RuntimeClass must exist; its overhead, node selector and tolerations become the pod's."""
    if request.kind.id != "Pod" or request.operation != "CREATE" or request.subresource:
        return obj
    spec = obj.get("spec") or {}
    name = spec.get("runtimeClassName")
    if not name:
        return obj
    pod = request.name or obj["metadata"].get("generateName", "")
    found = api.get("node.k8s.io/RuntimeClass", name)
    if found is None:
        raise forbidden("pods", "", pod, f'pod rejected: RuntimeClass "{name}" not found')
    overhead = (found.get("overhead") or {}).get("podFixed")
    if overhead:
        spec["overhead"] = dict(overhead)
    scheduling = found.get("scheduling") or {}
    selector = dict(spec.get("nodeSelector") or {})
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if selector.setdefault(key, value) != value:
            raise forbidden(
                "pods",
                "",
                pod,
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {selector[key]}",
            )
    if selector:
        spec["nodeSelector"] = selector
    tolerations = list(spec.get("tolerations") or ())
    tolerations += [t for t in scheduling.get("tolerations") or () if t not in tolerations]
    if tolerations:
        spec["tolerations"] = tolerations
    return obj


def default_ingress_class(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
    """An Ingress that names no class gets the default one."""
    if request.kind.id != "networking.k8s.io/Ingress" or request.operation != "CREATE" or request.subresource:
        return obj
    spec = obj.get("spec") or {}
    named = spec.get("ingressClassName") is not None
    if named or _CLASS_ANNOTATION in (obj["metadata"].get("annotations") or {}):
        return obj
    defaults = [
        found["metadata"]
        for found in api.objects("networking.k8s.io/IngressClass")
        if (found["metadata"].get("annotations") or {}).get(_DEFAULT_INGRESS) == "true"
    ]
    if defaults:
        youngest = min(defaults, key=lambda meta: (_inverted(meta["creationTimestamp"]), meta["name"]))
        obj.setdefault("spec", {})["ingressClassName"] = youngest["name"]
    return obj


def _inverted(text: str) -> tuple[int, ...]:
    """Orders later timestamps first."""
    return tuple(-ord(character) for character in text)
