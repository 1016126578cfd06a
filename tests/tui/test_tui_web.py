"""The server behind `--web`: who may come in, what ends it, and that nothing is left."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar, WSMsgType, WSServerHandshakeError

from labrunner.cli import run
from labrunner.errors import EnvironmentFault, ExitCode
from labrunner.tui.web import process, server
from labrunner.tui.web.server import BrowserServer

APP = """
import json, os, sys, time
out, into = sys.stdout.buffer, sys.stdin.buffer
open({pids!r}, "a").write(f"{{os.getpid()}}\\n")
def draw(text):
    data = text.encode()
    out.write(b"D" + len(data).to_bytes(4, "big") + data); out.flush()
out.write(b"__GANGLION__\\n")
draw("size " + "x".join(sys.argv[1:]))
while True:
    kind = into.read(1)
    if not kind:
        break
    data = into.read(int.from_bytes(into.read(4), "big"))
    if kind == b"D":
        if data == b"!":
            sys.exit(1)
        draw("typed " + data.decode())
    else:
        message = json.loads(data)
        if message["type"] == "quit":
            if not {stubborn}:
                sys.exit(0)
        else:
            draw(json.dumps(message))
"""


class Running:
    """A server with an app that answers with what it was told."""

    def __init__(self, pids: Path, stubborn: bool = False) -> None:
        self.pids = pids
        code = APP.format(pids=str(pids), stubborn=stubborn)
        self.address = ""
        self.server = BrowserServer([sys.executable, "-c", code], "A <lab>", self._answers)
        self._there = asyncio.Event()
        self.task = asyncio.create_task(self.server.serve())

    def _answers(self, address: str) -> None:
        self.address = address
        self._there.set()

    async def ready(self) -> None:
        await asyncio.wait_for(self._there.wait(), 10)

    @property
    def root(self) -> str:
        return self.address.partition("/?")[0]

    @property
    def alive(self) -> list[int]:
        pids = [int(line) for line in self.pids.read_text().split()] if self.pids.exists() else []
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()] if sys.platform == "linux" else []


@asynccontextmanager
async def serving(tmp_path: Path, stubborn: bool = False) -> AsyncIterator[tuple[Running, ClientSession]]:
    running = Running(tmp_path / "pids", stubborn)
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as http:
        await running.ready()
        yield running, http
    if not running.task.done():
        running.server._finish(0)
        await asyncio.wait_for(running.task, 20)
    assert running.alive == []


async def opened(running: Running, http: ClientSession, query: str = "") -> object:
    return await http.ws_connect(f"{running.root}/ws{query}", headers={"Origin": running.root})


async def test_the_token_opens_once_and_leaves_the_address_bar(tmp_path: Path) -> None:
    async with serving(tmp_path) as (running, http):
        async with http.get(running.address) as page:
            assert page.status == 200
            assert page.url.query_string == ""
            assert "A &lt;lab&gt;" in await page.text()
        async with http.get(running.address) as again:
            assert again.status == 200  # the same browser: a reload of the first address
        async with ClientSession() as other, other.get(running.address) as page:
            assert page.status == 403
            assert "used already" in await page.text()


NOT_GIVEN = ("/", "/?token=wrong", "/?token=%00%C3%A9", "/static/js/textual.js", "/static/js/textual.js?token=wrong")


@pytest.mark.parametrize("path", [*NOT_GIVEN, "/ws", "/ws?token=wrong"])
async def test_without_the_token_nothing_is_given(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as (running, http):
        async with http.get(f"{running.root}{path}", headers={"Origin": running.root}) as page:
            assert page.status == 403
        async with http.get(running.address) as page:
            assert page.status == 200  # a wrong guess uses nothing up


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "evil.example:{port}", "127.0.0.1.evil.example:{port}"])
async def test_a_page_that_rebinds_its_name_to_loopback_is_refused(tmp_path: Path, host: str) -> None:
    async with serving(tmp_path) as (running, http):
        port = running.root.rpartition(":")[2]
        async with http.get(running.address, headers={"Host": host.format(port=port)}) as page:
            assert page.status == 403
        async with http.get(running.address, headers={"Host": f"localhost:{port}"}) as page:
            assert page.status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None, "https://127.0.0.1"])
async def test_another_pages_script_cannot_open_the_terminal(tmp_path: Path, origin: str | None) -> None:
    async with serving(tmp_path) as (running, http):
        await (await http.get(running.address)).read()
        with pytest.raises(WSServerHandshakeError) as refused:
            await http.ws_connect(f"{running.root}/ws", headers={"Origin": origin} if origin else {})
        assert refused.value.status == 403
        assert not running.pids.exists()


async def test_the_page_asks_for_nothing_elsewhere(tmp_path: Path) -> None:
    async with serving(tmp_path) as (running, http):
        async with http.get(running.address) as page:
            text = await page.text()
            policy = page.headers["Content-Security-Policy"]
            assert page.headers["Referrer-Policy"] == "no-referrer" and page.headers["Cache-Control"] == "no-store"
        assert "https:" not in text and "//fonts" not in text
        assert "default-src 'none'" in policy and running.root.partition("://")[2] in policy
        for name in ("js/textual.js", "css/xterm.css", "fonts/RobotoMono-VariableFont_wght.ttf"):
            async with http.get(f"{running.root}/static/{name}") as file:
                assert file.status == 200
        async with http.get(f"{running.root}/static/../server.py") as file:
            assert file.status == 404


async def test_keys_sizes_and_drawing_go_both_ways(tmp_path: Path) -> None:
    async with serving(tmp_path) as (running, http):
        await (await http.get(running.address)).read()
        socket = await opened(running, http, "?width=120&height=x")
        assert (await socket.receive_bytes()) == b"size 120x24"
        await socket.send_json(["stdin", "é!"])
        assert (await socket.receive_bytes()).decode() == "typed é!"
        await socket.send_json(["resize", {"width": 99999, "height": 30}])
        assert b'"width": 1000' in await socket.receive_bytes()
        for nonsense in ("{", "[]", '["resize", {"width": "x"}]', '["stdin"]', "7"):
            await socket.send_str(nonsense)
        await socket.send_json(["ping", 7])
        assert await socket.receive_json() == ["pong", 7]


async def test_when_the_app_ends_the_server_ends_with_its_code(tmp_path: Path) -> None:
    async with serving(tmp_path) as (running, http):
        await (await http.get(running.address)).read()
        socket = await opened(running, http)
        await socket.send_json(["stdin", "!"])
        assert await asyncio.wait_for(running.task, 10) == 1
        while (message := await socket.receive()).type is not WSMsgType.CLOSE and message.type is not WSMsgType.CLOSED:
            pass


async def test_a_closed_tab_ends_everything_and_a_reload_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REOPEN_WITHIN", 0.5)
    async with serving(tmp_path) as (running, http):
        await (await http.get(running.address)).read()
        await (await opened(running, http)).close()
        again = await opened(running, http)
        await again.receive_bytes()
        assert len(running.alive) == 1  # the first one is gone, and its session free
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(running.task), 1)
        await again.close()
        assert await asyncio.wait_for(running.task, 10) == int(ExitCode.OK)


async def test_a_second_tab_takes_over(tmp_path: Path) -> None:
    async with serving(tmp_path) as (running, http):
        await (await http.get(running.address)).read()
        first = await opened(running, http)
        await first.receive_bytes()
        second = await opened(running, http)
        await second.receive_bytes()
        assert len(running.alive) == 1
        assert (await first.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING)
        await second.send_json(["stdin", "still here"])
        assert await second.receive_bytes() == b"typed still here"


async def test_an_app_that_does_not_leave_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_WITHIN", 0.3)
    async with serving(tmp_path, stubborn=True) as (running, http):
        await (await http.get(running.address)).read()
        socket = await opened(running, http)
        await socket.receive_bytes()
        running.server._finish(130)
        assert await asyncio.wait_for(running.task, 10) == 130
        assert running.alive == []


async def test_a_port_that_is_taken_is_the_environments_fault(tmp_path: Path) -> None:
    async with serving(tmp_path) as (running, _):
        port = int(running.root.rpartition(":")[2])
        with pytest.raises(EnvironmentFault) as fault:
            await BrowserServer(["true"], "x", print, port).serve()
        assert str(port) in fault.value.message


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["run", "apim-istio", "--port", "8000"], ExitCode.USAGE, "--port goes with --web"),
        (["run", "apim-isto", "--web"], ExitCode.USAGE, "apim-istio"),
        (["run", "apim-istio", "--web", "--port", "99999"], ExitCode.ENVIRONMENT, "port 99999"),
    ],
)
def test_what_cannot_be_served_is_said(
    argv: list[str], code: ExitCode, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(argv) == code
    assert says in capsys.readouterr().err


def test_where_no_browser_is_the_way_to_one_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from labrunner.cli import browser_app

    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    browser_app._announce("http://127.0.0.1:4711/?token=x")
    out, err = capsys.readouterr()
    assert out == "http://127.0.0.1:4711/?token=x\n"
    assert "No browser could be opened" in err and "ssh -L 4711:127.0.0.1:4711" in err
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    browser_app._announce("http://127.0.0.1:4711/?token=x")
    assert "Opened in your browser" in capsys.readouterr().err
    assert os.environ["DISPLAY"] == ":0"
