"""The objects: in memory, sorted as etcd sorts them, each write journalled before it shows, with a bounded history.

The store knows nothing of HTTP, schemas or admission. Objects in it are never changed in place: a write puts a new
object, so whoever holds an old one keeps a consistent view.
"""

from __future__ import annotations

import bisect
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from labrunner.sandbox.kube.api import Change, Obj
from labrunner.sandbox.kube.journal import Journal, Line

HISTORY = 1000
"""Changes kept per kind for watches that resume; older resourceVersions are answered 410."""


def key_of(namespace: str, name: str) -> str:
    """The key within a kind; keys sort as etcd's do."""
    return f"{namespace}/{name}" if namespace else name


def _object_key(obj: Obj) -> str:
    meta = obj["metadata"]
    return key_of(meta.get("namespace", ""), meta["name"])


class Table:
    """The objects of one kind, their sorted keys, and their recent changes."""

    __slots__ = ("compacted", "history", "keys", "last", "objects")

    def __init__(self, revision: int) -> None:
        self.objects: dict[str, Obj] = {}
        self.keys: list[str] = []
        self.history: deque[Change] = deque()
        self.compacted = revision
        """Changes up to and including this revision are forgotten."""
        self.last = revision
        """Revision of the latest change."""

    def remember(self, change: Change) -> None:
        self.history.append(change)
        self.last = change.resource_version
        if len(self.history) > HISTORY:
            self.compacted = self.history.popleft().resource_version


class Store:
    """Every object of a sandbox. All writes happen on one thread."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.revision = 0
        self._tables: dict[str, Table] = {}
        self._owned: dict[str, set[tuple[str, str]]] = {}
        self._journal = journal
        self._listeners: list[Callable[[Change], None]] = []
        self._resets: list[Callable[[], None]] = []
        if journal is not None:
            self._load(journal.load())

    # reading

    def get(self, kind: str, namespace: str, name: str) -> Obj | None:
        table = self._tables.get(kind)
        return table.objects.get(key_of(namespace, name)) if table else None

    def table(self, kind: str) -> Table:
        table = self._tables.get(kind)
        if table is None:
            table = self._tables[kind] = Table(self.revision)
        return table

    def objects(self, kind: str, namespace: str = "") -> list[Obj]:
        """In key order; `namespace=""`: all."""
        table = self._tables.get(kind)
        if table is None:
            return []
        objects = table.objects
        if not namespace:
            return [objects[key] for key in table.keys]
        first = bisect.bisect_left(table.keys, namespace + "/")
        last = bisect.bisect_left(table.keys, namespace + "0")  # "0" follows "/"
        return [objects[key] for key in table.keys[first:last]]

    def at(self, kind: str, namespace: str, revision: int) -> list[Obj] | None:
        """The objects as they were at a revision; None when that is no longer (or not yet) known."""
        table = self._tables.get(kind)
        if table is None:
            return []
        if revision > self.revision or revision < table.compacted:
            return None
        if revision >= table.last:
            return self.objects(kind, namespace)
        objects = dict(table.objects)
        for change in reversed(table.history):
            if change.resource_version <= revision:
                break
            key = _object_key(change.obj)
            if change.old is None:
                objects.pop(key, None)
            else:
                objects[key] = change.old
        keys = sorted(objects)
        return [objects[key] for key in keys if not namespace or key.startswith(namespace + "/")]

    def owned(self, owner_uid: str) -> list[tuple[str, Obj]]:
        """(kind, object) of everything with an ownerReference to this uid."""
        found = []
        for kind, key in sorted(self._owned.get(owner_uid, ())):
            found.append((kind, self._tables[kind].objects[key]))
        return found

    def counts(self) -> dict[str, int]:
        """Objects per kind, kinds without any left out."""
        return {kind: len(table.objects) for kind, table in sorted(self._tables.items()) if table.objects}

    # writing

    def put(self, kind: str, obj: Obj) -> Change:
        """Keep this object (its metadata is given the new resourceVersion) and tell listeners."""
        revision = self.revision + 1
        obj["metadata"]["resourceVersion"] = str(revision)
        key = _object_key(obj)
        self._write({"v": revision, "k": kind, "o": obj})
        self.revision = revision
        table = self.table(kind)
        old = table.objects.get(key)
        self._place(kind, table, key, obj)
        change = Change("ADDED" if old is None else "MODIFIED", kind, obj, old, revision)
        self._tell(table, change)
        return change

    def remove(self, kind: str, namespace: str, name: str) -> Change | None:
        """Take the object out; the change carries its last state with a new resourceVersion."""
        key = key_of(namespace, name)
        table = self.table(kind)
        old = table.objects.get(key)
        if old is None:
            return None
        revision = self.revision + 1
        self._write({"v": revision, "k": kind, "d": key})
        self.revision = revision
        self._displace(kind, table, key)
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(revision)}}
        change = Change("DELETED", kind, last, old, revision)
        self._tell(table, change)
        return change

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call back after every change, in order; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def on_reset(self, callback: Callable[[], None]) -> None:
        """Call back when the whole state was replaced: running watches cannot continue."""
        self._resets.append(callback)

    # the whole

    def lines(self) -> Iterator[Line]:
        """The live state as journal lines."""
        yield {"v": self.revision, "time": time.time()}
        for kind, table in self._tables.items():
            for key in table.keys:
                yield {"v": self.revision, "k": kind, "o": table.objects[key]}

    def replace(self, lines: Iterable[Line]) -> None:
        """Put the world as these lines say. What is unchanged keeps its resourceVersion; revisions go on growing.

        Listeners hear each difference as a change; watches end, because history is forgotten.
        """
        wanted: dict[tuple[str, str], Obj] = {}
        for line in lines:
            if "o" in line:
                wanted[line["k"], _object_key(line["o"])] = line["o"]
        changes: list[Change] = []
        before = {(kind, key): obj for kind, table in self._tables.items() for key, obj in table.objects.items()}
        for (kind, key), obj in before.items():
            if (kind, key) not in wanted:
                self.revision += 1
                self._displace(kind, self.table(kind), key)
                changes.append(Change("DELETED", kind, obj, obj, self.revision))
        for (kind, key), obj in wanted.items():
            old = before.get((kind, key))
            if old is not None and _version(old) == _version(obj):
                continue
            self.revision += 1
            obj["metadata"]["resourceVersion"] = str(self.revision)
            self._place(kind, self.table(kind), key, obj)
            type_: Literal["ADDED", "MODIFIED"] = "ADDED" if old is None else "MODIFIED"
            changes.append(Change(type_, kind, obj, old, self.revision))
        self.revision += 1
        for table in self._tables.values():
            table.history.clear()
            table.compacted = table.last = self.revision
        if self._journal:
            self._journal.replace(self.lines())
        for reset in self._resets:
            reset()
        for change in changes:
            for listener in list(self._listeners):
                listener(change)

    def compact(self) -> None:
        """Rewrite the journal if it has grown enough."""
        if self._journal and self._journal.wants_compaction:
            self._journal.replace(self.lines())

    # within

    def _write(self, line: Line) -> None:
        if self._journal:
            self._journal.append(line)

    def _tell(self, table: Table, change: Change) -> None:
        table.remember(change)
        for listener in list(self._listeners):
            listener(change)

    def _place(self, kind: str, table: Table, key: str, obj: Obj) -> None:
        old = table.objects.get(key)
        if old is None:
            if not table.keys or key > table.keys[-1]:
                table.keys.append(key)
            else:
                bisect.insort(table.keys, key)
        else:
            self._disown(kind, key, old)
        table.objects[key] = obj
        for owner in obj["metadata"].get("ownerReferences", ()):
            self._owned.setdefault(owner["uid"], set()).add((kind, key))

    def _displace(self, kind: str, table: Table, key: str) -> None:
        self._disown(kind, key, table.objects.pop(key))
        del table.keys[bisect.bisect_left(table.keys, key)]

    def _disown(self, kind: str, key: str, obj: Obj) -> None:
        for owner in obj["metadata"].get("ownerReferences", ()):
            entries = self._owned.get(owner["uid"])
            if entries is not None:
                entries.discard((kind, key))
                if not entries:
                    del self._owned[owner["uid"]]

    def _load(self, lines: Iterator[Line]) -> None:
        for line in lines:
            self.revision = max(self.revision, line.get("v", 0))
            if "o" in line:
                table = self.table(line["k"])
                self._place(line["k"], table, _object_key(line["o"]), line["o"])
            elif "d" in line:
                table = self.table(line["k"])
                if line["d"] in table.objects:
                    self._displace(line["k"], table, line["d"])
        for table in self._tables.values():
            table.compacted = table.last = self.revision


def _version(obj: Obj) -> tuple[Any, Any]:
    return obj["metadata"].get("uid"), obj["metadata"].get("resourceVersion")
