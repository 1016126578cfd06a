"""Which pods belong to an owner: adoption of orphans that match, release of those that no longer do.

Source: k8s.io/kubernetes/pkg/controller/controller_ref_manager.go.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.meta import (
    controller_of,
    controller_reference,
    fresh,
    is_deleting,
    key_of,
    labels_of,
    namespace_of,
    uid_of,
)
from labrunner.sandbox.kube.controllers.pod import is_finished
from labrunner.sandbox.kube.controllers.selectors import matches

_MANAGER = "kube-controller-manager"


class Orphans:
    """Pods without a controller and the selectors that might claim them, kept from changes so that nobody scans."""

    def __init__(self) -> None:
        self._pods: dict[str, dict[str, dict[str, str]]] = {}
        self._selectors: dict[str, dict[str, dict[str, Any] | None]] = {}

    def note_owner(self, change: Change, selector: dict[str, Any] | None) -> None:
        namespace, name = key_of(change.obj)
        owners = self._selectors.setdefault(namespace, {})
        if change.type == "DELETED":
            owners.pop(name, None)
        else:
            owners[name] = selector

    def note_pod(self, change: Change) -> list[tuple[str, str]]:
        """Keys of the owners that may claim this pod; empty when it has a controller."""
        namespace, name = key_of(change.obj)
        pods = self._pods.setdefault(namespace, {})
        if change.type == "DELETED" or controller_of(change.obj) is not None:
            pods.pop(name, None)
            return []
        labels = pods[name] = labels_of(change.obj)
        owners = self._selectors.get(namespace, {})
        return [(namespace, owner) for owner, wanted in owners.items() if matches(wanted, labels)]

    def matching(self, namespace: str, selector: dict[str, Any] | None) -> list[str]:
        return [name for name, labels in self._pods.get(namespace, {}).items() if matches(selector, labels)]


def claimed_pods(api: Api, owner: Obj, selector: dict[str, Any] | None, orphans: Orphans) -> list[Obj]:
    """The owner's pods after claiming; finished and deleted ones included."""
    uid, found = uid_of(owner), []
    for pod in api.owned("Pod", uid):
        if matches(selector, labels_of(pod)):
            found.append(pod)
        elif not is_deleting(owner):
            _release(api, pod, uid)
    if is_deleting(owner):
        return found
    for name in orphans.matching(namespace_of(owner), selector):
        orphan = api.get("Pod", name, namespace_of(owner))
        if orphan and controller_of(orphan) is None and not is_deleting(orphan) and not is_finished(orphan):
            found.append(_adopt(api, orphan, owner))
    return found


def _release(api: Api, pod: Obj, uid: str) -> None:
    released = fresh(pod)
    references = [r for r in pod["metadata"]["ownerReferences"] if r.get("uid") != uid]
    released["metadata"]["ownerReferences"] = references
    if not references:
        del released["metadata"]["ownerReferences"]
    api.update(released, manager=_MANAGER)


def _adopt(api: Api, pod: Obj, owner: Obj) -> Obj:
    adopted = fresh(pod)
    references = pod["metadata"].get("ownerReferences") or []
    adopted["metadata"]["ownerReferences"] = [*references, controller_reference(owner)]
    return api.update(adopted, manager=_MANAGER)
