"""The LimitRanger plugin: defaults from a namespace's LimitRanges, then their limits.

Source: plugin/pkg/admission/limitranger/admission.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.request import AdmissionRequest
from labrunner.sandbox.kube.schema.quantity import Quantity, parse
from labrunner.sandbox.kube.status import forbidden

_ANNOTATION = "kubernetes.io/limit-ranger"
Resources = dict[str, dict[str, str]]


def limit_ranger(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
    """Fills in requests and limits, and refuses what is outside a LimitRange, with every reason."""
    if request.subresource or request.operation not in ("CREATE", "UPDATE"):
        return obj
    if request.kind.id not in ("Pod", "PersistentVolumeClaim"):
        return obj
    if request.kind.id == "Pod" and request.operation == "UPDATE":
        return obj
    ranges = api.objects("LimitRange", request.namespace)
    if not ranges:
        return obj
    problems: list[str] = []
    for found in ranges:
        limits = (found.get("spec") or {}).get("limits") or ()
        if request.kind.id == "Pod" and request.operation == "CREATE":
            _default(obj, found["metadata"]["name"], limits)
        for limit in limits:
            problems += _problems(request.kind.id, obj, limit)
    if problems:
        name = request.name or obj["metadata"].get("generateName", "")
        said = problems[0] if len(problems) == 1 else f"[{', '.join(dict.fromkeys(problems))}]"
        raise forbidden(request.kind.plural, "", name, said)
    return obj


def _default(pod: Obj, range_name: str, limits: Any) -> None:
    requests: dict[str, str] = {}
    ceilings: dict[str, str] = {}
    for limit in limits:
        if limit.get("type") == "Container":
            requests |= limit.get("defaultRequest") or {}
            ceilings |= limit.get("default") or {}
    said = []
    for word, key in (("container", "containers"), ("init container", "initContainers")):
        for container in pod["spec"].get(key) or ():
            resources = container.setdefault("resources", {})
            set_ = {}
            for field, values in (("requests", requests), ("limits", ceilings)):
                have = dict(resources.get(field) or {})
                if field == "requests":
                    # What only has a limit asks for that much: a default request does not undercut it.
                    have |= {k: v for k, v in (resources.get("limits") or {}).items() if k not in have}
                missing = {name: value for name, value in values.items() if name not in have}
                if missing:
                    resources[field] = have | missing
                    set_[field] = sorted(missing)
            for field, shown in (("requests", "request"), ("limits", "limit")):
                if names := set_.get(field):
                    said.append(f"{', '.join(names)} {shown} for {word} {container['name']}")
    if said:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations[_ANNOTATION] = f"LimitRanger plugin set: {'; '.join(said)}"


def _problems(kind_id: str, obj: Obj, limit: dict[str, Any]) -> list[str]:
    scope = limit.get("type", "")
    found: list[str] = []
    if kind_id == "PersistentVolumeClaim":
        if scope == "PersistentVolumeClaim":
            resources = (obj.get("spec") or {}).get("resources") or {}
            for bound, check in (("min", _minimum), ("max", _maximum_request)):
                found += [p for name, v in (limit.get(bound) or {}).items() if (p := check(scope, name, v, resources))]
        return found
    containers = [*(obj["spec"].get("initContainers") or ()), *(obj["spec"].get("containers") or ())]
    if scope == "Container":
        for container in containers:
            found += _bounds(scope, limit, container.get("resources") or {})
    elif scope == "Pod":
        found += _bounds(scope, limit, _sum(obj["spec"]))
    return found


def _bounds(scope: str, limit: dict[str, Any], resources: Resources) -> list[str]:
    checks: tuple[tuple[str, Callable[[str, str, str, Resources], str]], ...] = (
        ("min", _minimum), ("max", _maximum), ("maxLimitRequestRatio", _ratio),
    )  # fmt: skip
    return [
        problem
        for bound, check in checks
        for name, value in (limit.get(bound) or {}).items()
        if (problem := check(scope, name, value, resources))
    ]


def _minimum(scope: str, name: str, bound: str, resources: Resources) -> str:
    request, ceiling = (resources.get("requests") or {}).get(name), (resources.get("limits") or {}).get(name)
    if request is None:
        return f"minimum {name} usage per {scope} is {bound}.  No request is specified"
    if _less(request, bound):
        return f"minimum {name} usage per {scope} is {bound}, but request is {request}"
    if ceiling is not None and _less(ceiling, bound):
        return f"minimum {name} usage per {scope} is {bound}, but limit is {ceiling}"
    return ""


def _maximum(scope: str, name: str, bound: str, resources: Resources) -> str:
    request, ceiling = (resources.get("requests") or {}).get(name), (resources.get("limits") or {}).get(name)
    if ceiling is None:
        return f"maximum {name} usage per {scope} is {bound}.  No limit is specified"
    if _less(bound, ceiling):
        return f"maximum {name} usage per {scope} is {bound}, but limit is {ceiling}"
    if request is not None and _less(bound, request):
        return f"maximum {name} usage per {scope} is {bound}, but request is {request}"
    return ""


def _maximum_request(scope: str, name: str, bound: str, resources: Resources) -> str:
    request = (resources.get("requests") or {}).get(name)
    if request is None:
        return f"maximum {name} usage per {scope} is {bound}.  No request is specified"
    if _less(bound, request):
        return f"maximum {name} usage per {scope} is {bound}, but request is {request}"
    return ""


def _ratio(scope: str, name: str, bound: str, resources: Resources) -> str:
    request, ceiling = (resources.get("requests") or {}).get(name), (resources.get("limits") or {}).get(name)
    if request is None or ceiling is None or not parse(request).value:
        asked = "limit" if request is not None and parse(request).value else "request"
        return f"{name} max limit to request ratio per {scope} is {bound}, but no {asked} is specified or {asked} is 0"
    observed = parse(ceiling).value / parse(request).value
    if observed > parse(bound).value:
        return f"{name} max limit to request ratio per {scope} is {bound}, but provided ratio is {observed:.6f}"
    return ""


def _less(one: str, other: str) -> bool:
    return parse(one).value < parse(other).value


def _sum(spec: dict[str, Any]) -> Resources:
    """The pod's own requests and limits: the sum of its containers, or its biggest init container."""
    total: Resources = {}
    for field in ("requests", "limits"):
        added: dict[str, Quantity] = {}
        for container in spec.get("containers") or ():
            for name, text in ((container.get("resources") or {}).get(field) or {}).items():
                more, so_far = parse(text), added.get(name)
                added[name] = Quantity(so_far.value + more.value, so_far.format) if so_far else more
        for container in spec.get("initContainers") or ():
            for name, text in ((container.get("resources") or {}).get(field) or {}).items():
                added[name] = max(added.get(name, parse("0")), parse(text), key=lambda quantity: quantity.value)
        total[field] = {name: str(quantity) for name, quantity in added.items()}
    return total
