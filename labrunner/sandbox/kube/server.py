"""The API server: one aiohttp handler over TLS that authenticates, authorizes, routes and answers.

Every refusal is a metav1.Status, but for paths nobody serves, which are answered in plain text as the real one does.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from asyncio.sslproto import SSLProtocol
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiohttp import web

from labrunner.sandbox.kube import body, meta_routes, resources, routes
from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.audit import AuditLog, Entry
from labrunner.sandbox.kube.auth import Authenticator, denied
from labrunner.sandbox.kube.context import Context, Handler
from labrunner.sandbox.kube.conversion import Conversion
from labrunner.sandbox.kube.discovery import DiscoveryDocuments
from labrunner.sandbox.kube.http import HttpServer, status_response
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.registry import Registry
from labrunner.sandbox.kube.rendering import Renderer
from labrunner.sandbox.kube.request import Attributes, Authorizer, Options, User
from labrunner.sandbox.kube.routes import Path
from labrunner.sandbox.kube.schemas import Schemas
from labrunner.sandbox.kube.status import ApiError
from labrunner.sandbox.kube.store import Store
from labrunner.sandbox.kube.watch import Watches

if TYPE_CHECKING:
    from labrunner.sandbox.kube.field_ownership import FieldOwnership

log = logging.getLogger(__name__)

TLS_BUFFER = 32 * 1024
"""Bytes each connection reads at a time: two TLS records."""

_PUBLIC = ("/healthz", "/livez", "/readyz", "/version", "/.well-known/openid-configuration", "/openid/v1/jwks")
_RESOURCE_VERBS: dict[tuple[str, bool], str] = {
    ("GET", True): "get",
    ("HEAD", True): "get",
    ("GET", False): "list",
    ("HEAD", False): "list",
    ("POST", False): "create",
    ("POST", True): "create",
    ("PUT", True): "update",
    ("PATCH", True): "patch",
    ("DELETE", True): "delete",
    ("DELETE", False): "deletecollection",
}
_DEPRECATED = {
    ("Endpoints", "v1"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ("ComponentStatus", "v1"): "v1 ComponentStatus is deprecated in v1.19+",
}
_HANDLERS: dict[str, Handler] = {
    "get": resources.get,
    "list": resources.list_,
    "watch": resources.watch,
    "create": resources.create,
    "update": resources.update,
    "patch": resources.patch,
    "delete": resources.delete,
    "deletecollection": resources.delete_collection,
}


class ApiServer:
    """Everything a request may need, and the dispatch of requests.

    `subresources` maps (kind id, subresource) to its handler, `virtual` kinds that are answered but never stored
    (access reviews), `extra` whole paths; features add themselves there.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        schemas: Schemas,
        conversion: Conversion,
        authenticator: Authenticator,
        renderer: Renderer,
        audit: AuditLog,
        *,
        protobuf: body.ProtobufDecoder | None = None,
    ) -> None:
        self.store, self.registry, self.schemas = store, registry, schemas
        self.conversion, self.renderer, self.audit = conversion, renderer, audit
        self.authenticator = authenticator
        self.protobuf = protobuf
        self.kinds = registry.kinds
        self.discovery = DiscoveryDocuments(registry.kinds)
        self.watches = Watches(store)
        self.subresources: dict[tuple[str, str], Handler] = {}
        self.virtual: dict[str, Handler] = {}
        self.extra: dict[str, meta_routes.PathHandler] = {}
        self.ownership: FieldOwnership | None = None
        self.deprecated = dict(_DEPRECATED)
        """By kind id and version: what every answer warns of."""
        self.selectable: dict[tuple[str, str], Mapping[str, str]] = {}
        self.address = ""
        self.started = time.time()
        self._runner: web.ServerRunner | None = None
        self._stopping = False

    @property
    def authorizer(self) -> Authorizer:
        return self.authenticator.authorizer

    # life

    async def start(self, tls: ssl.SSLContext | None, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError when it is taken."""
        self._runner = web.ServerRunner(
            HttpServer(
                self.handle, access_log=None, keepalive_timeout=90.0, max_line_size=131072, max_field_size=16384
            ),
            handle_signals=False,
            shutdown_timeout=0.2,
        )
        await self._runner.setup()
        # Each TLS connection has one buffer of this size; the usual 256 KiB are 50 MB for 200 watches.
        SSLProtocol.max_size = TLS_BUFFER
        site = web.TCPSite(self._runner, host, port, ssl_context=tls, backlog=512)
        await site.start()
        bound: int = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self.address = f"{host}:{bound}"
        return bound

    async def stop(self) -> None:
        self._stopping = True
        self.watches.close()
        if self._runner:
            await self._runner.cleanup()

    # a request

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; never raises but for cancellation and connections that broke."""
        try:
            response = await self._handle(request)
        except ApiError as error:
            response = failure(error)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except web.HTTPException as error:
            code = error.status
            response = failure(ApiError(code, "BadRequest" if code == 400 else "Unknown", error.reason))
        except Exception:
            # The edge of a worker: what nobody foresaw is logged and told, and the server goes on.
            log.exception("request failed: %s %s", request.method, request.path)
            response = failure(ApiError(500, "InternalError", "Internal error occurred: see the sandbox's log"))
        return response

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = routes.parse(request.raw_path if hasattr(request, "raw_path") else request.path_qs)
        if path.raw in _PUBLIC or path.raw.startswith(("/livez/", "/readyz/", "/healthz/")):
            if "Authorization" in request.headers:
                self.authenticator.user(request)  # nobody need say who they are, but whoever does must be known
            return await meta_routes.serve(self, request, path, None)
        user = self.authenticator.user(request)
        if not path.resource:
            self._authorize_path(user, request.method, path)
            return await meta_routes.serve(self, request, path, user)
        return await self._resource(request, path, user)

    def _authorize_path(self, user: User, method: str, path: Path) -> None:
        verb = {"GET": "get", "HEAD": "head", "POST": "post", "PUT": "put", "PATCH": "patch", "DELETE": "delete"}
        self.authenticator.check(user, Attributes(verb.get(method, method.lower()), path=path.raw))

    async def _resource(self, request: web.BaseRequest, path: Path, user: User) -> web.StreamResponse:
        verb = _RESOURCE_VERBS.get((request.method, bool(path.name)), "")
        if (verb == "list" and (path.flag("watch") or path.legacy_watch)) or (
            verb == "get" and not path.subresource and (path.flag("watch") or path.legacy_watch)
        ):
            verb = "watch"
        # A namespace is inside itself: roles in it may speak of it.
        scope = path.name if path.resource == "namespaces" and not path.group else path.namespace
        attributes = Attributes(
            verb or request.method.lower(), path.group, path.version, path.resource, path.subresource, scope,
            path.name,
        )  # fmt: skip
        allowed, reason = self.authorizer(user, attributes)
        if not allowed:
            self._record(user, attributes, 403, "", False)
            raise denied(user, attributes, reason)
        kind = self.kinds.by_resource(path.group, path.resource)
        if kind is None or path.version not in kind.versions:
            raise routes.page_not_found()
        if bool(path.namespace) and not kind.namespaced:
            raise routes.page_not_found()
        if kind.namespaced and not path.namespace and (path.name or (verb == "create" and kind.id not in self.virtual)):
            raise routes.page_not_found()
        handler = self._handler(kind, path, verb)
        ctx = Context(self, request, path, user, kind, self.conversion.stored_kind(kind), path.version, verb, [])
        if deprecated := self.deprecated.get((kind.id, path.version)):
            ctx.warnings.append(deprecated)
        code = 500
        try:
            response = await handler(ctx)
            code = response.status
        except ApiError as error:
            code = error.code
            response = failure(error)
        finally:
            self._record(user, attributes, code, ctx.manager, ctx.dry_run, ctx.created_name)
        if ctx.warnings and not response.prepared:
            for warning in ctx.warnings:
                response.headers.add("Warning", f'299 - "{_header_text(warning)}"')
        return response

    def _handler(self, kind: Kind, path: Path, verb: str) -> Handler:
        if kind.id in self.virtual:
            if verb != "create" or path.name:
                raise method_not_allowed()
            return self.virtual[kind.id]
        if path.subresource:
            if path.subresource not in kind.subresources:
                raise routes.page_not_found()
            found = self.subresources.get((kind.id, path.subresource)) or self.subresources.get(("*", path.subresource))
            if found is None:
                raise routes.page_not_found()
            return found
        if not verb or (verb == "create" and path.name):
            raise method_not_allowed()
        if verb not in kind.verbs:
            raise method_not_allowed()
        return _HANDLERS[verb]

    def _record(
        self, user: User, asked: Attributes, code: int, manager: str, dry_run: bool, created_name: str = ""
    ) -> None:
        self.audit.add(
            Entry(
                time.time(), user.name, asked.verb, asked.group, asked.version, asked.resource, asked.subresource,
                asked.namespace, asked.name or created_name, code, manager, dry_run,
            )
        )  # fmt: skip

    # what handlers ask

    def selectable_fields(self, kind: Kind, version: str) -> dict[str, str] | None:
        """A custom kind's selectableFields: name -> JSON path."""
        found = self.selectable.get((kind.id, version))
        return dict(found) if found else None

    def apply(self, ctx: Context, wanted: Obj, options: Options, *, force: bool) -> tuple[Obj, bool]:
        """Server-side apply; returns (stored object, whether it was created)."""
        assert self.ownership is not None
        return self.ownership.apply(ctx, wanted, options, force=force)


def failure(error: ApiError) -> web.Response:
    """A refusal as the server sends it."""
    if error.message == "404 page not found":
        return web.Response(text="404 page not found\n", status=404, content_type="text/plain")
    headers = {"Cache-Control": "no-cache, private"}
    if error.retry_after:
        headers["Retry-After"] = str(error.retry_after)
    return status_response(error, **headers)


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def _header_text(text: str) -> str:
    """Fit for a quoted string in a header."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return clean.replace("\\", "\\\\").replace('"', '\\"')
