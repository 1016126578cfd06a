"""The app's own process behind a browser tab, in the packets of Textual's web driver.

A packet is a type (`D`: terminal data, `M`: JSON), a length in four bytes, big-endian, and that many bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

STOP_WITHIN = 9.0
"""Seconds that the app has to close its session before its process group is killed."""
PRELUDE = b"__GANGLION__\n"


class AppProcess:
    """One app. `start`, then `pump` until it ends."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._errors: asyncio.Task[bytes] | None = None
        self.said = ""
        """What it wrote to stderr, once it ended."""
        self.told_to_stop = False

    async def start(self, columns: int, rows: int) -> None:
        """Raises `OSError` when the program cannot be started."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            str(columns),
            str(rows),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=1 << 20,
        )
        assert self._process.stderr is not None
        self._errors = asyncio.create_task(self._process.stderr.read())

    async def pump(self, draw: Callable[[bytes], Awaitable[None]], tell: Callable[[str], Awaitable[None]]) -> int:
        """Hand on what the app draws until it ends; its exit code. `tell` takes messages for the page's script."""
        assert self._process is not None and self._process.stdout is not None
        out = self._process.stdout
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await out.readuntil(PRELUDE)
            while True:
                kind, size = await out.readexactly(1), int.from_bytes(await out.readexactly(4), "big")
                payload = await out.readexactly(size)
                if kind == b"D":
                    await draw(payload)
                elif kind == b"M":
                    await self._told(json.loads(payload), tell)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; its exit code (128 and the signal's number when one killed it)."""
        assert self._process is not None
        code = await self._process.wait()
        if self._errors is not None:
            self.said = (await self._errors).decode("utf-8", "replace")
            self._errors = None
        return 128 - code if code < 0 else code

    @staticmethod
    async def _told(message: dict[str, Any], tell: Callable[[str], Awaitable[None]]) -> None:
        if message.get("type") == "open_url":
            await tell(json.dumps(["open_url", {"url": message["url"], "new_tab": message.get("new_tab", True)}]))

    async def send(self, kind: bytes, payload: bytes) -> None:
        """To the app; nothing when it is gone."""
        stdin = self._process.stdin if self._process else None
        if stdin is None or stdin.is_closing():
            return
        with contextlib.suppress(ConnectionError, RuntimeError):
            stdin.write(kind + len(payload).to_bytes(4, "big") + payload)
            await stdin.drain()

    async def type(self, text: str) -> None:
        await self.send(b"D", text.encode("utf-8", "surrogatepass"))

    async def message(self, **fields: object) -> None:
        await self.send(b"M", json.dumps(fields).encode())

    async def stop(self) -> None:
        """Ask it to close its session and leave; kill its process group when it does not."""
        process, self.told_to_stop = self._process, True
        if process is None or process.returncode is not None:
            return
        await self.message(type="quit")
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def app_command(arguments: Sequence[str]) -> list[str]:
    """How the app's process is started; the size comes last."""
    return [sys.executable, "-m", "labrunner.cli.browser_app", *arguments]
