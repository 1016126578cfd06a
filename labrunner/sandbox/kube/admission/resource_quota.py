"""The ResourceQuota plugin, and the controller that keeps quotas' status.

Source: k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go and pkg/controller/resourcequota.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labrunner.sandbox.kube.admission.quota_usage import Usage, add, in_scope, unspecified, usage
from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.kinds import Kind, KindTable
from labrunner.sandbox.kube.request import AdmissionRequest
from labrunner.sandbox.kube.schema.quantity import Quantity, QuantityError, parse
from labrunner.sandbox.kube.status import forbidden


class ResourceQuotaPlugin:
    """Refuses what would take a namespace over one of its quotas."""

    def __init__(self, kinds: KindTable) -> None:
        self._kinds = kinds

    def __call__(self, api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
        if request.subresource or request.operation not in ("CREATE", "UPDATE") or not request.namespace:
            return obj
        quotas = api.objects("ResourceQuota", request.namespace)
        if not quotas or request.kind.id == "ResourceQuota":
            return obj
        wanted = usage(request.kind, obj)
        if old is not None:
            wanted = add(wanted, usage(request.kind, old), -1)
        for quota in quotas:
            self._check(api, request, obj, old, quota, wanted)
        return obj

    def _check(self, api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None, quota: Obj, wanted: Usage) -> None:
        hard = hard_limits(quota)
        limited = [name for name in hard if name in wanted or request.kind.id == "Pod"]
        if not limited or not in_scope(quota, request.kind, obj):
            return
        name = request.name or obj["metadata"].get("generateName", "")
        title = quota["metadata"]["name"]
        if request.kind.id == "Pod" and old is None:
            missing = unspecified(obj.get("spec") or {}, sorted(limited))
            if missing:
                said = "; ".join(f"{what} for: {','.join(sorted(set(who)))}" for what, who in missing.items())
                raise forbidden(
                    request.kind.plural, request.kind.group, name, f"failed quota: {title}: must specify {said}"
                )
        asked = {what: wanted[what] for what in limited if what in wanted and wanted[what].value > 0}
        if not asked:
            return
        used = used_by(api, self._kinds, quota, asked)
        over = [what for what in asked if used[what].value + asked[what].value > hard[what].value]
        if over:
            why = (
                f"exceeded quota: {title}, requested: {_listed(asked, over)}, used: {_listed(used, over)},"
                f" limited: {_listed(hard, over)}"
            )
            raise forbidden(request.kind.plural, request.kind.group, name, why)


class ResourceQuotaController:
    """Writes `status.hard` and `status.used` of every quota in a namespace where something changed."""

    name = "resourcequota-controller"
    watches = ("ResourceQuota", "Pod", "Service", "Secret", "ConfigMap", "PersistentVolumeClaim", "apps/Deployment",
               "ReplicationController", "apps/ReplicaSet", "apps/StatefulSet", "apps/DaemonSet", "batch/Job",
               "batch/CronJob", "networking.k8s.io/Ingress")  # fmt: skip

    def __init__(self, kinds: KindTable) -> None:
        self._kinds = kinds

    def keys(self, change: Change) -> list[Key]:
        return [(change.obj["metadata"].get("namespace", ""), "")]

    def reconcile(self, api: Api, key: Key) -> float | None:
        for quota in api.objects("ResourceQuota", key[0]):
            hard = hard_limits(quota)
            used = used_by(api, self._kinds, quota, hard)
            status = {
                "hard": dict((quota.get("spec") or {}).get("hard") or {}),
                "used": {name: str(quantity) for name, quantity in sorted(used.items())},
            }
            if quota.get("status") != status:
                api.update_status({**quota, "status": status}, manager="kube-controller-manager")
        return None


def hard_limits(quota: Obj) -> Usage:
    limits: Usage = {}
    for name, text in ((quota.get("spec") or {}).get("hard") or {}).items():
        try:
            limits[name] = parse(str(text))
        except QuantityError:
            continue
    return limits


def used_by(api: Api, kinds: KindTable, quota: Obj, names: Iterable[str]) -> Usage:
    """What the namespace uses now of these quota resources."""
    names = list(names)
    total: Usage = {name: Quantity(parse("0").value, "DecimalSI") for name in names}
    for kind in _kinds_of(kinds, names):
        for obj in api.objects(kind.id, quota["metadata"]["namespace"]):
            if not obj["metadata"].get("deletionTimestamp") or kind.id != "Pod":
                cost = usage(kind, obj) if in_scope(quota, kind, obj) else {}
                total = add(total, {name: cost[name] for name in names if name in cost})
    return total


def _kinds_of(kinds: KindTable, names: list[str]) -> list[Kind]:
    wanted = {"Pod", "Service", "PersistentVolumeClaim"}
    by_plural = {
        "secrets": "Secret", "configmaps": "ConfigMap", "replicationcontrollers": "ReplicationController",
        "resourcequotas": "ResourceQuota",
    }  # fmt: skip
    found = [kinds.get(by_plural[name]) for name in names if name in by_plural]
    for name in names:
        if name.startswith("count/"):
            plural, _, group = name.removeprefix("count/").partition(".")
            found.append(kinds.by_resource(group, plural))
    found += [kinds.get(kind_id) for kind_id in sorted(wanted)]
    return list({kind.id: kind for kind in found if kind}.values())


def _listed(quantities: Mapping[str, Quantity], names: list[str]) -> str:
    return ",".join(f"{name}={quantities[name]}" for name in sorted(names))
