"""Puts rendered resources into force, in an order that never leaves a route without its cluster.

Policies go on their own (`xds`); then come new clusters, then listeners, then the removal of clusters nobody uses. Each
step waits until Envoy has taken it. A refusal of one listener leaves its last good version in place; one of a whole
file leaves everything as it was.

Connections that one sidecar keeps to another would each carry one more request under a listener's old version. So a
cluster is marked with the versions of the listeners it leads to: when one changes it gets new connections.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from labrunner.sandbox.mesh.access_log import PATH_VARIABLE
from labrunner.sandbox.mesh.envoy import Envoy
from labrunner.sandbox.mesh.render import Rendered, Resources
from labrunner.sandbox.mesh.xds.extract import extract
from labrunner.sandbox.mesh.xds.message import EXTENSION, extension
from labrunner.sandbox.mesh.xds.server import DiscoveryServer

log = logging.getLogger(__name__)

_TYPES = {
    "lds": "type.googleapis.com/envoy.config.listener.v3.Listener",
    "cds": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
}
_STATS = {"lds": "listener_manager.lds", "cds": "cluster_manager.cds"}
_TAKE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """What Envoy did not take. `resources`: the names at fault, empty when the whole file could not be read."""

    what: str
    detail: str
    resources: tuple[str, ...] = ()


@dataclass(slots=True)
class Delivery:
    """One Envoy's configuration files."""

    envoy: Envoy
    discovery: DiscoveryServer
    _version: int = 0
    _sent: dict[str, bytes] = field(default_factory=dict)
    _clusters: Resources = field(default_factory=dict)
    _marks: dict[str, str] = field(default_factory=dict)
    """Address of a proxy -> version of its inbound listeners in force."""

    def forget(self) -> None:
        """A new process has taken over: send everything again."""
        self._sent.clear()

    def prepare(self, rendered: Rendered) -> None:
        """Write the files for a process that is about to start."""
        self._version += 1
        listeners, extensions = extract(rendered.listeners)
        self.discovery.put(EXTENSION, {name: extension(name, config) for name, config in extensions.items()})
        self._marks = _versions(listeners)
        self._write("cds", self._marked(rendered.clusters))
        self._write("lds", listeners)
        self._clusters = rendered.clusters

    async def push(self, rendered: Rendered) -> list[Refusal]:
        """Bring this into force; returns what was refused. Nothing happens when nothing changed."""
        refusals: list[Refusal] = []
        listeners, extensions = extract(rendered.listeners)
        self.discovery.put(EXTENSION, {name: extension(name, config) for name, config in extensions.items()})
        gone = {name: c for name, c in self._clusters.items() if name not in rendered.clusters}
        for kind, resources in (("cds", self._marked({**gone, **rendered.clusters})), ("lds", listeners)):
            refusals += await self._send(kind, resources)
        await self._warm()
        if not refusals:
            self._marks = _versions(listeners)
            refusals += await self._send("cds", self._marked(rendered.clusters))
        if not await self.discovery.taken(_TAKE_SECONDS):
            refusals.append(Refusal("ecds", "Envoy did not take the policies in time"))
        refusals += [Refusal("ecds", text, (name,)) for name, text in self.discovery.refused.items()]
        self._clusters = {**(gone if refusals else {}), **rendered.clusters}
        return refusals

    def _marked(self, clusters: Resources) -> Resources:
        return {name: _mark(cluster, self._marks) for name, cluster in clusters.items()}

    async def _warm(self) -> None:
        """Wait until listeners that lack a certificate or a policy have it: until then the old ones serve."""
        deadline = asyncio.get_running_loop().time() + _TAKE_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            found = await self.envoy.stats("^listener_manager.total_listeners_warming$")
            if not any(value != "0" for value in found.values()):
                return
            await asyncio.sleep(0.004)

    async def _send(self, kind: str, resources: Resources) -> list[Refusal]:
        body = self._body(kind, resources)
        if self._sent.get(kind) == body:
            return []
        before = await self._counters(kind)
        self._version += 1
        self._write(kind, resources, body)
        return await self._taken(kind, before)

    def _body(self, kind: str, resources: Resources) -> bytes:
        listed = [{"@type": _TYPES[kind], **resource} for resource in resources.values()]
        body: bytes = orjson.dumps(listed)
        log_path = json.dumps(str(self.envoy.access_log))[1:-1].encode()
        return body.replace(b"${" + PATH_VARIABLE.encode() + b"}", log_path)

    def _write(self, kind: str, resources: Resources, body: bytes | None = None) -> None:
        body = body if body is not None else self._body(kind, resources)
        path: Path = getattr(self.envoy, kind)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_suffix(".new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(b'{"version_info":"%d","resources":' % self._version + body + b"}")
        fresh.replace(path)
        self._sent[kind] = body

    async def _counters(self, kind: str) -> dict[str, int]:
        prefix = _STATS[kind]
        found = await self.envoy.stats(f"^{prefix}.update_(success|rejected|failure)$")
        return {name.rpartition("update_")[2]: int(value) for name, value in found.items()}

    async def _taken(self, kind: str, before: dict[str, int]) -> list[Refusal]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _TAKE_SECONDS
        pause = 0.004
        while loop.time() < deadline:
            await asyncio.sleep(pause)
            now = await self._counters(kind)
            if now.get("success", 0) > before.get("success", 0):
                return []
            if now.get("rejected", 0) > before.get("rejected", 0):
                return [await self._rejected(kind)]
            if now.get("failure", 0) > before.get("failure", 0):
                return [Refusal(kind, _last_warning(self.envoy.log))]
            pause = min(pause * 1.3, 0.05)
        return [Refusal(kind, "Envoy did not take the configuration in time")]

    async def _rejected(self, kind: str) -> Refusal:
        names, details = [], []
        if kind == "lds":
            dump: dict[str, Any] = json.loads(await self.envoy.ask("GET", "/config_dump?resource=dynamic_listeners"))
            for entry in dump.get("configs") or ():
                if state := entry.get("error_state"):
                    names.append(entry.get("name", ""))
                    details.append(state.get("details", ""))
        return Refusal(kind, "; ".join(details) or _last_warning(self.envoy.log), tuple(names))


def _versions(listeners: Resources) -> dict[str, str]:
    """Address of a proxy -> what its inbound listeners are now."""
    found: dict[str, Any] = {}
    for listener in listeners.values():
        if listener.get("traffic_direction") == "INBOUND":
            digest = found.setdefault(listener["address"]["socket_address"]["address"], hashlib.blake2s(digest_size=8))
            digest.update(orjson.dumps(listener, option=orjson.OPT_SORT_KEYS))
    return {address: digest.hexdigest() for address, digest in found.items()}


def _mark(cluster: dict[str, Any], marks: dict[str, str]) -> dict[str, Any]:
    places = (cluster.get("load_assignment") or {}).get("endpoints") or ()
    ends = [end["endpoint"]["address"]["socket_address"]["address"] for p in places for end in p["lb_endpoints"]]
    if "/outbound" not in cluster["name"] or not (known := sorted({marks[end] for end in ends if end in marks})):
        return cluster
    metadata = cluster.get("metadata") or {}
    kinds = {**(metadata.get("filter_metadata") or {}), "labrunner": {"servers": ",".join(known)}}
    return {**cluster, "metadata": {**metadata, "filter_metadata": kinds}}


def _last_warning(path: Path) -> str:
    """What Envoy wrote last about configuration."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.rpartition("\t")[2] for line in reversed(lines) if "config" in line), "")
