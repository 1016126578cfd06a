"""Objects between the versions of a kind, and between two kinds that share one store.

Custom kinds convert by apiVersion alone (strategy None). Source: pkg/apis/*/v*/conversion.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labrunner.sandbox.kube import autoscaler_versions
from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.kinds import Kind, KindTable

Convert = Callable[[Obj], Obj]

SHARED_STORES = {"events.k8s.io/Event": "Event"}
"""Kinds whose objects are kept as another kind."""


class Conversion:
    """Converts what clients send and get; `register` adds a pair of versions that differ in shape."""

    def __init__(self, kinds: KindTable) -> None:
        self._kinds = kinds
        self._from_storage: dict[tuple[str, str], Convert] = {
            ("events.k8s.io/Event", "v1"): _event_to_v1,
            ("autoscaling/HorizontalPodAutoscaler", "v1"): autoscaler_versions.to_v1,
        }
        self._to_storage: dict[tuple[str, str], Convert] = {
            ("events.k8s.io/Event", "v1"): _event_from_v1,
            ("autoscaling/HorizontalPodAutoscaler", "v1"): autoscaler_versions.from_v1,
        }

    def register(self, kind_id: str, version: str, outward: Convert, inward: Convert) -> None:
        """`outward`: storage version -> `version`; `inward`: back. Both are given an object they may not change."""
        self._from_storage[kind_id, version] = outward
        self._to_storage[kind_id, version] = inward

    def stored_kind(self, kind: Kind) -> Kind:
        """The kind whose objects a request for `kind` is about."""
        other = SHARED_STORES.get(kind.id)
        return (self._kinds.get(other) or kind) if other else kind

    def converts(self, kind: Kind, version: str) -> bool:
        """Whether objects differ between the store and this version by more than apiVersion."""
        return (kind.id, version) in self._from_storage

    def outward(self, kind: Kind, version: str, obj: Obj) -> Obj:
        """A stored object in a served version. Shares structure with `obj`."""
        convert = self._from_storage.get((kind.id, version))
        if convert:
            obj = convert(obj)
        wanted = kind.api_version(version)
        if obj.get("apiVersion") == wanted and obj.get("kind") == kind.kind:
            return obj
        return {**obj, "apiVersion": wanted, "kind": kind.kind}

    def inward(self, kind: Kind, version: str, obj: Obj) -> Obj:
        """A client's object in the storage version of the kind it is stored as."""
        convert = self._to_storage.get((kind.id, version))
        if convert:
            obj = convert(obj)
        stored = self.stored_kind(kind)
        return {**obj, "apiVersion": stored.api_version(), "kind": stored.kind}


def _event_to_v1(obj: Obj) -> Obj:
    """core/v1 Event -> events.k8s.io/v1. Source: pkg/apis/events/v1/conversion.go."""
    moved = {
        "involvedObject": "regarding",
        "message": "note",
        "reportingComponent": "reportingController",
        "source": "deprecatedSource",
        "firstTimestamp": "deprecatedFirstTimestamp",
        "lastTimestamp": "deprecatedLastTimestamp",
        "count": "deprecatedCount",
    }
    return {moved.get(key, key): value for key, value in obj.items()}


def _event_from_v1(obj: Obj) -> Obj:
    moved = {
        "regarding": "involvedObject",
        "note": "message",
        "reportingController": "reportingComponent",
        "deprecatedSource": "source",
        "deprecatedFirstTimestamp": "firstTimestamp",
        "deprecatedLastTimestamp": "lastTimestamp",
        "deprecatedCount": "count",
    }
    result: dict[str, Any] = {moved.get(key, key): value for key, value in obj.items()}
    result.setdefault("source", {})
    return result
