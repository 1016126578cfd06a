"""The HTTP server itself: what aiohttp refuses before a handler sees it is answered as a Status, too."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiohttp import web

from labrunner.sandbox.kube.request import User
from labrunner.sandbox.kube.status import ApiError

FIRST_REQUEST_SECONDS = 20.0
"""What a client may take from connecting to the end of its first request's head."""
_REASONS = {400: "BadRequest", 408: "Timeout", 413: "RequestEntityTooLarge"}


def status_response(error: ApiError, **headers: str) -> web.Response:
    """A refusal as JSON."""
    data = orjson.dumps(error.status(), option=orjson.OPT_APPEND_NEWLINE)
    return web.Response(body=data, status=error.code, content_type="application/json", headers=headers)


class Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_first_request", "user")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.user: User | None = None
        """Who the client certificate says it is, once that was asked."""
        loop = asyncio.get_running_loop()
        self._first_request = loop.call_later(FIRST_REQUEST_SECONDS, self._waited_long)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._first_request.cancel()
        super().connection_lost(exc)

    def _waited_long(self) -> None:
        """Let go of a connection on which nobody asks anything, or much too slowly."""
        if self._request_count == 0:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Malformed requests; the connection is closed after the answer."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was already under way")
        if isinstance(exc, ConnectionError):
            error = ApiError(400, "BadRequest", "the client went away")
        elif status >= 500:
            self.log_exception("request failed", exc_info=exc)
            error = ApiError(500, "InternalError", "Internal error occurred: see the sandbox's log")
        else:
            error = ApiError(status, _REASONS.get(status, "BadRequest"), "the request is no valid HTTP request")
        response = status_response(error)
        response.force_close()
        return response


class HttpServer(web.Server):
    """`web.Server` whose protocol speaks Status."""

    def __call__(self) -> web.RequestHandler:
        options: dict[str, Any] = self._kwargs
        return Connection(self, loop=self._loop, **options)
