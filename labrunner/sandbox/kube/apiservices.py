"""APIServices: one for each group and version that this server itself serves, and the state of those that users add.

Source: k8s.io/kube-aggregator (pkg/controllers/autoregister, status/local, status/remote) and
pkg/controlplane/apiserver/aggregator.go for the priorities.
"""

from __future__ import annotations

import uuid

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.clock import timestamp
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.kinds import KindTable
from labrunner.sandbox.kube.store import Store

KIND = "apiregistration.k8s.io/APIService"
_CRD = "apiextensions.k8s.io/CustomResourceDefinition"
_MANAGED = "kube-aggregator.kubernetes.io/automanaged"
_GROUPS = {
    "": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700, "authorization.k8s.io": 17600,
    "autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100,
    "rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800, "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700, "scheduling.k8s.io": 16600, "coordination.k8s.io": 16500,
    "node.k8s.io": 16300, "discovery.k8s.io": 16200, "flowcontrol.apiserver.k8s.io": 16100, "resource.k8s.io": 15900,
}  # fmt: skip
_VERSIONS = {("", "v1"): 1, ("autoscaling", "v2"): 30, ("events.k8s.io", "v1"): 15, ("discovery.k8s.io", "v1"): 12}
_OF_CUSTOM, _USUAL = (1000, 100), 15
_LOCAL = ("True", "Local", "Local APIServices are always available")
_OWN = "apiregistration.k8s.io"
"""The aggregator's own group is served by the aggregator and has no APIService."""


class ApiServices:
    """Keeps the automatic ones in step with what is served; a deleted one comes back, as in Kubernetes."""

    name = "autoregister"
    watches = (KIND, _CRD, "Service")

    def __init__(self, kinds: KindTable) -> None:
        self._kinds = kinds

    def keys(self, change: Change) -> list[Key]:
        meta = change.obj["metadata"]
        if change.kind == _CRD:
            group = change.obj["spec"]["group"]
            return [("", f"{version['name']}.{group}") for version in change.obj["spec"]["versions"]]
        if change.kind == "Service":
            return [("service", f"{meta.get('namespace', '')}/{meta['name']}")]
        return [("", meta["name"])]

    def reconcile(self, api: Api, key: Key) -> float | None:
        if key[0] == "service":
            for obj in api.objects(KIND):
                service = obj["spec"].get("service") or {}
                if key[1] == f"{service.get('namespace', '')}/{service.get('name', '')}":
                    self._judge(api, obj)
            return None
        name = key[1]
        version, _, group = name.partition(".")
        present = api.get(KIND, name)
        served = any(kind.group == group and version in kind.versions for kind in self._kinds) and group != _OWN
        if served and present is None:
            present = api.create(self.local(group, version), manager="kube-apiserver")
        if present is None:
            return None
        if not served and _MANAGED in (present["metadata"].get("labels") or {}):
            api.delete(KIND, name)
        else:
            self._judge(api, present)
        return None

    def seed(self, store: Store, now: float) -> None:
        """For a new cluster: those of every group and version served, available at once."""
        for group, version in sorted({(kind.group, v) for kind in self._kinds for v in kind.versions}):
            if group != _OWN and store.get(KIND, "", f"{version}.{group}") is None:
                obj = self.local(group, version)
                meta = {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp(now), **obj["metadata"]}
                store.put(KIND, {**obj, "metadata": meta, "status": {"conditions": [_condition(*_LOCAL, now)]}})

    def local(self, group: str, version: str) -> Obj:
        """The APIService of a group and version served here."""
        custom = group not in _GROUPS
        high, low = _OF_CUSTOM if custom else (_GROUPS[group], _VERSIONS.get((group, version), _USUAL))
        spec = {"group": group, "version": version, "groupPriorityMinimum": high, "versionPriority": low}
        return {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{version}.{group}", "labels": {_MANAGED: "true" if custom else "onstart"}},
            "spec": {k: v for k, v in spec.items() if v != ""},
        }

    def _judge(self, api: Api, obj: Obj) -> None:
        """Write the Available condition."""
        service = obj["spec"].get("service")
        verdict = _LOCAL
        if service:
            name, namespace = service.get("name", ""), service.get("namespace", "")
            where = f'service/{name} in "{namespace}"'
            verdict = ("False", "ServiceNotFound", f"{where} is not present")
            if api.get("Service", name, namespace) is not None:
                verdict = ("False", "MissingEndpoints", f"endpoints for {where} have no addresses")
        before = (obj.get("status") or {}).get("conditions") or []
        if any((c.get("status"), c.get("reason"), c.get("message")) == verdict for c in before):
            return
        condition = _condition(*verdict, api.now())
        api.update_status({**obj, "status": {"conditions": [condition]}}, manager="kube-apiserver")


def _condition(status: str, reason: str, message: str, now: float) -> Obj:
    return {
        "type": "Available",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": timestamp(now),
    }
