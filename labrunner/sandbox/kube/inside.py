"""`Api`: the registry as controllers and the programs in pods see it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from labrunner.sandbox.kube.api import Change, Obj
from labrunner.sandbox.kube.binding import bind
from labrunner.sandbox.kube.clock import Clock, timestamp
from labrunner.sandbox.kube.events import EventCorrelator, Source
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.registry import Registry, copied
from labrunner.sandbox.kube.request import CONTROL_PLANE, DeleteOptions, Options
from labrunner.sandbox.kube.status import ApiError

log = logging.getLogger(__name__)


class InsideApi:
    """Implements `labrunner.sandbox.kube.api.Api` with the rights of the control plane."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry, self._store, self._clock = registry, registry.store, clock
        self._events = EventCorrelator()

    def get(self, kind: str, name: str, namespace: str = "") -> Obj | None:
        return self._store.get(kind, namespace, name)

    def objects(self, kind: str, namespace: str = "", labels: Mapping[str, str] | None = None) -> list[Obj]:
        found = self._store.objects(kind, namespace)
        if not labels:
            return found
        wanted = labels.items()
        return [obj for obj in found if wanted <= (obj["metadata"].get("labels") or {}).items()]

    def owned(self, kind: str, owner_uid: str) -> list[Obj]:
        return [
            obj
            for found, obj in self._store.owned(owner_uid)
            if found == kind
            and any(o["uid"] == owner_uid and o.get("controller") for o in obj["metadata"]["ownerReferences"])
        ]

    def create(self, obj: Obj, *, manager: str = "") -> Obj:
        kind = self._kind_of(obj)
        obj = copied(obj)
        namespace = obj.get("metadata", {}).get("namespace", "")
        return self._registry.create(kind, obj, namespace, _options(manager))

    def update(self, obj: Obj, *, manager: str = "") -> Obj:
        return self._update(obj, manager, "")

    def update_status(self, obj: Obj, *, manager: str = "") -> Obj:
        return self._update(obj, manager, "status")

    def _update(self, obj: Obj, manager: str, subresource: str) -> Obj:
        kind = self._kind_of(obj)
        meta = obj["metadata"]
        new = copied(obj)
        stored, _ = self._registry.update(
            kind, meta.get("namespace", ""), meta["name"], lambda old: new, _options(manager), subresource=subresource
        )
        return stored

    def delete(
        self, kind: str, name: str, namespace: str = "", *, propagation: str = "Background", grace: int | None = None
    ) -> None:
        how = DeleteOptions(grace=grace, propagation=propagation)
        try:
            self._registry.delete(self._registry.kind(kind), namespace, name, how, _options(""))
        except ApiError as error:
            if error.reason != "NotFound":
                raise

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        self._registry.remove(self._registry.kind(kind), namespace, name)

    def bind(self, pod: str, namespace: str, node: str) -> Obj:
        return bind(self._registry, namespace, pod, node, _options("kube-scheduler"))

    def record_event(
        self,
        involved: Obj,
        type_: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        *,
        component: str,
        field_path: str = "",
        host: str = "",
    ) -> None:
        meta = involved["metadata"]
        namespace = meta.get("namespace") or "default"
        source = Source(
            component,
            host,
            involved.get("kind", ""),
            meta.get("namespace", ""),
            meta["name"],
            meta.get("uid", ""),
            field_path,
        )
        at = self._clock.now()
        verdict = self._events.correlate(source, type_, reason, message, at)
        if verdict is None:
            return
        now = timestamp(at)
        known = self._store.get("Event", namespace, verdict.name) if verdict.count > 1 else None
        try:
            if known is not None:
                new = copied(known) | {"count": verdict.count, "lastTimestamp": now, "message": verdict.message}
                self._registry.update(
                    self._registry.kind("Event"), namespace, verdict.name, lambda old: new, _options(component)
                )
                return
            if verdict.count > 1:
                verdict = self._events.renamed(verdict, source, at)
            reference = {
                "kind": involved.get("kind", ""),
                "namespace": meta.get("namespace", ""),
                "name": meta["name"],
                "uid": meta.get("uid", ""),
                "apiVersion": involved.get("apiVersion", ""),
                "resourceVersion": meta.get("resourceVersion", ""),
                "fieldPath": field_path,
            }
            event = {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": verdict.name, "namespace": namespace},
                "involvedObject": {key: value for key, value in reference.items() if value},
                "reason": reason,
                "message": verdict.message,
                "source": {"component": component, **({"host": host} if host else {})},
                "firstTimestamp": timestamp(verdict.first),
                "lastTimestamp": now,
                "count": 1,
                "type": type_,
                "eventTime": None,
                "reportingComponent": component,
                "reportingInstance": host,
            }
            self._registry.create(self._registry.kind("Event"), event, namespace, _options(component))
        except ApiError as error:
            # Events are best effort: the namespace may be ending.
            log.debug("event %s not recorded: %s", reason, error)

    def subscribe(self, kinds: tuple[str, ...], callback: Callable[[Change], None]) -> Callable[[], None]:
        if not kinds:
            return self._store.listen(callback)
        wanted = frozenset(kinds)
        return self._store.listen(lambda change: callback(change) if change.kind in wanted else None)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        return self._clock.call_later(seconds, callback)

    def call_at(self, when: float, callback: Callable[[], None]) -> Callable[[], None]:
        return self._clock.call_at(when, callback)

    def kinds(self) -> Iterable[Kind]:
        return list(self._registry.kinds)

    def now(self) -> float:
        return self._clock.now()

    def _kind_of(self, obj: Obj) -> Kind:
        kind = self._registry.kinds.of_object(obj)
        if kind is None:
            raise ApiError(404, "NotFound", f"no kind {obj.get('kind')} in {obj.get('apiVersion')} is served")
        return kind


def _options(manager: str) -> Options:
    return Options(user=CONTROL_PLANE, manager=manager or "kube-controller-manager")
