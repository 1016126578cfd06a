"""A request from a program in a pod to a URL, with the pod's own names and routes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

from labrunner.sandbox.workload.http.client import Answer, HttpFault, exchange
from labrunner.sandbox.workload.machine.process import Process


class FetchFault(Exception):
    """No address, or no HTTP."""


async def fetch(
    process: Process,
    url: str,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    seconds: float = 10.0,
) -> Answer:
    """Raises FetchFault, OSError or TimeoutError."""
    parts = urlsplit(url)
    machine = process.container.pod
    network = machine.network.network
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = network.resolve(machine, host)
    if not found:
        raise FetchFault(f"no such host: {host}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    given = list(headers)
    if not any(name.lower() == "host" for name, _ in given):
        given.insert(0, ("Host", parts.netloc))
    try:
        async with asyncio.timeout(seconds):
            return await exchange(
                lambda: network.connect(machine, found[0], port), method, target, given, body,
                tls=parts.scheme == "https",
            )  # fmt: skip
    except HttpFault as error:
        raise FetchFault(str(error)) from error
