"""Namespaces: what each must hold, and how one that is deleted is emptied.

Sources: pkg/controller/serviceaccount, pkg/controller/certificates/rootcacertpublisher, istiod's namespace controller,
pkg/controller/namespace/deletion.
"""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers import conditions
from labrunner.sandbox.kube.controllers.meta import (
    annotations_of,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    with_status,
)
from labrunner.sandbox.kube.controllers.runner import Key
from labrunner.sandbox.kube.controllers.settings import ControllerSettings

_MANAGER = "kube-controller-manager"
_KEPT_SINCE = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)
_EVENT_KINDS = ("Event", "events.k8s.io/Event")


class NamespaceContentsController:
    """ServiceAccount `default`, ConfigMap `kube-root-ca.crt` and, where the mesh is, `istio-ca-root-cert`."""

    name = "namespace-contents"
    watches: tuple[str, ...] = ("Namespace", "ServiceAccount", "ConfigMap", "Pod")

    def __init__(self, settings: ControllerSettings) -> None:
        self._ca = settings.ca_pem
        self._mesh = settings.mesh
        self._mesh_root = settings.mesh.root_cert_pem or settings.ca_pem
        self._meshed: set[str] = set()
        """Namespaces with an injected pod."""

    def keys(self, change: Change) -> list[Key]:
        if change.kind == "Namespace":
            return [("", name_of(change.obj))]
        if change.kind == "Pod":
            namespace = namespace_of(change.obj)
            if namespace in self._meshed or "sidecar.istio.io/status" not in annotations_of(change.obj):
                return []
            self._meshed.add(namespace)
            return [("", namespace)]
        ours = name_of(change.obj) in ("default", "kube-root-ca.crt", "istio-ca-root-cert")
        return [("", namespace_of(change.obj))] if ours and change.type != "ADDED" else []

    def reconcile(self, api: Api, key: Key) -> float | None:
        namespace = api.get("Namespace", key[1])
        if namespace is None or is_deleting(namespace):
            return None
        if api.get("ServiceAccount", "default", key[1]) is None:
            metadata = {"name": "default", "namespace": key[1]}
            api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}, manager=_MANAGER)
        note = {"kubernetes.io/description": _KEPT_SINCE}
        _config_map(api, key[1], "kube-root-ca.crt", {"ca.crt": self._ca}, {"annotations": note})
        if self._in_mesh(namespace):
            labels = {"istio.io/config": "true"}
            _config_map(api, key[1], "istio-ca-root-cert", {"root-cert.pem": self._mesh_root}, {"labels": labels})
        return None

    def _in_mesh(self, namespace: Obj) -> bool:
        if self._mesh.flavour == "none":
            return False
        labels, name = labels_of(namespace), name_of(namespace)
        own = name in (self._mesh.system_namespace, self._mesh.ingress_namespace)
        return own or name in self._meshed or "istio.io/rev" in labels or "istio-injection" in labels


def _config_map(api: Api, namespace: str, name: str, data: dict[str, str], metadata: dict[str, Any]) -> None:
    existing = api.get("ConfigMap", name, namespace)
    if existing is None:
        body: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "data": data}
        body["metadata"] = {"name": name, "namespace": namespace, **metadata}
        api.create(body, manager=_MANAGER)
    elif existing.get("data") != data and not is_deleting(existing):
        api.update({**existing, "data": data}, manager=_MANAGER)


class NamespaceDeletionController:
    """Deletes everything in a namespace that is going, then the namespace."""

    name = "namespace"
    watches: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._going: set[str] = set()

    def keys(self, change: Change) -> list[Key]:
        if change.kind == "Namespace":
            name = name_of(change.obj)
            if change.type != "DELETED" and is_deleting(change.obj):
                self._going.add(name)
                return [("", name)]
            self._going.discard(name)
            return []
        if self._going and change.type == "DELETED":
            namespace = key_of(change.obj)[0]
            return [("", namespace)] if namespace in self._going else []
        return []

    def reconcile(self, api: Api, key: Key) -> float | None:
        name = key[1]
        namespace = api.get("Namespace", name)
        if namespace is None or not is_deleting(namespace):
            return None
        left: dict[str, int] = {}
        held: dict[str, int] = {}
        kinds = [kind for kind in api.kinds() if kind.namespaced and "delete" in kind.verbs]
        for kind in sorted(kinds, key=lambda kind: kind.id in _EVENT_KINDS):
            for obj in api.objects(kind.id, name):
                if not is_deleting(obj):
                    api.delete(kind.id, name_of(obj), name, propagation="Background")
        for kind in kinds:
            for obj in api.objects(kind.id, name):
                shown = kind.resource if kind.group else f"{kind.plural}."
                left[shown] = left.get(shown, 0) + 1
                for finalizer in obj["metadata"].get("finalizers") or ():
                    held[finalizer] = held.get(finalizer, 0) + 1
        if left:
            self._say(api, namespace, left, held)
            return None
        api.remove("Namespace", name)
        self._going.discard(name)
        return None

    def _say(self, api: Api, namespace: Obj, left: dict[str, int], held: dict[str, int]) -> None:
        now, status = api.now(), dict(namespace.get("status") or {})
        status["phase"] = "Terminating"
        entries = status.get("conditions")
        for type_, reason, message in (
            ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
            ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions",
             "All legacy kube types successfully parsed"),
            ("NamespaceDeletionContentFailure", "ContentDeleted",
             "All content successfully deleted, may be waiting on finalization"),
        ):  # fmt: skip
            entries = conditions.put(entries, now, type_, "False", reason, message)
        listed = ", ".join(f"{what} has {count} resource instances" for what, count in sorted(left.items()))
        remaining = f"Some resources are remaining: {listed}"
        entries = conditions.put(entries, now, "NamespaceContentRemaining", "True", "SomeResourcesRemain", remaining)
        waiting = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(held.items()))
        if held:
            verdict = ("True", "SomeFinalizersRemain",
                       f"Some content in the namespace has finalizers remaining: {waiting}")  # fmt: skip
        else:
            verdict = ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished")
        entries = conditions.put(entries, now, "NamespaceFinalizersRemaining", *verdict)
        status["conditions"] = entries
        if status != namespace.get("status"):
            api.update_status(with_status(namespace, status), manager=_MANAGER)
