"""Watches: every change reaches each watcher whose selector it concerns, serialised once per representation.

Source of semantics: k8s.io/apiserver/pkg/storage/cacher and endpoints/handlers/watch.go.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from labrunner.sandbox.kube.api import Change, Obj
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.listing import ListOptions, expired
from labrunner.sandbox.kube.status import ApiError
from labrunner.sandbox.kube.store import Store

Encode = Callable[[Obj, bool], Any]
"""(stored object, whether it is the watch's first) -> what the event carries."""

BACKLOG = 5000
"""Undelivered changes after which a slow watcher is cut off; it lists again."""
BOOKMARK_SECONDS = 60.0
LAST_BOOKMARK_SECONDS = 2.0
"""How long before its time limit a watch gets its last bookmark."""
MIN_TIMEOUT_SECONDS = 1800.0
SHARED_EVENTS = 256
"""Serialised events kept for sharing between watchers."""


class Watcher:
    """One running watch: a queue of changes and what wakes its task."""

    __slots__ = ("closed", "matches", "namespace", "queue", "wake")

    def __init__(self, namespace: str, options: ListOptions) -> None:
        self.namespace, self.matches = namespace, options.matches
        self.queue: deque[Change] = deque()
        self.wake = asyncio.Event()
        self.closed: ApiError | None = None

    def offer(self, change: Change) -> None:
        if self.namespace and change.obj["metadata"].get("namespace") != self.namespace:
            return
        if len(self.queue) >= BACKLOG:
            self.close(expired("the watcher is too slow and was cut off"))
            return
        self.queue.append(change)
        self.wake.set()

    def close(self, error: ApiError) -> None:
        """End with an ERROR event."""
        self.closed = error
        self.wake.set()


class Watches:
    """All running watches of a server."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_kind: dict[str, set[Watcher]] = {}
        self._shared: dict[tuple[Any, ...], bytes] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        store.listen(self._changed)
        store.on_reset(self._reset)

    def count(self) -> int:
        return sum(len(watchers) for watchers in self._by_kind.values())

    def end_kind(self, kind_id: str) -> None:
        """The kind is no longer served."""
        for watcher in list(self._by_kind.get(kind_id, ())):
            watcher.close(expired("the watched kind is no longer served"))

    def close(self) -> None:
        """End every watch at once: the server stops."""
        for task in list(self._tasks):
            task.cancel()

    def _changed(self, change: Change) -> None:
        for watcher in self._by_kind.get(change.kind, ()):
            watcher.offer(change)

    def _reset(self) -> None:
        self._shared.clear()
        for watchers in self._by_kind.values():
            for watcher in watchers:
                watcher.close(expired("too old resource version: the sandbox was restored from a snapshot"))

    async def serve(
        self,
        request: web.BaseRequest,
        response: web.StreamResponse,
        kind: Kind,
        namespace: str,
        options: ListOptions,
        form: tuple[Any, ...],
        encode: Encode,
    ) -> web.StreamResponse:
        """Stream events until the time limit, the client or the server ends it.

        `form` names the representation `encode` makes; equal forms share serialised events.
        """
        watcher = Watcher(namespace, options)
        watchers = self._by_kind.setdefault(kind.id, set())
        pending, bookmark_due, failure = self._begin(kind, namespace, options)
        task = asyncio.current_task()
        if failure is None:
            watchers.add(watcher)
        if task:
            self._tasks.add(task)
        try:
            await response.prepare(request)
            stream = _Stream(self, response, kind, form, encode)
            if failure is not None:
                await stream.error(failure)
                return response
            await stream.events(pending)
            if bookmark_due:
                await stream.bookmark(self._store.revision, initial_end=True)
            await self._follow(watcher, stream, options)
        except (ConnectionResetError, ConnectionError):
            pass
        finally:
            watchers.discard(watcher)
            if task:
                self._tasks.discard(task)
        return response

    def _begin(
        self, kind: Kind, namespace: str, options: ListOptions
    ) -> tuple[list[tuple[str, Obj, int]], bool, ApiError | None]:
        """(events to send at once, whether the initial-events-end bookmark is due, why it cannot be served)."""
        store = self._store
        version = int(options.resource_version or 0)
        initial = options.send_initial_events
        if initial or (initial is None and version == 0):
            events = [
                ("ADDED", obj, 0)
                for obj in store.objects(kind.id, namespace)
                if options.matches is None or options.matches(obj)
            ]
            return events, bool(initial and options.bookmarks), None
        if version == 0:
            return [], False, None
        table = store.table(kind.id)
        if version < table.compacted:
            return [], False, expired(f"too old resource version: {version} ({table.compacted})")
        events = []
        for change in table.history:
            if change.resource_version > version and (
                not namespace or change.obj["metadata"].get("namespace") == namespace
            ):
                found = seen(change, options)
                if found:
                    events.append((*found, change.resource_version))
        return events, False, None

    async def _follow(self, watcher: Watcher, stream: _Stream, options: ListOptions) -> None:
        loop = asyncio.get_running_loop()
        limit = options.timeout or MIN_TIMEOUT_SECONDS * (1 + random.random())
        deadline = loop.time() + limit
        next_bookmark = loop.time() + BOOKMARK_SECONDS
        if options.timeout:
            next_bookmark = min(next_bookmark, max(loop.time() + 1, deadline - LAST_BOOKMARK_SECONDS))
        while True:
            wait = deadline - loop.time()
            if options.bookmarks:
                wait = min(wait, next_bookmark - loop.time())
            if not watcher.queue and watcher.closed is None and wait > 0:
                watcher.wake.clear()
                timer = loop.call_later(wait, watcher.wake.set)
                try:
                    await watcher.wake.wait()
                finally:
                    timer.cancel()
            while watcher.queue and watcher.closed is None:
                batch = []
                while watcher.queue:
                    change = watcher.queue.popleft()
                    found = seen(change, options)
                    if found:
                        batch.append((*found, change.resource_version))
                await stream.events(batch)
            if watcher.closed is not None:
                await stream.error(watcher.closed)
                return
            now = loop.time()
            if now >= deadline:
                return
            if options.bookmarks and now >= next_bookmark:
                next_bookmark = now + BOOKMARK_SECONDS
                if now < deadline - LAST_BOOKMARK_SECONDS:
                    next_bookmark = min(next_bookmark, deadline - LAST_BOOKMARK_SECONDS)
                await stream.bookmark(self._store.revision)

    def shared(self, key: tuple[Any, ...], make: Callable[[], bytes]) -> bytes:
        """The serialised event, made once for all watchers of the same form."""
        found = self._shared.get(key)
        if found is None:
            if len(self._shared) >= SHARED_EVENTS:
                self._shared.pop(next(iter(self._shared)))
            found = self._shared[key] = make()
        return found


class _Stream:
    """Writes one watch's events."""

    def __init__(
        self, watches: Watches, response: web.StreamResponse, kind: Kind, form: tuple[Any, ...], encode: Encode
    ) -> None:
        self._watches, self._response, self._kind = watches, response, kind
        self._form, self._encode = form, encode
        self._first = True

    async def events(self, events: list[tuple[str, Obj, int]]) -> None:
        chunks = []
        for type_, obj, revision in events:
            first, self._first = self._first, False

            def make(type_: str = type_, obj: Obj = obj, first: bool = first) -> bytes:
                return _line(type_, self._encode(obj, first))

            if revision:
                key = (self._kind.id, revision, type_, first, self._form)
                chunks.append(self._watches.shared(key, make))
            else:
                chunks.append(make())
        if chunks:
            await self._response.write(b"".join(chunks))

    async def bookmark(self, revision: int, *, initial_end: bool = False) -> None:
        metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        obj = {"kind": self._kind.kind, "apiVersion": self._kind.api_version(), "metadata": metadata}
        first, self._first = self._first, False
        await self._response.write(_line("BOOKMARK", self._encode(obj, first)))

    async def error(self, error: ApiError) -> None:
        await self._response.write(_line("ERROR", error.status()))


def _line(type_: str, obj: Any) -> bytes:
    return orjson.dumps({"type": type_, "object": obj}, option=orjson.OPT_APPEND_NEWLINE)


def seen(change: Change, options: ListOptions) -> tuple[str, Obj] | None:
    """The event a watcher with these options sees, if any: selectors turn changes into additions and deletions."""
    matches = options.matches
    if matches is None:
        return change.type, change.obj
    was = change.old is not None and matches(change.old)
    if change.type == "DELETED":
        return ("DELETED", change.obj) if was else None
    now = matches(change.obj)
    if now:
        return ("MODIFIED" if was else "ADDED"), change.obj
    if was and change.old is not None:
        # The last state that matched, at the version at which it ceased to.
        version = change.obj["metadata"]["resourceVersion"]
        return "DELETED", {**change.old, "metadata": {**change.old["metadata"], "resourceVersion": version}}
    return None
