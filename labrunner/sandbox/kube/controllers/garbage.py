"""Garbage collection: what an owner leaves behind when it is deleted, in the background, the foreground or orphaned.

The API server puts the finalizers `foregroundDeletion` and `orphan`; this controller does their work.
Source: k8s.io/kubernetes/pkg/controller/garbagecollector.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.meta import (
    fresh,
    is_deleting,
    kind_id,
    name_of,
    namespace_of,
    uid_of,
)
from labrunner.sandbox.kube.controllers.runner import Key

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
_MANAGER = "kube-controller-manager"
Node = tuple[str, str, str]
"""(kind, namespace, name)"""


class GarbageCollector:
    """Keeps who depends on whom; keys are (`owner` or `dependent`, identity)."""

    name = "garbage-collector"
    watches: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._dependents: dict[str, dict[str, Node]] = {}
        """Owner uid -> dependent uid -> where it is."""
        self._nodes: dict[str, Node] = {}
        """Where an object is, for those that own something or are being deleted with a finalizer of ours."""
        self._owners: dict[str, tuple[str, ...]] = {}
        """Dependent uid -> uids of its owners."""

    def keys(self, change: Change) -> list[Key]:
        if change.kind in ("Event", "events.k8s.io/Event"):
            return []
        uid, keys = uid_of(change.obj), []
        node = (change.kind, namespace_of(change.obj), name_of(change.obj))
        before = self._owners.get(uid, ())
        references = change.obj["metadata"].get("ownerReferences") or ()
        owners = () if change.type == "DELETED" else tuple(str(r["uid"]) for r in references)
        if owners != before:
            for owner in before:
                self._dependents.get(owner, {}).pop(uid, None)
            for owner in owners:
                self._dependents.setdefault(owner, {})[uid] = node
            self._owners[uid] = owners
            if not owners:
                del self._owners[uid]
        if change.type == "DELETED":
            self._nodes.pop(uid, None)
            if self._dependents.get(uid):
                keys.append(("owner-gone", uid))
            else:
                self._dependents.pop(uid, None)
            # A foreground owner may have waited for this one.
            keys += [("owner", owner) for owner in before if owner in self._nodes]
            return keys
        if owners and owners != before:
            self._nodes.setdefault(uid, node)
            keys.append(("dependent", uid))
        if is_deleting(change.obj) and _ours(change.obj):
            self._nodes[uid] = node
            keys.append(("owner", uid))
        return keys

    def reconcile(self, api: Api, key: Key) -> float | None:
        what, uid = key
        if what == "owner-gone":
            for dependent in list(self._dependents.pop(uid, {})):
                self._attempt(api, dependent)
        elif what == "dependent":
            self._attempt(api, uid)
        elif what == "owner":
            self._finish_owner(api, uid)
        return None

    def _object(self, api: Api, uid: str, node: Node | None) -> Obj | None:
        obj = api.get(node[0], node[2], node[1]) if node else None
        return obj if obj is not None and uid_of(obj) == uid else None

    def _attempt(self, api: Api, uid: str) -> None:
        """Delete a dependent whose owners are all gone; drop the references of those that are."""
        obj = self._object(api, uid, self._nodes.get(uid))
        if obj is None or is_deleting(obj):
            return
        solid: list[dict[str, Any]] = []
        dangling: list[dict[str, Any]] = []
        for reference in obj["metadata"].get("ownerReferences") or ():
            (solid if self._exists(api, obj, reference) else dangling).append(reference)
        if not dangling:
            return
        if solid:
            updated = fresh(obj)
            updated["metadata"]["ownerReferences"] = solid
            api.update(updated, manager=_MANAGER)
            return
        kind, namespace, name = self._nodes[uid]
        finalizers = obj["metadata"].get("finalizers") or ()
        policy = "Orphan" if ORPHAN in finalizers else "Foreground" if FOREGROUND in finalizers else "Background"
        api.delete(kind, name, namespace, propagation=policy)

    def _exists(self, api: Api, dependent: Obj, reference: dict[str, Any]) -> bool:
        kind = kind_id(reference["apiVersion"], reference["kind"])
        served = {k.id: k for k in api.kinds()}
        if kind not in served:
            return True  # an unknown kind: nothing is deleted on a guess
        namespace = namespace_of(dependent) if served[kind].namespaced else ""
        owner = api.get(kind, reference["name"], namespace)
        return owner is not None and uid_of(owner) == reference["uid"]

    def _finish_owner(self, api: Api, uid: str) -> None:
        owner = self._object(api, uid, self._nodes.get(uid))
        if owner is None or not is_deleting(owner):
            return
        finalizers = owner["metadata"].get("finalizers") or []
        if ORPHAN in finalizers:
            for dependent, node in list(self._dependents.get(uid, {}).items()):
                if obj := self._object(api, dependent, node):
                    updated = fresh(obj)
                    left = [r for r in obj["metadata"].get("ownerReferences") or () if r.get("uid") != uid]
                    updated["metadata"]["ownerReferences"] = left
                    if not left:
                        del updated["metadata"]["ownerReferences"]
                    api.update(updated, manager=_MANAGER)
            self._drop_finalizer(api, owner, ORPHAN)
            return
        if FOREGROUND not in finalizers:
            return
        blocking = False
        for dependent, node in list(self._dependents.get(uid, {}).items()):
            obj = self._object(api, dependent, node)
            if obj is None:
                continue
            reference = next(r for r in obj["metadata"]["ownerReferences"] if r["uid"] == uid)
            blocking = blocking or bool(reference.get("blockOwnerDeletion"))
            if not is_deleting(obj):
                api.delete(node[0], node[2], node[1], propagation="Foreground")
        if not blocking:
            self._drop_finalizer(api, owner, FOREGROUND)

    def _drop_finalizer(self, api: Api, owner: Obj, finalizer: str) -> None:
        current = api.get(*_where(self._nodes[uid_of(owner)]))
        if current is None:
            return
        updated = fresh(current)
        updated["metadata"]["finalizers"] = [f for f in current["metadata"].get("finalizers") or () if f != finalizer]
        api.update(updated, manager=_MANAGER)


def _where(node: Node) -> tuple[str, str, str]:
    return node[0], node[2], node[1]


def _ours(obj: Obj) -> bool:
    finalizers = obj["metadata"].get("finalizers") or ()
    return FOREGROUND in finalizers or ORPHAN in finalizers
