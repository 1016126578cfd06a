"""Runs controllers: a work queue per controller, on the server's event loop, coalescing like client-go's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from labrunner.sandbox.kube.api import Api, Change
from labrunner.sandbox.kube.status import ApiError

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""(namespace, name) of the object a controller is responsible for."""

_FIRST_RETRY, _LONGEST_RETRY = 0.05, 30.0
"""Seconds between looks at a key that fails, doubled each time."""


class Controller(Protocol):
    """Brings what is to what should be, for one key at a time. Must be idempotent.

    `watches`: the kinds whose changes matter (`()`: all). `keys` maps a change to the keys to reconcile; every
    object that exists when the runner starts comes as ADDED first.
    `reconcile` returns real seconds after which to look again, or None.
    """

    @property
    def name(self) -> str: ...

    @property
    def watches(self) -> tuple[str, ...]: ...

    def keys(self, change: Change) -> list[Key]: ...

    def reconcile(self, api: Api, key: Key) -> float | None: ...


@runtime_checkable
class SelfPaced(Protocol):
    """A controller that also wakes itself, from timers of pretended work."""

    def paced_by(self, enqueue: Callable[[Key], None]) -> None:
        """Called once, before the first reconcile; `enqueue` puts a key on this controller's queue."""
        ...


class Runner:
    """Feeds controllers from the API's changes until `stop`."""

    def __init__(self, api: Api, controllers: list[Controller]) -> None:
        self._api = api
        self._controllers = controllers
        self._pending: dict[tuple[int, Key], None] = {}
        self._timers: dict[tuple[int, Key], Callable[[], None]] = {}
        self._failures: dict[tuple[int, Key], int] = {}
        self._scheduled = False
        self._stopped = False
        for index, controller in enumerate(controllers):
            if isinstance(controller, SelfPaced):
                controller.paced_by(lambda key, i=index: self._add(i, key))  # type: ignore[misc]
        self._unsubscribe = [
            api.subscribe(controller.watches, lambda change, i=i: self._changed(i, change))  # type: ignore[misc]
            for i, controller in enumerate(controllers)
        ]
        self._list()

    def _list(self) -> None:
        """What was there before the watches began (a restored or reopened store)."""
        served = {kind.id: kind for kind in self._api.kinds()}
        for index, controller in enumerate(self._controllers):
            for kind in controller.watches or tuple(served):
                if kind not in served:
                    continue
                for obj in self._api.objects(kind):
                    version = int(obj["metadata"].get("resourceVersion") or 0)
                    self._changed(index, Change("ADDED", kind, obj, None, version))

    def stop(self) -> None:
        self._stopped = True
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        for cancel in self._timers.values():
            cancel()
        self._timers.clear()
        self._pending.clear()

    def enqueue(self, controller: Controller, key: Key) -> None:
        """Reconcile this key on the next turn of the loop."""
        self._add(self._controllers.index(controller), key)

    def _changed(self, index: int, change: Change) -> None:
        for key in self._controllers[index].keys(change):
            self._add(index, key)

    def _add(self, index: int, key: Key) -> None:
        if self._stopped:
            return
        self._pending[index, key] = None
        if not self._scheduled:
            self._scheduled = True
            self._api.call_later(0, self._drain)

    def _drain(self) -> None:
        self._scheduled = False
        work, self._pending = self._pending, {}
        for item in work:
            if not self._stopped:
                self._reconcile(item)

    def _reconcile(self, item: tuple[int, Key]) -> None:
        index, key = item
        controller = self._controllers[index]
        if cancel := self._timers.pop(item, None):
            cancel()
        try:
            again = controller.reconcile(self._api, key)
        except ApiError as error:
            # Conflicts and races with deletion mend themselves on the next look, as in client-go.
            log.debug("%s %s: %s", controller.name, key, error)
            again = self._backoff(item)
        except Exception:
            # One controller's fault must not end the others: the edge of a worker.
            log.exception("controller %s failed on %s", controller.name, key)
            again = max(5.0, self._backoff(item))
        else:
            self._failures.pop(item, None)
        if again is not None:
            due = self._api.now() + max(again, 0.0)
            self._timers[item] = self._api.call_at(due, lambda: self._add(index, key))

    def _backoff(self, item: tuple[int, Key]) -> float:
        failures = self._failures[item] = self._failures.get(item, 0) + 1
        return float(min(_FIRST_RETRY * 2 ** (failures - 1), _LONGEST_RETRY))
