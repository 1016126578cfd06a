"""The body of a PATCH request applied to a live object, but for server-side apply (see `apply`)."""

from __future__ import annotations

from typing import Any, Final

from labrunner.sandbox.kube.patch import json_patch, merge_patch, strategic_merge
from labrunner.sandbox.kube.patch.go_json import GoJsonError, decode, decode_object
from labrunner.sandbox.kube.patch.typed_conversion import conversion_error, patch_does_not_fit
from labrunner.sandbox.kube.schema.node import SchemaNode
from labrunner.sandbox.kube.status import ApiError, bad_request

JSON: Final = "application/json-patch+json"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"


def accepted(custom: bool) -> tuple[str, ...]:
    """The media types a kind may be patched with, in the order in which the server names them."""
    return (JSON, MERGE, APPLY) if custom else (JSON, MERGE, STRATEGIC, APPLY)


def unsupported_media_type(custom: bool) -> ApiError:
    """415, also for a strategic merge patch on a custom resource."""
    types = ", ".join(accepted(custom))
    message = f"the body of the request was in an unknown format - accepted media types include: {types}"
    return ApiError(415, "UnsupportedMediaType", message)


def patched(media_type: str, body: bytes, live: dict[str, Any], node: SchemaNode | None, *, custom: bool) -> Any:
    """`live` with the patch applied (a copy; not yet decoded, defaulted or validated).

    `media_type` is without parameters. The result of a JSON or merge patch may be no object at all: decoding tells.
    Raises ApiError: 400 for what is no patch, 415 for another media type, 422 for one that does not apply or does
    not fit the kind's types.
    """
    if media_type not in accepted(custom) or media_type == APPLY:
        raise unsupported_media_type(custom)
    try:
        if media_type == JSON:
            return json_patch.apply(live, decode(body))
        if media_type == MERGE:
            return merge_patch.apply(live, decode_object(body))
        patch = decode_object(body)
    except GoJsonError as error:
        raise bad_request(f"error decoding patch: {error}" if media_type == MERGE else str(error)) from error
    result = strategic_merge.apply(live, patch, node)
    if why := conversion_error(result, node):
        raise patch_does_not_fit(patch, why)
    return result
