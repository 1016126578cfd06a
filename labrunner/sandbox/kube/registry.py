"""Create, update and delete as the API server's generic registry does: one strategy for every kind.

Implements `labrunner.sandbox.kube.api.Api` (in `inside`) and the writes of HTTP requests on the same code. Objects are
in their kind's storage version here; conversion happens at the server's edge.
Source: k8s.io/apiserver/pkg/registry/generic/registry/store.go and registry/rest.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from typing import Any, Protocol

import orjson

from labrunner.sandbox.kube import field, traits
from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.clock import Clock, timestamp
from labrunner.sandbox.kube.journal import JournalFull
from labrunner.sandbox.kube.kinds import Kind, KindTable
from labrunner.sandbox.kube.request import Admission, AdmissionRequest, DeleteOptions, Options
from labrunner.sandbox.kube.schema import warnings
from labrunner.sandbox.kube.schemas import Schemas
from labrunner.sandbox.kube.status import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from labrunner.sandbox.kube.store import Store

Prepare = Callable[[Obj, Obj | None, Options], Obj]
"""(new, old, options) -> what to go on with: allocation of addresses and ports, just before validation."""

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
_NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_GENERATED_RETRIES = 8
_GC_FINALIZERS = ("orphan", "foregroundDeletion")


class Ownership(Protocol):
    """Keeps metadata.managedFields; see `labrunner.sandbox.kube.managed_fields`."""

    def updated(self, kind: Kind, new: Obj, old: Obj | None, options: Options, subresource: str, now: str) -> None:
        """Record in `new` what `options.manager` changed since `old`."""
        ...


def copied(obj: Obj) -> Obj:
    """A deep copy."""
    return orjson.loads(orjson.dumps(obj))  # type: ignore[no-any-return]


class Registry:
    """All writes to a store go through here."""

    def __init__(
        self, store: Store, kinds: KindTable, schemas: Schemas, clock: Clock, ownership: Ownership | None = None
    ) -> None:
        self.store, self.kinds, self.schemas, self.clock = store, kinds, schemas, clock
        self._ownership = ownership
        self.admission: list[Admission] = []
        """Run in order on every create, update and delete, before validation: they may change the object."""
        self.judges: list[Admission] = []
        """Run in order on what validation let pass, and on deletes: they only refuse or warn."""
        self.prepare: dict[str, list[Prepare]] = {}
        """By kind id."""
        self.inside: Api | None = None
        """What admission is given."""

    # reading

    def kind(self, kind_id: str) -> Kind:
        kind = self.kinds.get(kind_id)
        if kind is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        return kind

    def read(self, kind: Kind, namespace: str, name: str) -> Obj:
        """The stored object, shared: copy before changing. Raises 404."""
        obj = self.store.get(kind.id, namespace, name)
        if obj is None:
            raise not_found(kind.plural, kind.group, name)
        return obj

    # create

    def create(self, kind: Kind, obj: Obj, namespace: str, options: Options) -> Obj:
        """Keep a new object (taken over, not copied). Returns it as stored."""
        meta = obj.setdefault("metadata", {})
        self._place(kind, meta, namespace)
        for gone in ("resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"):
            meta.pop(gone, None)
        if kind.namespaced:
            self._check_namespace(kind, meta.get("name", ""), namespace)
        if meta.get("name"):
            return self._create(kind, obj, namespace, options)
        prefix = meta.get("generateName", "")
        if not prefix:
            return self._create(kind, obj, namespace, options)
        for attempt in range(_GENERATED_RETRIES):
            fresh = obj if attempt == _GENERATED_RETRIES - 1 else copied(obj)
            fresh["metadata"]["name"] = generated_name(prefix)
            try:
                return self._create(kind, fresh, namespace, options)
            except ApiError as error:
                if error.reason != "AlreadyExists" or attempt == _GENERATED_RETRIES - 1:
                    raise
        raise AssertionError

    def _create(self, kind: Kind, obj: Obj, namespace: str, options: Options) -> Obj:
        meta = obj["metadata"]
        now = timestamp(self.clock.now())
        meta["uid"] = str(uuid.uuid4())
        meta["creationTimestamp"] = now
        meta.pop("generation", None)
        if traits.has_generation(kind):
            meta["generation"] = 1
        obj["apiVersion"], obj["kind"] = kind.api_version(), kind.kind
        if "status" in kind.subresources and not traits.keeps_status_on_create(kind):
            obj.pop("status", None)
        self.schemas.default(kind, kind.storage, obj)
        traits.fill(kind, obj)
        if self._ownership:
            self._ownership.updated(kind, obj, None, options, "", now)
        request = AdmissionRequest("CREATE", kind, namespace, meta.get("name", ""), "", options)
        obj = self._prepared(request, obj, None)
        traits.prepare_for_create(kind, obj)
        self._validate(kind, obj, None)
        self._judge(request, obj, None)
        self._warn(kind, obj, None, options)
        if self.store.get(kind.id, namespace, meta["name"]) is not None:
            raise already_exists(kind.plural, kind.group, meta["name"])
        if options.dry_run:
            return obj
        self._put(kind, obj)
        return obj

    # update

    def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Callable[[Obj | None], Obj],
        options: Options,
        *,
        subresource: str = "",
        create: bool = False,
    ) -> tuple[Obj, bool]:
        """Replace an object by what `change` makes of it; returns (stored object, whether it was created).

        `change` is given the stored object (not to be changed in place), or None when there is none and `create`.
        """
        old = self.store.get(kind.id, namespace, name)
        if old is None:
            if not create:
                raise not_found(kind.plural, kind.group, name)
            new = change(None)
            meta = new.setdefault("metadata", {})
            self._check_identity(kind, meta, namespace, name)
            if meta.get("uid"):
                raise conflict(
                    kind.plural,
                    kind.group,
                    name,
                    f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: ",
                )
            if meta.get("resourceVersion") not in (None, "", "0"):
                raise conflict(kind.plural, kind.group, name, MODIFIED)
            return self.create(kind, new, namespace, options), True
        new = change(old)
        meta = new.setdefault("metadata", {})
        self._check_identity(kind, meta, namespace, name)
        self._check_preconditions(kind, meta, old)
        return self._replace(kind, new, old, options, subresource), False

    def _check_identity(self, kind: Kind, meta: dict[str, Any], namespace: str, name: str) -> None:
        given = meta.setdefault("name", name)
        if given != name:
            raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
        self._place(kind, meta, namespace)

    def _place(self, kind: Kind, meta: dict[str, Any], namespace: str) -> None:
        if not kind.namespaced:
            if meta.get("namespace"):
                # The server ignores the namespace of an update, refuses that of a create.
                meta.pop("namespace")
            return
        if not meta.get("namespace"):
            meta["namespace"] = namespace
        elif meta["namespace"] != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")

    @staticmethod
    def _check_preconditions(kind: Kind, meta: dict[str, Any], old: Obj) -> None:
        name, old_meta = old["metadata"]["name"], old["metadata"]
        uid = meta.get("uid")
        if uid and uid != old_meta["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old_meta['uid']}"
            raise conflict(kind.plural, kind.group, name, why)
        version = meta.get("resourceVersion")
        if version in (None, "", "0"):
            if not traits.allows_unconditional_update(kind):
                problem = field.invalid("metadata.resourceVersion", 0, "must be specified for an update")
                # The server names the resource here where it names the kind elsewhere.
                raise invalid(kind.plural, kind.group, name, [problem.cause()])
        elif version != old_meta["resourceVersion"]:
            if not str(version).isdigit():
                problem = field.invalid("metadata.resourceVersion", version, "must be an unsigned integer")
                raise invalid(kind.kind, kind.group, name, [problem.cause()])
            raise conflict(kind.plural, kind.group, name, MODIFIED)

    def _replace(self, kind: Kind, new: Obj, old: Obj, options: Options, subresource: str) -> Obj:
        meta, old_meta = new["metadata"], old["metadata"]
        new["apiVersion"], new["kind"] = kind.api_version(), kind.kind
        for kept in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            if kept in old_meta:
                meta[kept] = old_meta[kept]
            else:
                meta.pop(kept, None)
        meta.pop("selfLink", None)
        meta["resourceVersion"] = old_meta["resourceVersion"]
        if subresource in ("status", "approval"):
            new = self._only_status(kind, new, old)
        elif "status" in kind.subresources and subresource != "binding":
            if "status" in old:
                new["status"] = old["status"]
            else:
                new.pop("status", None)
        meta = new["metadata"]
        self.schemas.default(kind, kind.storage, new)
        traits.fill(kind, new)
        if self._ownership:
            self._ownership.updated(kind, new, old, options, subresource, timestamp(self.clock.now()))
        traits.prepare_for_update(kind, new, old, timestamp(self.clock.now()))
        request = AdmissionRequest("UPDATE", kind, meta.get("namespace", ""), meta["name"], subresource, options)
        new = self._prepared(request, new, old)
        meta = new["metadata"]
        if traits.has_generation(kind) and _significant(new) != _significant(old):
            meta["generation"] = old_meta.get("generation", 0) + 1
        if _same(new, old):
            return old
        self._validate(kind, new, old, subresource)
        self._judge(request, new, old)
        if not subresource:
            self._warn(kind, new, old, options)
        if options.dry_run:
            return new
        if self._finished(kind, new):
            self._put(kind, new)
            self._take(kind, meta.get("namespace", ""), meta["name"])
            return new
        self._put(kind, new)
        return new

    @staticmethod
    def _only_status(kind: Kind, new: Obj, old: Obj) -> Obj:
        result = {key: value for key, value in old.items() if key != "status"}
        result["metadata"] = {**old["metadata"]}
        if "managedFields" in new["metadata"]:
            result["metadata"]["managedFields"] = new["metadata"]["managedFields"]
        if not kind.custom:
            for changeable in ("labels", "annotations"):
                if changeable in new["metadata"]:
                    result["metadata"][changeable] = new["metadata"][changeable]
                else:
                    result["metadata"].pop(changeable, None)
        if "status" in new:
            result["status"] = new["status"]
        return copied(result)

    # delete

    def delete(self, kind: Kind, namespace: str, name: str, how: DeleteOptions, options: Options) -> tuple[Obj, bool]:
        """Begin (or finish) deletion; returns (last state, whether it is gone)."""
        old = self.store.get(kind.id, namespace, name)
        if old is None:
            raise not_found(kind.plural, kind.group, name)
        meta = old["metadata"]
        if how.uid and how.uid != meta["uid"]:
            raise conflict(
                kind.plural,
                kind.group,
                name,
                f"the UID in the precondition ({how.uid}) does not match the UID in record ({meta['uid']}). "
                "The object might have been deleted and then recreated",
            )
        if how.resource_version and how.resource_version != meta["resourceVersion"]:
            raise conflict(
                kind.plural,
                kind.group,
                name,
                f"the ResourceVersion in the precondition ({how.resource_version}) does not match the ResourceVersion "
                f"in record ({meta['resourceVersion']}). The object might have been modified",
            )
        if kind.id == "Namespace" and name in ("default", "kube-system", "kube-public"):
            raise forbidden(kind.plural, kind.group, name, "this namespace may not be deleted")
        request = AdmissionRequest("DELETE", kind, namespace, name, "", options)
        self._admit(request, old, old)
        self._judge(request, old, old)
        if kind.id == "Namespace":
            return self._delete_namespace(kind, old, options)
        return self._delete(kind, namespace, name, old, how, options)

    def _delete(
        self, kind: Kind, namespace: str, name: str, old: Obj, how: DeleteOptions, options: Options
    ) -> tuple[Obj, bool]:
        meta = old["metadata"]
        deleting = "deletionTimestamp" in meta
        grace = traits.grace_period(kind, old, how.grace)
        now = self.clock.now()
        new = copied(old)
        if grace is not None:
            left = meta.get("deletionGracePeriodSeconds") or 0
            if deleting and left:
                if how.grace is None or grace >= left:
                    return old, False
                began = traits.seconds(meta["deletionTimestamp"]) - left
                new["metadata"]["deletionTimestamp"] = timestamp(began + grace)
                new["metadata"]["deletionGracePeriodSeconds"] = grace
            elif not deleting:
                new["metadata"]["deletionTimestamp"] = timestamp(now + grace)
                new["metadata"]["deletionGracePeriodSeconds"] = grace
                if "generation" in meta:
                    new["metadata"]["generation"] = meta["generation"] + 1
        finalizers = self._finalizers(kind, meta.get("finalizers", []), how.propagation)
        if finalizers:
            new["metadata"]["finalizers"] = finalizers
            if grace is None:
                if not deleting and "generation" in meta:
                    new["metadata"]["generation"] = meta["generation"] + 1
                new["metadata"].setdefault("deletionTimestamp", timestamp(now))
                new["metadata"]["deletionGracePeriodSeconds"] = 0
        else:
            new["metadata"].pop("finalizers", None)
            if not new["metadata"].get("deletionGracePeriodSeconds"):
                if not options.dry_run:
                    self._take(kind, namespace, name)
                return new, True
        if not options.dry_run and not _same(new, old):
            self._put(kind, new)
        return new, False

    @staticmethod
    def _finalizers(kind: Kind, present: list[str], propagation: str) -> list[str]:
        """With the garbage collector's finalizers as the propagation policy wants them."""
        kept = [name for name in present if name not in _GC_FINALIZERS]
        if not propagation:
            return list(present)
        if propagation == "Orphan":
            kept.append("orphan")
        elif propagation == "Foreground":
            kept.append("foregroundDeletion")
        return kept

    def _delete_namespace(self, kind: Kind, old: Obj, options: Options) -> tuple[Obj, bool]:
        meta = old["metadata"]
        if "deletionTimestamp" in meta:
            if (old.get("spec") or {}).get("finalizers"):
                raise conflict(
                    kind.plural,
                    kind.group,
                    meta["name"],
                    "The system is ensuring all content is removed from this namespace.  "
                    "Upon completion, this namespace will automatically be purged by the system.",
                )
            return old, False
        new = copied(old)
        new["metadata"]["deletionTimestamp"] = timestamp(self.clock.now())
        new.setdefault("status", {})["phase"] = "Terminating"
        if not options.dry_run:
            self._put(kind, new)
        return new, False

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Take an object out of the store, whatever its finalizers say."""
        self._take(kind, namespace, name)

    def finalize_namespace(self, name: str, obj: Obj, options: Options) -> Obj:
        """The `finalize` subresource: only spec.finalizers change; a deleted namespace without any is gone."""
        kind = self.kind("Namespace")
        old = self.read(kind, "", name)
        self._check_preconditions(kind, obj.get("metadata", {}), old)
        new = copied(old)
        new.setdefault("spec", {})["finalizers"] = (obj.get("spec") or {}).get("finalizers") or []
        if _same(new, old):
            return old
        if not options.dry_run:
            self._put(kind, new)
            if self._finished(kind, new):
                self._take(kind, "", name)
        return new

    # within

    @staticmethod
    def _finished(kind: Kind, obj: Obj) -> bool:
        """Whether the last thing that kept a deleted object was just removed."""
        meta = obj["metadata"]
        if "deletionTimestamp" not in meta or meta.get("finalizers"):
            return False
        if kind.id == "Namespace":
            return not (obj.get("spec") or {}).get("finalizers")
        return not meta.get("deletionGracePeriodSeconds")

    def _prepared(self, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
        """Through admission and allocation. They see objects that are not validated yet: one that they cannot make
        sense of is refused by validation, in its words.
        """
        try:
            obj = self._admit(request, obj, old)
            if not request.subresource:
                for prepare in self.prepare.get(request.kind.id, ()):
                    obj = prepare(obj, old, request.options)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError):
            self._validate(request.kind, obj, old, request.subresource)
            raise
        return obj

    def _admit(self, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
        if self.inside is not None:
            for admit in self.admission:
                obj = admit(self.inside, request, obj, old)
        return obj

    @staticmethod
    def _warn(kind: Kind, obj: Obj, old: Obj | None, options: Options) -> None:
        for warning in warnings.of_custom(obj, old) if kind.custom else warnings.of(kind.id, obj, old):
            options.warn(warning)

    def _judge(self, request: AdmissionRequest, obj: Obj, old: Obj | None) -> None:
        if self.inside is not None:
            for judge in self.judges:
                judge(self.inside, request, obj, old)

    def _check_namespace(self, kind: Kind, name: str, namespace: str) -> None:
        found = self.store.get("Namespace", "", namespace)
        if found is None:
            raise not_found("namespaces", "", namespace)
        if "deletionTimestamp" in found["metadata"] and not traits.allowed_in_terminating_namespace(kind):
            error = forbidden(
                kind.plural,
                kind.group,
                name,
                f"unable to create new content in namespace {namespace} because it is being terminated",
            )
            error.causes = (
                Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace"),
            )
            raise error

    def _validate(self, kind: Kind, obj: Obj, old: Obj | None, subresource: str = "") -> None:
        problems = self.schemas.validate(kind, obj, old, subresource)
        if problems:
            raise invalid(kind.kind, kind.group, obj["metadata"].get("name", ""), [p.cause() for p in problems])

    def _put(self, kind: Kind, obj: Obj) -> None:
        try:
            self.store.put(kind.id, obj)
        except JournalFull as error:
            raise disk_full(error) from error

    def _take(self, kind: Kind, namespace: str, name: str) -> None:
        try:
            self.store.remove(kind.id, namespace, name)
        except JournalFull as error:
            raise disk_full(error) from error


def disk_full(error: JournalFull) -> ApiError:
    """What a write is answered when the journal cannot be written."""
    return ApiError(
        507,
        "InsufficientStorage",
        f"the sandbox cannot write its journal: {error.strerror}; nothing was changed. "
        "Free some disk space and try again",
    )


def generated_name(prefix: str) -> str:
    """Source: k8s.io/apiserver/pkg/storage/names."""
    return prefix[:58] + "".join(secrets.choice(_NAME_ALPHABET) for _ in range(5))


def _significant(obj: Obj) -> Obj:
    """What counts for metadata.generation."""
    return {key: value for key, value in obj.items() if key not in ("metadata", "status", "apiVersion", "kind")}


def _same(new: Obj, old: Obj) -> bool:
    """Whether writing `new` over `old` would change nothing but times in managedFields."""
    if new.keys() != old.keys() or any(new[key] != old[key] for key in new if key != "metadata"):
        return False
    mine, theirs = dict(new["metadata"]), dict(old["metadata"])
    managed, before = mine.pop("managedFields", []), theirs.pop("managedFields", [])
    for meta in (mine, theirs):
        meta.pop("resourceVersion", None)
        for empty in ("labels", "annotations", "finalizers", "ownerReferences"):
            if not meta.get(empty):
                meta.pop(empty, None)
    return mine == theirs and _timeless(managed) == _timeless(before)


def _timeless(managed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if key != "time"} for entry in managed]
