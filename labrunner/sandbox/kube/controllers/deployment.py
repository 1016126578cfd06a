"""Deployment: rolls pods from one ReplicaSet to the next.

Source: k8s.io/kubernetes/pkg/controller/deployment (deployment_controller.go, rolling.go, recreate.go, sync.go).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers import conditions
from labrunner.sandbox.kube.controllers import deployment_replicasets as sets
from labrunner.sandbox.kube.controllers import deployment_status as progress
from labrunner.sandbox.kube.controllers.meta import (
    annotations_of,
    fresh,
    is_deleting,
    key_of,
    name_of,
    owner_key,
    uid_of,
    with_status,
)
from labrunner.sandbox.kube.controllers.pod import is_finished
from labrunner.sandbox.kube.controllers.runner import Key

_MANAGER = sets.MANAGER


@dataclass
class _Rollout:
    """What one look at a Deployment found."""

    deployment: Obj
    new: Obj | None
    old: list[Obj]
    pending: list[tuple[str, str, str]] = field(default_factory=list)
    """Progressing conditions (status, reason, message) met on the way, for the status at the end."""

    @property
    def all(self) -> list[Obj]:
        return [*self.old, self.new] if self.new else list(self.old)

    def replace(self, replica_set: Obj) -> None:
        uid = uid_of(replica_set)
        if self.new and uid_of(self.new) == uid:
            self.new = replica_set
        self.old = [replica_set if uid_of(rs) == uid else rs for rs in self.old]


class DeploymentController:
    name = "deployment"
    watches: tuple[str, ...] = ("apps/Deployment", "apps/ReplicaSet", "Pod")

    def keys(self, change: Change) -> list[Key]:
        if change.kind == "apps/Deployment":
            return [key_of(change.obj)]
        if change.kind == "apps/ReplicaSet":
            return owner_key(change.obj, "apps/Deployment")
        # Only Recreate waits for single pods, and only for their end.
        if change.type == "DELETED" and (owner := owner_key(change.obj, "apps/ReplicaSet")):
            namespace, replica_set = owner[0]
            return [(namespace, replica_set.rpartition("-")[0])]
        return []

    def reconcile(self, api: Api, key: Key) -> float | None:
        deployment = api.get("apps/Deployment", key[1], key[0])
        if deployment is None or deployment["spec"].get("selector") in (None, {}):
            return None
        owned = sets.owned_by(api, deployment)
        new = sets.find_new(deployment, owned)
        old = [rs for rs in owned if new is None or uid_of(rs) != uid_of(new)]
        look = _Rollout(deployment, new, old)
        if is_deleting(deployment):
            return self._write_status(api, look, rollout=False)
        self._note_pause(api, look)
        if look.new is not None:
            self._sync_new(api, look)
        if deployment["spec"].get("paused"):
            self._scale(api, look)
            return self._write_status(api, look, rollout=False)
        if self._was_scaled(look):
            self._scale(api, look)
            return self._write_status(api, look, rollout=False)
        if sets.is_rolling(deployment):
            self._roll(api, look)
        else:
            self._recreate(api, look)
        return self._write_status(api, look, rollout=True)

    def _note_pause(self, api: Api, look: _Rollout) -> None:
        current = conditions.find((look.deployment.get("status") or {}).get("conditions"), "Progressing")
        reason = current.get("reason") if current else None
        if progress.deadline(look.deployment) is None or reason == progress.TIMED_OUT:
            return
        paused = bool(look.deployment["spec"].get("paused"))
        if paused and reason != "DeploymentPaused":
            look.pending.append(("Unknown", "DeploymentPaused", "Deployment is paused"))
        elif not paused and reason == "DeploymentPaused":
            look.pending.append(("Unknown", "DeploymentResumed", "Deployment is resumed"))

    def _sync_new(self, api: Api, look: _Rollout) -> None:
        assert look.new is not None
        look.new = sets.sync_revision(api, look.deployment, look.new, look.old)
        self._sync_own_revision(api, look)
        if not conditions.find((look.deployment.get("status") or {}).get("conditions"), "Progressing"):
            message = f'Found new replica set "{name_of(look.new)}"'
            look.pending.append(("True", "FoundNewReplicaSet", message))

    def _sync_own_revision(self, api: Api, look: _Rollout) -> None:
        revision = annotations_of(look.new or {"metadata": {}}).get(sets.REVISION)
        if revision and annotations_of(look.deployment).get(sets.REVISION) != revision:
            updated = fresh(look.deployment)
            updated["metadata"]["annotations"] = annotations_of(look.deployment) | {sets.REVISION: revision}
            look.deployment = api.update(updated, manager=_MANAGER)

    def _ensure_new(self, api: Api, look: _Rollout) -> bool:
        if look.new is not None:
            return True
        replicas = self._new_size(look)
        look.new = sets.create_new(api, look.deployment, look.old, replicas)
        if look.new is None:
            return False
        self._sync_own_revision(api, look)
        message = f'Created new replica set "{name_of(look.new)}"'
        look.pending.append(("True", "NewReplicaSetCreated", message))
        return True

    def _new_size(self, look: _Rollout) -> int:
        """How large the new ReplicaSet may be now."""
        replicas = sets.wanted(look.deployment)
        if not sets.is_rolling(look.deployment):
            return replicas
        have = sets.size(look.new) if look.new else 0
        room = replicas + sets.fenceposts(look.deployment)[0] - sets.total(look.all)
        return have if room <= 0 else have + min(room, replicas - have)

    def _resize(self, api: Api, look: _Rollout, replica_set: Obj, replicas: int) -> None:
        look.replace(sets.scale(api, look.deployment, replica_set, replicas))

    def _roll(self, api: Api, look: _Rollout) -> None:
        if not self._ensure_new(api, look):
            return
        if self._grow_new(api, look) or self._shrink_old(api, look):
            return
        if progress.is_complete(look.deployment, look.deployment.get("status") or {}):
            sets.clean_up(api, look.deployment, look.old)

    def _grow_new(self, api: Api, look: _Rollout) -> bool:
        assert look.new is not None
        have, want = sets.size(look.new), sets.wanted(look.deployment)
        size = want if have >= want else self._new_size(look)
        if size == have:
            return False
        self._resize(api, look, look.new, size)
        return True

    def _shrink_old(self, api: Api, look: _Rollout) -> bool:
        assert look.new is not None
        if sets.total(look.old) == 0:
            return False
        least = sets.wanted(look.deployment) - sets.fenceposts(look.deployment)[1]
        not_yet = sets.size(look.new) - sets.observed(look.new, "availableReplicas")
        room = sets.total(look.all) - least - not_yet
        if room <= 0:
            return False
        changed = False
        for rs in list(look.old):  # the unhealthy first: their loss takes nothing from anyone
            unhealthy = sets.size(rs) - sets.observed(rs, "availableReplicas")
            take = min(room, unhealthy, sets.size(rs))
            if take > 0:
                self._resize(api, look, rs, sets.size(rs) - take)
                room -= take
                changed = True
        spare = sum(sets.observed(rs, "availableReplicas") for rs in look.all) - least
        for rs in list(look.old):
            take = min(spare, sets.size(rs))
            if take > 0:
                self._resize(api, look, rs, sets.size(rs) - take)
                spare -= take
                changed = True
        return changed

    def _recreate(self, api: Api, look: _Rollout) -> None:
        shrunk = False
        for rs in list(look.old):
            if sets.size(rs) > 0:
                self._resize(api, look, rs, 0)
                shrunk = True
        if shrunk or self._old_pods_run(api, look) or not self._ensure_new(api, look):
            return
        self._grow_new(api, look)
        if progress.is_complete(look.deployment, look.deployment.get("status") or {}):
            sets.clean_up(api, look.deployment, look.old)

    def _old_pods_run(self, api: Api, look: _Rollout) -> bool:
        return any(not is_finished(pod) for rs in look.old for pod in api.owned("Pod", uid_of(rs)))

    def _was_scaled(self, look: _Rollout) -> bool:
        replicas = str(sets.wanted(look.deployment))
        return any(annotations_of(rs).get(sets.DESIRED, replicas) != replicas for rs in look.all if sets.size(rs) > 0)

    def _scale(self, api: Api, look: _Rollout) -> None:
        """Spread a change of `replicas` over the ReplicaSets in proportion to their sizes."""
        replicas = sets.wanted(look.deployment)
        active = [rs for rs in look.all if sets.size(rs) > 0]
        if len(active) <= 1:
            only = active[0] if active else (look.new or (look.old[-1] if look.old else None))
            if only is not None and (sets.size(only) != replicas or active):
                self._resize(api, look, only, replicas)
            return
        if look.new and self._is_saturated(look):
            for rs in list(look.old):
                if sets.size(rs) > 0:
                    self._resize(api, look, rs, 0)
            return
        if not sets.is_rolling(look.deployment):
            return
        limit = replicas + sets.fenceposts(look.deployment)[0] if replicas > 0 else 0
        to_add = limit - sets.total(active)
        newest_first = to_add > 0
        active.sort(key=lambda rs: (-sets.size(rs), -sets.revision_of(rs) if newest_first else sets.revision_of(rs)))
        sizes, added = {}, 0
        for rs in active:
            share = self._share(look, rs, to_add, added) if to_add else 0
            sizes[uid_of(rs)] = sets.size(rs) + share
            added += share
        sizes[uid_of(active[0])] = max(0, sizes[uid_of(active[0])] + to_add - added)
        for rs in active:
            self._resize(api, look, rs, sizes[uid_of(rs)])

    def _is_saturated(self, look: _Rollout) -> bool:
        replicas = sets.wanted(look.deployment)
        return (
            look.new is not None
            and sets.size(look.new) == replicas
            and annotations_of(look.new).get(sets.DESIRED) == str(replicas)
            and sets.observed(look.new, "availableReplicas") == replicas
        )

    def _share(self, look: _Rollout, replica_set: Obj, to_add: int, added: int) -> int:
        replicas, have = sets.wanted(look.deployment), sets.size(replica_set)
        if replicas == 0:
            fraction = -have
        else:
            largest = replicas + sets.fenceposts(look.deployment)[0]
            before = int(annotations_of(replica_set).get(sets.MAX) or 0)
            before = before or int((look.deployment.get("status") or {}).get("replicas") or 1)
            fraction = int(have * largest / before + 0.5) - have
        allowed = to_add - added
        return min(fraction, allowed) if to_add > 0 else max(fraction, allowed)

    def _write_status(self, api: Api, look: _Rollout, *, rollout: bool) -> float | None:
        now = api.now()
        before = look.deployment
        status = dict(before.get("status") or {})
        for condition in look.pending:
            status["conditions"] = progress.put(status.get("conditions"), now, "Progressing", *condition)
        seen = with_status(before, status)
        result = progress.counts(seen, look.all, look.new, now)
        if rollout:
            result = progress.with_progress(seen, result, look.all, look.new, now)
        if result != before.get("status"):
            api.update_status(with_status(before, result), manager=_MANAGER)
        if not rollout:
            return None
        current = conditions.find(result["conditions"], "Progressing")
        wait = progress.overdue_in(before, current, now)
        return wait or None
