"""`pods/log`.

Source: k8s.io/kubernetes/pkg/registry/core/pod/rest/log.go and pkg/kubelet/kubelet.go (GetKubeletContainerLogs).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING

from aiohttp import web

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.context import Context
from labrunner.sandbox.kube.status import Cause, bad_request, invalid
from labrunner.sandbox.kube.streams import target

if TYPE_CHECKING:
    from labrunner.sandbox.workload.machine.container import ContainerMachine
    from labrunner.sandbox.workload.machine.log import Entry
    from labrunner.sandbox.workload.runtime import WorkloadRuntime

_BATCH = 32 * 1024


async def serve(ctx: Context, runtime: WorkloadRuntime) -> web.StreamResponse:
    """Plain text, streamed when it is followed."""
    path = ctx.path
    pod = target.pod_of(ctx)
    tail, since, limit = _options(ctx)
    name = target.container_name(pod, path.param("container"))
    if not pod["spec"].get("nodeName"):
        # Nothing is scheduled: there is nothing to read, and no error either.
        return web.Response(text="", content_type="text/plain")
    instance = _instance(runtime, pod, name, previous=path.flag("previous"))
    follow, stamps = path.flag("follow"), path.flag("timestamps")
    stream = {"Stdout": "stdout", "Stderr": "stderr"}.get(path.param("stream"), "")
    response = web.StreamResponse(headers={"Content-Type": "text/plain", "Cache-Control": "no-cache, private"})
    if instance is None:
        return web.Response(text="", content_type="text/plain")
    response.enable_chunked_encoding()
    await response.prepare(ctx.http)
    left = limit
    async for data in _lines(instance, tail, since, stream, follow=follow, stamps=stamps):
        if left is not None:
            data = data[:left]
            left -= len(data)
        try:
            await response.write(data)
        except ConnectionError:
            break
        if left == 0:
            break
    await response.write_eof()
    return response


async def _lines(
    instance: ContainerMachine, tail: int | None, since: float, stream: str, *, follow: bool, stamps: bool
) -> AsyncIterator[bytes]:
    def shown(entry: Entry) -> bytes:
        return entry.stamped() if stamps else entry.data

    if not follow:
        batch = b""
        for entry in instance.log.entries(tail, since, stream):
            batch += shown(entry)
            if len(batch) > _BATCH:
                yield batch
                batch = b""
                await asyncio.sleep(0)
        if batch:
            yield batch
        return
    async for entry in instance.log.follow(tail, since, stream):
        yield shown(entry)


def _options(ctx: Context) -> tuple[int | None, float, int | None]:
    """(tail, since in seconds of the epoch, limit). Raises ApiError 400 or 422."""
    path = ctx.path
    problems: list[Cause] = []

    def number(name: str, least: int) -> int | None:
        text = path.param(name)
        if not text:
            return None
        try:
            value = int(text)
        except ValueError:
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
        if value < least:
            word = "greater than or equal to 0" if least == 0 else "greater than 0"
            problems.append(Cause("FieldValueInvalid", f"Invalid value: {value}: must be {word}", name))
        return value

    tail, limit = number("tailLines", 0), number("limitBytes", 1)
    seconds = number("sinceSeconds", 1)
    since = 0.0
    if time_text := path.param("sinceTime"):
        try:
            since = datetime.fromisoformat(time_text.replace("Z", "+00:00")).timestamp()
        except ValueError:
            raise bad_request(f'parsing time "{time_text}" as "2006-01-02T15:04:05Z07:00": cannot parse') from None
    if seconds is not None:
        if since:
            text = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
            problems.append(Cause("FieldValueForbidden", text, ""))
        since = ctx.server.registry.clock.now() - seconds
    if problems:
        raise invalid("PodLogOptions", "", ctx.name, problems)
    return tail, since, limit


def _instance(runtime: WorkloadRuntime, pod: Obj, name: str, *, previous: bool) -> ContainerMachine | None:
    """Whose log it is; None for an empty one. Raises ApiError 400."""
    pod_name = pod["metadata"]["name"]
    status = target.status_of(pod, name)
    machine = runtime.find(pod)
    if previous:
        ended = (status.get("lastState") or {}).get("terminated")
        instance = None
        if machine is not None:
            instance = machine.previous.get(name)
            current = machine.containers.get(name)
            if (status.get("state") or {}).get("waiting") and current is not None and current.stopped:
                instance = current
        if not ended or (instance is None and machine is None):
            raise bad_request(f'previous terminated container "{name}" in pod "{pod_name}" not found')
        return instance
    instance = machine.containers.get(name) if machine else None
    waiting = (status.get("state") or {}).get("waiting")
    if waiting is not None and (status.get("lastState") or {}).get("terminated") is None:
        reason, message = waiting.get("reason", ""), ""
        if reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"):
            message = "trying and failing to pull image" if reason != "ErrImageNeverPull" else "image can't be pulled"
        elif instance is not None and instance.stopped:
            return instance
        raise bad_request(f'container "{name}" in pod "{pod_name}" is waiting to start: {message or reason}')
    if not status and instance is None:
        raise bad_request(f'container "{name}" in pod "{pod_name}" is not available')
    return instance
