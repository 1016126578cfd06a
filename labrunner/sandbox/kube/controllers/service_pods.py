"""Which pods a Service reaches, kept from changes so that a pod's change never scans a namespace."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.meta import key_of, labels_of, namespace_of
from labrunner.sandbox.kube.controllers.pod import is_finished
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.controllers.selectors import matches_map


class ServiceIndex:
    """Selectors of the Services, per namespace."""

    def __init__(self) -> None:
        self._selectors: dict[str, dict[str, dict[str, str]]] = {}

    def keys(self, change: Change) -> list[Key]:
        """Keys of the Services that a Service's or pod's change may concern."""
        namespace, name = key_of(change.obj)
        if change.kind == "Service":
            selectors = self._selectors.setdefault(namespace, {})
            if change.type == "DELETED":
                selectors.pop(name, None)
            else:
                selectors[name] = change.obj["spec"].get("selector") or {}
            return [(namespace, name)]
        selectors = self._selectors.get(namespace, {})
        if not selectors or (change.old is not None and not _matters(change.old, change.obj)):
            return []
        sets = [labels_of(change.obj)] + ([labels_of(change.old)] if change.old else [])
        return [
            (namespace, service)
            for service, selector in selectors.items()
            if any(matches_map(selector, labels) for labels in sets)
        ]


def _matters(old: Obj, new: Obj) -> bool:
    def face(pod: Obj) -> tuple[Any, ...]:
        status = pod.get("status") or {}
        ready = [c.get("status") for c in status.get("conditions") or () if c.get("type") == "Ready"]
        return (labels_of(pod), status.get("podIP"), status.get("phase"), ready,
                pod["metadata"].get("deletionTimestamp"), pod["spec"].get("nodeName"))  # fmt: skip

    return face(old) != face(new)


def pods_behind(api: Api, service: Obj) -> list[Obj]:
    """Pods with an address that the selector matches and that have not ended, by name."""
    selector = service["spec"].get("selector")
    if not selector:
        return []
    pods = api.objects("Pod", namespace_of(service), selector)
    found = [pod for pod in pods if (pod.get("status") or {}).get("podIP") and not is_finished(pod)]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def target_port(port: dict[str, Any], pod: Obj) -> int | None:
    """The number that `targetPort` means in this pod; None when no container names it. Source: podutil.FindPort."""
    target = port.get("targetPort", port.get("port"))
    if isinstance(target, int):
        return target or int(port["port"])
    restartable = [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in [*(pod["spec"].get("containers") or ()), *restartable]:
        for declared in container.get("ports") or ():
            same = declared.get("protocol", "TCP") == port.get("protocol", "TCP")
            if declared.get("name") == target and same:
                return int(declared["containerPort"])
    return None
