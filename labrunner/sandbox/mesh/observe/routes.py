"""Serves an Observer at `/labrunner/mesh/` of the API server, for administrators only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from labrunner.sandbox.kube.auth import denied
from labrunner.sandbox.kube.request import Attributes, User
from labrunner.sandbox.kube.routes import Path
from labrunner.sandbox.kube.server import ApiServer
from labrunner.sandbox.kube.status import ApiError
from labrunner.sandbox.mesh.observe.observer import NotFound, Observer

PREFIX = "/labrunner/mesh/"
_Handler = Callable[[ApiServer, web.BaseRequest, Path, User | None], Awaitable[web.StreamResponse]]


def install(server: ApiServer, observer: Observer) -> None:
    """Before `control.install`'s `/labrunner/`, which would take these paths too."""

    async def handle(_: ApiServer, request: web.BaseRequest, path: Path, user: User | None) -> web.StreamResponse:
        if user is None or "system:masters" not in user.groups:
            raise denied(user or User("system:anonymous"), Attributes("get", path=path.raw), "")
        status: int
        answer: Any
        try:
            status, answer = await observer.answer(path.raw.removeprefix(PREFIX), dict(request.query))
        except NotFound as error:
            raise ApiError(404, "NotFound", f"{error}") from error
        except ValueError as error:
            raise ApiError(400, "BadRequest", f"{error}") from error
        return web.Response(status=status, body=orjson.dumps(answer), content_type="application/json")

    before = dict(server.extra)
    server.extra.clear()
    server.extra.update({PREFIX: handle, **before})
