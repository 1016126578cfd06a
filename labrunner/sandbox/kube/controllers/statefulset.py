"""StatefulSet: pods with a number, in order, each with its own volume claims.

Source: k8s.io/kubernetes/pkg/controller/statefulset (stateful_set_control.go, stateful_set_utils.go).
"""

from __future__ import annotations

import re
from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers import revisions
from labrunner.sandbox.kube.controllers.claims import Orphans, claimed_pods
from labrunner.sandbox.kube.controllers.meta import (
    controller_reference,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    owner_key,
    with_status,
)
from labrunner.sandbox.kube.controllers.pod import available_in, from_template, is_finished, is_ready, phase_of
from labrunner.sandbox.kube.controllers.quantity import int_or_percent
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.status import ApiError

COMPONENT = "statefulset-controller"
POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"
_MANAGER = "kube-controller-manager"


class StatefulSetController:
    name = "statefulset"
    watches: tuple[str, ...] = ("apps/StatefulSet", "Pod")

    def __init__(self) -> None:
        self._orphans = Orphans()

    def keys(self, change: Change) -> list[Key]:
        if change.kind == "apps/StatefulSet":
            self._orphans.note_owner(change, change.obj["spec"].get("selector"))
            return [key_of(change.obj)]
        return owner_key(change.obj, "apps/StatefulSet") + self._orphans.note_pod(change)

    def reconcile(self, api: Api, key: Key) -> float | None:
        owner = api.get("apps/StatefulSet", key[1], key[0])
        if owner is None:
            return None
        pods = {
            number: pod
            for pod in claimed_pods(api, owner, owner["spec"].get("selector"), self._orphans)
            if (number := ordinal(owner, pod)) is not None
        }
        update, history = revisions.current(api, owner)
        current_name = (owner.get("status") or {}).get("currentRevision") or name_of(update)
        current = next((r for r in history if name_of(r) == current_name), update)
        if not is_deleting(owner):
            self._manage(api, owner, pods, current, update)
            pods = {
                number: pod
                for number in sorted({*pods, *self._numbers(owner)})
                if (pod := api.get("Pod", f"{name_of(owner)}-{number}", namespace_of(owner))) is not None
            }
            live = {name_of(current), name_of(update)}
            hashes = {labels_of(pod).get(revisions.HASH_LABEL) for pod in pods.values()}
            live |= {name for name in hashes if name}
            revisions.truncate(api, owner, history, live)
        return self._write_status(api, owner, pods, current, update)

    def _numbers(self, owner: Obj) -> range:
        want = owner["spec"].get("replicas")
        start = int((owner["spec"].get("ordinals") or {}).get("start") or 0)
        return range(start, start + (1 if want is None else int(want)))

    def _manage(self, api: Api, owner: Obj, pods: dict[int, Obj], current: Obj, update: Obj) -> None:
        """One step, as far as the order allows: the next look follows from the pods' changes."""
        wanted = self._numbers(owner)
        in_order = owner["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady"
        for number in wanted:
            pod = pods.get(number)
            if pod is not None and is_finished(pod):
                if not is_deleting(pod):
                    self._delete(api, owner, pod)
                if in_order:
                    return
                continue
            if pod is None:
                revision = self._revision_for(owner, number, current, update)
                self._create(api, owner, number, revision)
                if in_order:
                    return
                continue
            if in_order and (is_deleting(pod) or not self._is_available(api, owner, pod)):
                return
        surplus = sorted((n for n in pods if n not in wanted), reverse=True)
        for number in surplus:
            pod = pods[number]
            if is_deleting(pod):
                if in_order:
                    return
                continue
            self._delete(api, owner, pod)
            if in_order:
                return
        if not surplus:
            self._roll(api, owner, pods, wanted, update)

    def _is_available(self, api: Api, owner: Obj, pod: Obj) -> bool:
        return available_in(pod, int(owner["spec"].get("minReadySeconds") or 0), api.now()) == 0.0

    def _roll(self, api: Api, owner: Obj, pods: dict[int, Obj], wanted: range, update: Obj) -> None:
        strategy = owner["spec"].get("updateStrategy") or {}
        if strategy.get("type", "RollingUpdate") != "RollingUpdate":
            return
        rolling = strategy.get("rollingUpdate") or {}
        partition = int(rolling.get("partition") or 0)
        most = max(1, int_or_percent(rolling.get("maxUnavailable", 1), len(wanted), round_up=False))
        broken = [n for n in wanted if n in pods and not (is_ready(pods[n]) and not is_deleting(pods[n]))]
        unavailable = len(broken)
        for number in reversed(wanted):
            if number < partition:
                break
            pod = pods.get(number)
            if pod is None:
                continue
            outdated = labels_of(pod).get(revisions.HASH_LABEL) != name_of(update)
            if outdated and not is_deleting(pod):
                # Pods that are broken already may be replaced without making anything worse.
                if number in broken or unavailable < most:
                    self._delete(api, owner, pod)
                    unavailable += 0 if number in broken else 1
                if unavailable >= most:
                    return
            elif number in broken and unavailable >= most:
                return

    def _revision_for(self, owner: Obj, number: int, current: Obj, update: Obj) -> Obj:
        strategy = owner["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return update
        partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
        start = int((owner["spec"].get("ordinals") or {}).get("start") or 0)
        return current if number < partition + start and partition else update

    def _create(self, api: Api, owner: Obj, number: int, revision: Obj) -> None:
        name = f"{name_of(owner)}-{number}"
        template = revision["data"]["spec"]["template"]
        template = {k: v for k, v in template.items() if k != "$patch"}
        pod = from_template(template, owner, name=name)
        labels = pod["metadata"].setdefault("labels", {})
        labels |= {revisions.HASH_LABEL: name_of(revision), POD_NAME_LABEL: name, POD_INDEX_LABEL: str(number)}
        spec = pod["spec"]
        spec["hostname"], spec["subdomain"] = name, owner["spec"].get("serviceName", "")
        if not spec["subdomain"]:
            spec.pop("subdomain")
        claims = [self._claim(api, owner, claim, number) for claim in owner["spec"].get("volumeClaimTemplates") or ()]
        taken = {template_name for template_name, _claim in claims}
        volumes = [v for v in spec.get("volumes") or () if v["name"] not in taken]
        volumes += [{"name": n, "persistentVolumeClaim": {"claimName": c}} for n, c in claims]
        if volumes:
            spec["volumes"] = volumes
        try:
            api.create(pod, manager=_MANAGER)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                message = f"create Pod {name} in StatefulSet {name_of(owner)} failed error: {error.message}"
                api.record_event(owner, "Warning", "FailedCreate", message, component=COMPONENT)
            raise
        message = f"create Pod {name} in StatefulSet {name_of(owner)} successful"
        api.record_event(owner, "Normal", "SuccessfulCreate", message, component=COMPONENT)

    def _claim(self, api: Api, owner: Obj, template: Obj, number: int) -> tuple[str, str]:
        name = f"{name_of(template)}-{name_of(owner)}-{number}"
        if api.get("PersistentVolumeClaim", name, namespace_of(owner)) is None:
            labels = {**labels_of(template), **((owner["spec"].get("selector") or {}).get("matchLabels") or {})}
            metadata: dict[str, Any] = {"name": name, "namespace": namespace_of(owner), "labels": labels}
            if template["metadata"].get("annotations"):
                metadata["annotations"] = template["metadata"]["annotations"]
            policy = owner["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
            if policy.get("whenDeleted") == "Delete":
                metadata["ownerReferences"] = [controller_reference(owner)]
            claim: Obj = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
            api.create({**claim, "spec": template["spec"]}, manager=_MANAGER)
            message = f"create Claim {name} Pod {name_of(owner)}-{number} in StatefulSet {name_of(owner)} success"
            api.record_event(owner, "Normal", "SuccessfulCreate", message, component=COMPONENT)
        return name_of(template), name

    def _delete(self, api: Api, owner: Obj, pod: Obj) -> None:
        api.delete("Pod", name_of(pod), namespace_of(pod))
        message = f"delete Pod {name_of(pod)} in StatefulSet {name_of(owner)} successful"
        api.record_event(owner, "Normal", "SuccessfulDelete", message, component=COMPONENT)
        number = ordinal(owner, pod)
        policy = owner["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
        if number is not None and number not in self._numbers(owner) and policy.get("whenScaled") == "Delete":
            for template in owner["spec"].get("volumeClaimTemplates") or ():
                claim = f"{name_of(template)}-{name_of(owner)}-{number}"
                api.delete("PersistentVolumeClaim", claim, namespace_of(owner))

    def _write_status(self, api: Api, owner: Obj, pods: dict[int, Obj], current: Obj, update: Obj) -> float | None:
        before = owner.get("status") or {}
        alive = [pod for pod in pods.values() if phase_of(pod) in ("Pending", "Running") and not is_finished(pod)]
        min_ready, now = int(owner["spec"].get("minReadySeconds") or 0), api.now()

        def count(revision: Obj) -> int:
            name = name_of(revision)
            return sum(labels_of(p).get(revisions.HASH_LABEL) == name and not is_deleting(p) for p in alive)

        waits = [available_in(pod, min_ready, now) for pod in alive]
        ready, wanted = sum(is_ready(pod) for pod in alive), len(self._numbers(owner))
        status: dict[str, Any] = {
            "observedGeneration": owner["metadata"].get("generation", 1),
            "replicas": len(alive),
            "availableReplicas": sum(wait == 0.0 for wait in waits),
            "collisionCount": int(before.get("collisionCount") or 0),
        }
        updated = count(update)
        done = updated == wanted == len(alive) == ready
        shown = update if done else current
        numbers = {"readyReplicas": ready, "updatedReplicas": updated, "currentReplicas": count(shown)}
        status |= {k: v for k, v in numbers.items() if v}
        status["currentRevision"], status["updateRevision"] = name_of(shown), name_of(update)
        if status != before:
            api.update_status(with_status(owner, status), manager=_MANAGER)
        later = [wait for wait in waits if wait]
        return min(later) if later else None


def ordinal(owner: Obj, pod: Obj) -> int | None:
    """The number in the pod's name; None when it is not one of this set's."""
    found = re.fullmatch(re.escape(name_of(owner)) + r"-(\d+)", name_of(pod))
    return int(found[1]) if found else None
