"""One HTTP request on a resource, taken apart; what handlers of resources and subresources are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from labrunner.sandbox.kube import access, body, negotiate
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.negotiate import Representation
from labrunner.sandbox.kube.rendering import serialised
from labrunner.sandbox.kube.request import Options, User
from labrunner.sandbox.kube.routes import Path

if TYPE_CHECKING:
    from labrunner.sandbox.kube.server import ApiServer


@dataclass(slots=True)
class Context:
    """`kind` is the one named by the URL, `stored` the one its objects are kept as (mostly the same)."""

    server: ApiServer
    http: web.BaseRequest
    path: Path
    user: User
    kind: Kind
    stored: Kind
    version: str
    verb: str
    warnings: list[str]
    manager: str = ""
    dry_run: bool = False
    created_name: str = ""
    """The name of an object whose request did not say it, for the audit log."""

    @property
    def namespace(self) -> str:
        return self.path.namespace

    @property
    def name(self) -> str:
        return self.path.name

    def form(self) -> Representation:
        return negotiate.representation(self.http.headers.get("Accept", ""))

    def options(self, options_kind: str) -> Options:
        """The write options of this request; warnings end up in its answer."""
        found = access.options(
            self.path, self.user, self.http.headers.get("User-Agent", ""), self.version, options_kind
        )
        found.warnings = self.warnings
        self.manager, self.dry_run = found.manager, found.dry_run
        return found

    async def body(self) -> tuple[bytes, str]:
        """(bytes, media type)."""
        return await body.read(self.http), body.media_type(self.http.headers.get("Content-Type", ""))

    def respond(self, answer: Any, code: int = 200, form: Representation | None = None) -> web.Response:
        """An answer in the representation asked for."""
        media_type = (form or self.form()).media_type
        pretty = self.path.flag("pretty")
        return web.Response(body=serialised(answer, media_type, pretty=pretty), status=code, content_type=media_type)


Handler = Callable[[Context], Awaitable[web.StreamResponse]]
"""Serves one request; raises ApiError."""
