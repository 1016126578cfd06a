"""ControllerRevisions: the history of StatefulSets and DaemonSets.

Source: k8s.io/kubernetes/pkg/controller/history.
"""

from __future__ import annotations

import json
from typing import Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers.meta import (
    controller_reference,
    name_of,
    namespace_of,
    safe_encode,
    uid_of,
)
from labrunner.sandbox.kube.controllers.template_hash import fnv32a
from labrunner.sandbox.kube.status import ApiError

KIND = "apps/ControllerRevision"
HASH_LABEL = "controller-revision-hash"
_MANAGER = "kube-controller-manager"


def of(api: Api, owner: Obj) -> list[Obj]:
    """The owner's revisions, oldest first."""
    return sorted(api.owned(KIND, uid_of(owner)), key=lambda r: (int(r.get("revision") or 0), name_of(r)))


def current(api: Api, owner: Obj) -> tuple[Obj, list[Obj]]:
    """(the revision of the present template, all revisions); made, or moved to the end when it was used before."""
    revisions = of(api, owner)
    data = {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}
    newest = max((int(r.get("revision") or 0) for r in revisions), default=0)
    for revision in reversed(revisions):
        if _same(revision.get("data"), data):
            if int(revision.get("revision") or 0) < newest:
                moved = api.update({**revision, "revision": newest + 1}, manager=_MANAGER)
                revisions = [r for r in revisions if name_of(r) != name_of(moved)] + [moved]
                return moved, revisions
            return revision, revisions
    created = _create(api, owner, data, newest + 1)
    return created, [*revisions, created]


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _create(api: Api, owner: Obj, data: dict[str, Any], number: int) -> Obj:
    labels = dict((owner["spec"]["template"].get("metadata") or {}).get("labels") or {})
    collisions = int((owner.get("status") or {}).get("collisionCount") or 0)
    while True:
        text = json.dumps(data, sort_keys=True) + (str(collisions) if collisions else "")
        hash_ = safe_encode(str(fnv32a(text.encode())))
        revision: Obj = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": f"{name_of(owner)}-{hash_}",
                "namespace": namespace_of(owner),
                "labels": {**labels, HASH_LABEL: hash_},
                "ownerReferences": [controller_reference(owner)],
            },
            "data": data,
            "revision": number,
        }
        try:
            return api.create(revision, manager=_MANAGER)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            collisions += 1


def truncate(api: Api, owner: Obj, revisions: list[Obj], live: set[str]) -> None:
    """Delete the oldest revisions beyond revisionHistoryLimit that no pod uses."""
    limit = owner["spec"].get("revisionHistoryLimit")
    unused = [r for r in revisions if name_of(r) not in live]
    for revision in unused[: max(0, len(unused) - (10 if limit is None else int(limit)))]:
        api.delete(KIND, name_of(revision), namespace_of(owner))


def hash_of(revision: Obj) -> str:
    return str((revision["metadata"].get("labels") or {}).get(HASH_LABEL, ""))
