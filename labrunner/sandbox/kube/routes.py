"""A request's path taken apart, as k8s.io/apiserver/pkg/endpoints/request/requestinfo.go does."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from labrunner.sandbox.kube.status import ApiError, bad_request

_NAMESPACE_SUBRESOURCES = ("status", "finalize")
_MAX_PATH = 8192


@dataclass(slots=True)
class Path:
    """`resource` is empty for paths that name no resource."""

    raw: str
    query: dict[str, list[str]]
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    """What follows the subresource (`proxy/...`)."""
    legacy_watch: bool = False

    def param(self, name: str, default: str = "") -> str:
        values = self.query.get(name)
        return values[0] if values else default

    def flag(self, name: str) -> bool:
        """A boolean parameter as Go's query conversion reads it: anything but empty, `0` and `false` is true."""
        return self.param(name).lower() not in ("0", "false", "")


def parse(target: str) -> Path:
    """`target` is the request target as sent. Raises ApiError 400 for one that cannot be decoded."""
    path, _, query = target.partition("?")
    if len(path) > _MAX_PATH:
        raise bad_request("the request path is too long")
    try:
        target.encode()
        parameters = parse_qs(query, keep_blank_values=True, errors="strict", max_num_fields=10_000)
        segments = [unquote(part, errors="strict") for part in path.split("/")[1:]]
    except (UnicodeDecodeError, ValueError) as error:
        raise bad_request("the request URL cannot be decoded") from error
    if segments and segments[-1] == "":
        segments.pop()
    found = Path("/" + "/".join(segments), parameters)
    if any(part in ("", ".", "..") or "/" in part or "\0" in part for part in segments):
        return found
    _parse_api(found, segments)
    return found


def _parse_api(found: Path, segments: list[str]) -> None:
    match segments:
        case ["api", version, *rest]:
            found.version = version
        case ["apis", group, version, *rest]:
            found.group, found.version = group, version
        case _:
            return
    if rest and rest[0] == "watch" and len(rest) > 1:
        found.legacy_watch = True
        rest = rest[1:]
    if not rest:
        return
    if rest[0] == "namespaces" and not found.group:
        if len(rest) == 1:
            found.resource = "namespaces"
            return
        if len(rest) == 2 or (len(rest) == 3 and rest[2] in _NAMESPACE_SUBRESOURCES):
            found.resource, found.name = "namespaces", rest[1]
            found.subresource = rest[2] if len(rest) == 3 else ""
            return
    if rest[0] == "namespaces" and len(rest) > 2:
        found.namespace = rest[1]
        rest = rest[2:]
    elif rest[0] == "namespaces" and found.group:
        return
    found.resource = rest[0]
    found.name = rest[1] if len(rest) > 1 else ""
    found.subresource = rest[2] if len(rest) > 2 else ""
    found.rest = "/".join(rest[3:])


def page_not_found() -> ApiError:
    """A path nobody serves; the server answers it in plain text."""
    return ApiError(404, "NotFound", "404 page not found")
