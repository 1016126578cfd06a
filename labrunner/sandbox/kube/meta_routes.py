"""Paths that name no resource: discovery, OpenAPI, version, health, keys of tokens."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from labrunner.sandbox.kube import negotiate
from labrunner.sandbox.kube.request import User
from labrunner.sandbox.kube.routes import Path, page_not_found
from labrunner.sandbox.kube.status import ApiError

if TYPE_CHECKING:
    from labrunner.sandbox.kube.server import ApiServer

PathHandler = Callable[["ApiServer", web.BaseRequest, Path, User | None], Awaitable[web.StreamResponse]]

VERSION = "v1.36.2"
_COMMIT = "6c1b1b9cbbba4a3b7c2f1cc8aef3a4ac5d4f5a1e"
_HOOKS = (
    "start-apiserver-admission-initializer", "generic-apiserver-start-informers",
    "priority-and-fairness-config-consumer", "priority-and-fairness-filter", "storage-object-count-tracker-hook",
    "start-apiextensions-informers", "start-apiextensions-controllers", "crd-informer-synced",
    "start-system-namespaces-controller", "start-cluster-authentication-info-controller",
    "start-kube-apiserver-identity-lease-controller", "start-kube-apiserver-identity-lease-garbage-collector",
    "start-legacy-token-tracking-controller", "start-service-ip-repair-controllers", "rbac/bootstrap-roles",
    "scheduling/bootstrap-system-priority-classes", "priority-and-fairness-config-producer", "bootstrap-controller",
    "start-kubernetes-service-cidr-controller", "aggregator-reload-proxy-client-cert",
    "start-kube-aggregator-informers", "apiservice-status-local-available-controller",
    "apiservice-status-remote-available-controller", "apiservice-registration-controller",
    "apiservice-discovery-controller", "kube-apiserver-autoregistration",
)  # fmt: skip
_LAST_HOOKS = ("apiservice-openapi-controller", "apiservice-openapiv3-controller")


def version_info() -> dict[str, str]:
    """`/version`, as `kubectl version` shows it."""
    major, minor = VERSION.lstrip("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": VERSION,
        "gitCommit": _COMMIT,
        "gitTreeState": "clean",
        "buildDate": "2026-06-10T12:00:00Z",
        "goVersion": "go1.25.4",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


async def serve(server: ApiServer, request: web.BaseRequest, path: Path, user: User | None) -> web.StreamResponse:
    """Answer a request for such a path. Raises ApiError."""
    if handler := server.extra.get(path.raw):
        return await handler(server, request, path, user)
    for prefix, handler in server.extra.items():
        if prefix.endswith("/") and path.raw.startswith(prefix):
            return await handler(server, request, path, user)
    if request.method not in ("GET", "HEAD"):
        raise page_not_found() if not _known(path.raw) else _method_not_allowed()
    found = _document(server, request, path.raw)
    if found is None:
        raise page_not_found()
    return found


def _method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def _known(raw: str) -> bool:
    return raw in ("/", "/api", "/apis", "/version", "/healthz", "/livez", "/readyz") or raw.startswith("/api")


def _document(server: ApiServer, request: web.BaseRequest, raw: str) -> web.Response | None:
    segments = raw.strip("/").split("/")
    match segments:
        case [""]:
            return _json(orjson.dumps({"paths": _paths(server)}, option=orjson.OPT_INDENT_2))
        case ["version"]:
            return _json(orjson.dumps(version_info(), option=orjson.OPT_INDENT_2))
        case ["healthz" | "livez" | "readyz" as name, *rest]:
            return _health(name, rest, request)
        case ["api" | "apis" as root]:
            return _root(server, request, root)
        case ["api", version]:
            return _maybe(server.discovery.legacy_resources("", version))
        case ["apis", group]:
            return _maybe(server.discovery.legacy_group(group))
        case ["apis", group, version]:
            return _maybe(server.discovery.legacy_resources(group, version))
    return None


def _root(server: ApiServer, request: web.BaseRequest, root: str) -> web.Response:
    wanted = negotiate.discovery(request.headers.get("Accept", ""))
    core = root == "api"
    if wanted.aggregated:
        data, etag = server.discovery.aggregated(core, wanted.aggregated)
        headers = {"ETag": etag, "Vary": "Accept", "Cache-Control": "public"}
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        media = f"application/json;g=apidiscovery.k8s.io;v={wanted.aggregated};as=APIGroupDiscoveryList"
        return web.Response(body=data, headers=headers | {"Content-Type": media})
    return _json(server.discovery.legacy_versions(server.address) if core else server.discovery.legacy_groups())


def _maybe(data: bytes | None) -> web.Response:
    if data is None:
        raise page_not_found()
    return _json(data)


def _json(data: bytes) -> web.Response:
    return web.Response(body=data, content_type="application/json")


def _checks(name: str) -> list[str]:
    """The checks behind a health path, in the order in which the server lists them."""
    ready = ["etcd-readiness", "informer-sync"] if name == "readyz" else []
    hooks = [*(f"poststarthook/{hook}" for hook in _HOOKS), "autoregister-completion"]
    last = [f"poststarthook/{hook}" for hook in _LAST_HOOKS]
    return ["ping", "log", "etcd", *ready, *hooks, *last, *(["shutdown"] if name == "readyz" else [])]


def _health(name: str, rest: list[str], request: web.BaseRequest) -> web.Response:
    checks = _checks(name)
    if rest and "/".join(rest) not in checks:
        raise page_not_found()
    if "verbose" in request.rel_url.query and not rest:
        lines = [f"[+]{check} ok" for check in checks]
        return web.Response(text="\n".join([*lines, f"{name} check passed"]) + "\n")
    return web.Response(text="ok")


def _paths(server: ApiServer) -> list[str]:
    found = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/"]
    for group, versions in server.discovery.groups().items():
        if group:
            found += [f"/apis/{group}", *(f"/apis/{group}/{version}" for version in versions)]
    return sorted(
        [*found, "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version"]
    )


def uptime(server: ApiServer) -> float:
    return time.time() - server.started


def etagged(data: bytes, etag: str, request: web.BaseRequest, content_type: str, **headers: Any) -> web.Response:
    """A document that clients may keep as long as its hash is the same."""
    extra = {"ETag": etag, **headers}
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=extra)
    return web.Response(body=data, content_type=content_type, headers=extra)
