"""What `labrunner sandbox` asks a running sandbox: paths below `/labrunner/`, for administrators only."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from labrunner.sandbox.kube import body
from labrunner.sandbox.kube.assembly import Cluster
from labrunner.sandbox.kube.auth import denied
from labrunner.sandbox.kube.journal import JournalFull, read_lines, write_lines
from labrunner.sandbox.kube.meta_routes import VERSION
from labrunner.sandbox.kube.registry import disk_full
from labrunner.sandbox.kube.request import Attributes, User
from labrunner.sandbox.kube.routes import Path
from labrunner.sandbox.kube.server import ApiServer
from labrunner.sandbox.kube.status import ApiError
from labrunner.sandbox.layout import SNAPSHOT_ID, Layout

Answer = Callable[[Path, bytes], Awaitable[object]]


def install(cluster: Cluster, layout: Layout, ended: asyncio.Event, mesh: Callable[[], dict[str, Any]] = dict) -> None:
    """Serve status, stop and snapshots. `mesh`: how the mesh's data plane is; empty without one."""
    server = cluster.server

    async def status(path: Path, data: bytes) -> object:
        return {
            "pid": os.getpid(),
            "version": VERSION,
            "uptime": time.time() - server.started,
            "objects": cluster.store.counts(),
            "revision": cluster.store.revision,
            "watches": server.watches.count(),
            "mesh": mesh(),
        }

    async def stop(path: Path, data: bytes) -> object:
        ended.set()
        return {}

    async def save(path: Path, data: bytes) -> object:
        snapshot = layout.snapshots / f"{_id(path)}.jsonl"
        layout.snapshots.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = snapshot.with_suffix(".new")
        try:
            write_lines(fresh, cluster.store.lines())
        except JournalFull as error:
            raise disk_full(error) from error
        os.replace(fresh, snapshot)
        return {}

    async def restore(path: Path, data: bytes) -> object:
        snapshot = layout.snapshots / f"{_id(path)}.jsonl"
        if not snapshot.exists():
            raise ApiError(404, "NotFound", f'there is no snapshot "{_id(path)}"')
        try:
            cluster.store.replace(read_lines(snapshot))
        except JournalFull as error:
            raise disk_full(error) from error
        return {}

    answers: dict[str, Answer] = {"status": status, "stop": stop, "save": save, "restore": restore}

    async def handle(_: ApiServer, request: web.BaseRequest, path: Path, user: User | None) -> web.StreamResponse:
        action = path.raw.split("/")[2]
        if user is None or "system:masters" not in user.groups:
            raise denied(user or User("system:anonymous"), Attributes("get", path=path.raw), "")
        answer = answers.get(action)
        if answer is None:
            raise ApiError(404, "NotFound", "no such command")
        result = await answer(path, await body.read(request))
        return web.Response(body=orjson.dumps(result), content_type="application/json")

    server.extra["/labrunner/"] = handle


def _id(path: Path) -> str:
    found = path.param("id")
    if not SNAPSHOT_ID.fullmatch(found):
        raise ApiError(400, "BadRequest", f'"{found}" is no name for a snapshot')
    return found
