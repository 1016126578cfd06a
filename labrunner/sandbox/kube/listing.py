"""List and watch parameters: validated in the server's words, applied to the store.

Source: k8s.io/apimachinery/pkg/apis/meta/internalversion/validation and apiserver's etcd3 list.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import orjson

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.routes import Path
from labrunner.sandbox.kube.selectable import fields_matcher
from labrunner.sandbox.kube.selectors import Matcher, SelectorError, labels_matcher
from labrunner.sandbox.kube.status import ApiError, Cause, bad_request, invalid
from labrunner.sandbox.kube.store import Store, key_of

EXPIRED_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(slots=True)
class ListOptions:
    """metav1.ListOptions, parsed. `matches` combines label and field selector; None: everything."""

    matches: Matcher | None = None
    limit: int = 0
    continue_: str = ""
    resource_version: str = ""
    resource_version_match: str = ""
    watch: bool = False
    bookmarks: bool = False
    send_initial_events: bool | None = None
    timeout: float | None = None


def parse(path: Path, kind: Kind, *, name: str = "", selectable: dict[str, str] | None = None) -> ListOptions:
    """The options of a list, watch or deletecollection. `name` restricts to one object. Raises ApiError 400 or 422."""
    try:
        labels = labels_matcher(path.param("labelSelector"))
        fields = fields_matcher(kind, path.param("fieldSelector"), selectable)
    except SelectorError as error:
        raise bad_request(str(error)) from error
    options = ListOptions(
        matches=_both(_both(labels, fields), (lambda obj: obj["metadata"]["name"] == name) if name else None),
        limit=max(0, _integer(path, "limit") or 0),
        continue_=path.param("continue"),
        resource_version=path.param("resourceVersion"),
        resource_version_match=path.param("resourceVersionMatch"),
        watch=path.flag("watch") or path.legacy_watch,
        bookmarks=path.flag("allowWatchBookmarks"),
        send_initial_events=path.flag("sendInitialEvents") if "sendInitialEvents" in path.query else None,
    )
    seconds = _integer(path, "timeoutSeconds")
    options.timeout = float(seconds) if seconds else None
    if problems := _problems(options):
        raise invalid("ListOptions", "meta.k8s.io", "", [problem.cause() for problem in problems])
    version = options.resource_version
    if version and not version.isdigit():
        raise bad_request(
            f"Invalid resource version: strconv.ParseUint: parsing {orjson.dumps(version).decode()}: invalid syntax"
            if not options.watch
            else f"strconv.ParseUint: parsing {orjson.dumps(version).decode()}: invalid syntax"
        )
    return options


def _both(one: Matcher | None, other: Matcher | None) -> Matcher | None:
    if one is None or other is None:
        return one or other
    return lambda obj: one(obj) and other(obj)


def _integer(path: Path, name: str) -> int | None:
    text = path.param(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        shown = orjson.dumps(text).decode()
        raise bad_request(f"strconv.ParseInt: parsing {shown}: invalid syntax") from error


def _problems(options: ListOptions) -> list[FieldError]:
    match = options.resource_version_match
    where = "resourceVersionMatch"
    problems: list[FieldError] = []
    if options.watch and options.send_initial_events is not None:
        if match != "NotOlderThan":
            if not match:
                what = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
                problems.append(field.forbidden(where, what))
            else:
                problems.append(field.unsupported(where, match, ["NotOlderThan"]))
        return problems
    if options.send_initial_events is not None:
        problems.append(field.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if not match:
        return problems
    if options.watch:
        what = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        return [*problems, field.forbidden(where, what)]
    if not options.resource_version:
        problems.append(field.forbidden(where, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
    if options.continue_:
        problems.append(field.forbidden(where, "resourceVersionMatch is forbidden when continue is provided"))
    if match not in ("Exact", "NotOlderThan"):
        problems.append(field.unsupported(where, match, ["Exact", "NotOlderThan", ""]))
    if match == "Exact" and options.resource_version == "0":
        what = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        problems.append(field.forbidden(where, what))
    return problems


@dataclass(slots=True)
class Page:
    """One answer to a list: its objects and list metadata."""

    objects: list[Obj]
    metadata: dict[str, Any]


def page(store: Store, kind: Kind, namespace: str, options: ListOptions) -> Page:
    """The objects a list request asks for. Raises ApiError 400, 410 (Expired) or 504 (too large resource version)."""
    revision = store.revision
    start = ""
    if options.continue_:
        if options.resource_version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        revision, start = _decode_continue(options.continue_)
        objects = store.at(kind.id, namespace, revision) if revision >= 0 else store.objects(kind.id, namespace)
        revision = revision if revision >= 0 else store.revision
        if objects is None:
            raise _expired_continue(start)
    elif options.resource_version_match == "Exact":
        revision = int(options.resource_version)
        found = store.at(kind.id, namespace, revision)
        if found is None and revision > store.revision:
            raise too_large(revision, store.revision)
        if found is None:
            oldest = store.table(kind.id).compacted
            raise expired(f"The resourceVersion for the provided list is too old: {revision} ({oldest})")
        objects = found
    else:
        if options.resource_version and int(options.resource_version) > store.revision:
            raise too_large(int(options.resource_version), store.revision)
        objects = store.objects(kind.id, namespace)
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if start:
        objects = [obj for obj in objects if _key(obj) >= start]
    if options.matches:
        objects = [obj for obj in objects if options.matches(obj)]
    if options.limit and len(objects) > options.limit:
        rest = len(objects) - options.limit
        metadata["continue"] = _encode_continue(revision, _key(objects[options.limit]))
        if not options.matches:
            metadata["remainingItemCount"] = rest
        objects = objects[: options.limit]
    return Page(objects, metadata)


def _key(obj: Obj) -> str:
    return key_of(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def _encode_continue(revision: int, start: str) -> str:
    token = orjson.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": start})
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def _decode_continue(token: str) -> tuple[int, str]:
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        found = orjson.loads(raw)
        if found["v"] == "meta.k8s.io/v1" and isinstance(found["rv"], int) and isinstance(found["start"], str):
            return found["rv"], found["start"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        pass
    raise bad_request("continue key is not valid: the token cannot be decoded")


def _expired_continue(start: str) -> ApiError:
    return ApiError(410, "Expired", EXPIRED_CONTINUE, continue_token=_encode_continue(-1, start))


def expired(message: str) -> ApiError:
    """410: what was asked for is no longer known."""
    return ApiError(410, "Expired", message)


def too_large(wanted: int, current: int) -> ApiError:
    """504 for a resourceVersion that is still to come."""
    return ApiError(
        504,
        "Timeout",
        f"Too large resource version: {wanted}, current: {current}",
        causes=[Cause("ResourceVersionTooLarge", "Too large resource version")],
        retry_after=1,
    )
