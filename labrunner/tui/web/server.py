"""Serves one lab to one browser tab on loopback, and ends when the learner is done with it."""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import signal
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import TypeVar

from aiohttp import WSMsgType, web

from labrunner.errors import EnvironmentFault, ExitCode
from labrunner.tui.web.door import Door
from labrunner.tui.web.process import AppProcess

REOPEN_WITHIN = 10.0
"""Seconds that a closed tab may take to come back (a reload) before everything ends."""
LARGEST_MESSAGE = 1 << 20
"""Bytes of one message from the page: the largest paste."""

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class BrowserServer:
    """`announce` is called with the address once it answers. One app at a time: a new tab takes over from the last."""

    def __init__(self, command: Sequence[str], title: str, announce: Callable[[str], None], port: int = 0) -> None:
        self._command, self._title, self._announce, self._port = command, title, announce, port
        self._door = Door(port)
        self._app: AppProcess | None = None
        self._socket: web.WebSocketResponse | None = None
        self._done: asyncio.Future[int]
        self._waiting: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()
        self.said = ""
        """What the app wrote to stderr."""

    async def serve(self) -> int:
        """Until the app ends, the tab stays closed, or SIGINT or SIGTERM. Raises `EnvironmentFault`: no such port."""
        loop = asyncio.get_running_loop()
        self._done = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._finish, int(ExitCode.INTERRUPTED))
        application = web.Application(middlewares=[self._guard])
        application.add_routes([web.get("/", self._index), web.get("/ws", self._connect)])
        application.router.add_static("/static", _static())
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self._port)
            try:
                await site.start()
            except (OSError, OverflowError) as error:
                raise EnvironmentFault(
                    f"port {self._port} on 127.0.0.1 cannot be used: {getattr(error, 'strerror', None) or error}",
                    hint="Leave --port out, and a free one is taken.",
                ) from error
            self._door = Door(runner.addresses[0][1])
            self._announce(self._door.address)
            return await self._done
        finally:
            await self._stop_app()
            await runner.cleanup()

    def _finish(self, code: int) -> None:
        if not self._done.done():
            self._done.set_result(code)

    # -- who may come in ---------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        door = self._door
        if not door.knows_host(request.headers.get("Host", "")):
            return _words(403, "This is not labrunner's address", "Open the address that labrunner printed.")
        comes_in = request.path == "/" and "token" in request.query
        if not comes_in and not door.is_visitor(request.cookies.get(door.cookie, "")):
            return _words(403, "labrunner does not know this browser", "Open the address that labrunner printed.")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    async def _index(self, request: web.Request) -> web.StreamResponse:
        door = self._door
        token = request.query.get("token")
        if token is not None:
            visitor = door.enter(token)
            if visitor is None and not door.is_visitor(request.cookies.get(door.cookie, "")):
                why = (
                    "This address was used already: it works once. Start `labrunner run ... --web` again for a new one."
                    if door.used
                    else "Open the address that labrunner printed, all of it."
                )
                return _words(403, "labrunner does not know this browser", why)
            away = web.HTTPSeeOther("/")  # out of the address bar and of the history
            if visitor is not None:
                away.set_cookie(door.cookie, visitor, httponly=True, samesite="Strict", path="/")
            away.headers.update(_HEADERS)
            raise away
        host = request.headers["Host"].lower()
        text = resources.files("labrunner.tui.web").joinpath("page.html").read_text(encoding="utf-8")
        page = text.replace("{title}", html.escape(self._title)).replace("{host}", host)
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
            f"img-src 'self' data:; connect-src ws://{host}; frame-ancestors 'none'; base-uri 'none'; "
            "form-action 'none'"
        )
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": policy})

    # -- the tab -----------------------------------------------------------------------------------------------

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        if not self._door.is_own_origin(request.headers.get("Origin", "")):
            return _words(403, "This page may not open a terminal", "Open the address that labrunner printed.")
        socket = web.WebSocketResponse(heartbeat=15, max_msg_size=LARGEST_MESSAGE)
        await socket.prepare(request)
        if self._waiting is not None:
            self._waiting.cancel()
        async with self._turn:  # the one before lets the session go first
            await self._stop_app()
            if self._socket is not None:
                await self._socket.close()
            app = AppProcess(self._command)
            self._app, self._socket = app, socket
            try:
                await app.start(_number(request, "width", 80), _number(request, "height", 24))
            except OSError as error:
                self.said = f"{error.filename}: {error.strerror}\n"
                self._finish(int(ExitCode.ENVIRONMENT))
                return socket
        hearing = asyncio.create_task(self._hear(socket, app))
        try:
            code = await app.pump(_unless_closed(socket.send_bytes), _unless_closed(socket.send_str))
            if not app.told_to_stop:
                self.said = app.said
                await socket.close()
                self._finish(code)
        finally:
            hearing.cancel()
        return socket

    async def _hear(self, socket: web.WebSocketResponse, app: AppProcess) -> None:
        """What the page says, until it goes; then the app goes too."""
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):
                    await self._heard(json.loads(message.data), socket, app)
        if self._app is app:
            self._waiting = asyncio.get_running_loop().call_later(REOPEN_WITHIN, self._finish, int(ExitCode.OK))
            await app.stop()

    @staticmethod
    async def _heard(message: list[object], socket: web.WebSocketResponse, app: AppProcess) -> None:
        match message:
            case ["stdin", str(text)]:
                await app.type(text)
            case ["resize", {"width": int(width), "height": int(height)}]:
                await app.message(type="resize", width=_within(width), height=_within(height))
            case ["ping", data]:
                await socket.send_json(["pong", data])
            case ["focus" | "blur" as kind, *_]:
                await app.message(type=kind)

    async def _stop_app(self) -> None:
        app, self._app = self._app, None
        if app is not None:
            await app.stop()
            await app.ended()


def _unless_closed(send: Callable[[T], Awaitable[None]]) -> Callable[[T], Awaitable[None]]:
    async def sent(data: T) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            await send(data)

    return sent


def _within(cells: int) -> int:
    return max(1, min(1000, cells))


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return _within(int(text)) if text.isdecimal() and len(text) < 6 else default


def _static() -> Path:
    """The folder with textual-serve's script, style sheet and fonts."""
    return Path(str(resources.files("textual_serve"))) / "static"


def _words(status: int, title: str, text: str) -> web.Response:
    page = (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<body style='font: 18px/1.5 system-ui, sans-serif; max-width: 36em; margin: 4em auto'>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p></body></html>"
    )
    return web.Response(status=status, text=page, content_type="text/html", headers=_HEADERS)
