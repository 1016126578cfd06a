"""Watches the access log of a running mesh and answers questions about it: the daemon's `/labrunner/mesh/` paths.

`GET status`, `config_dump?proxy=`, `stats?proxy=`, `log?proxy=`, `way?request_id=`, `samples`, `graph`, `node?id=`,
`api/...` (Jaeger).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from labrunner.sandbox.mesh.ca import Identity
from labrunner.sandbox.mesh.model import Workload, World
from labrunner.sandbox.mesh.observe import admin_pages
from labrunner.sandbox.mesh.observe.config_dump import config_dump
from labrunner.sandbox.mesh.observe.correlate import Connections, Sought, lacks_beginning, records_of
from labrunner.sandbox.mesh.observe.graph import Graph
from labrunner.sandbox.mesh.observe.hops import hops
from labrunner.sandbox.mesh.observe.hosts import mark
from labrunner.sandbox.mesh.observe.journey import Journey, Target, callers, journey
from labrunner.sandbox.mesh.observe.log_filter import is_logged
from labrunner.sandbox.mesh.observe.metrics import Metrics
from labrunner.sandbox.mesh.observe.peers import Directory
from labrunner.sandbox.mesh.observe.record import Record, parse
from labrunner.sandbox.mesh.observe.resources import resources
from labrunner.sandbox.mesh.observe.rotation import rotate
from labrunner.sandbox.mesh.observe.spans import Spans, jaeger
from labrunner.sandbox.mesh.render import Resources
from labrunner.sandbox.mesh.telemetry import Tracing, tracing_of
from labrunner.sandbox.workload.addresses import AddressPlan

WAIT_SECONDS = 2.0
"""How long `way` waits for a request's records; Envoy writes them a moment after the answer."""
_SETTLE_SECONDS = 0.12
_AT_ONCE, _MANY, _REST = 128 * 1024, 50, 4
"""Bytes of a piece of the log, lines of a full one, rest over work."""
NOTHING_SECONDS = 0.6
"""After which a request that was surely over before counts as seen by no proxy."""
LOGGERS = ("admin", "config", "connection", "filter", "http", "jwt", "pool", "rbac", "router", "upstream")


class MeshView(Protocol):
    """What observing needs of a running mesh."""

    @property
    def access_log(self) -> Path: ...

    @property
    def addresses(self) -> AddressPlan: ...

    def world(self) -> World: ...

    def resources(self, proxy: Workload) -> tuple[Resources, Resources]:
        """Listeners and clusters rendered for a proxy."""
        ...

    def identity(self, proxy: Workload) -> Identity | None: ...

    def root_pem(self) -> bytes: ...

    def pending(self) -> bool:
        """Whether changes are still on their way to Envoy."""
        ...

    def problem(self) -> str:
        """Why no Envoy runs; empty when one does or none is needed."""
        ...

    def refused(self, proxy: Workload) -> str:
        """Why Envoy did not take this proxy's latest configuration; empty when it did."""
        ...

    async def envoy_stats(self, pattern: str) -> Mapping[str, str]: ...

    async def envoy_hosts(self, proxy: Workload) -> Mapping[str, Mapping[str, str]]:
        """Cluster -> endpoint -> OK or FAILED, as Envoy judges."""
        ...

    async def reopen_log(self) -> None:
        """Make Envoy begin a new access log."""
        ...


class NotFound(Exception):
    """The path or the proxy does not exist."""


class Observer:
    """Reads what was logged since the last look, whenever it is asked. Not thread-safe: one event loop."""

    def __init__(self, view: MeshView, istiod: str = "istiod", version: str = "") -> None:
        self._view, self._istiod, self._version = view, istiod, version
        self._offset, self._rest = 0, b""
        self._draining: Path | None = None
        """A log that Envoy has left, while its end is read."""
        self._directory: tuple[World | None, Directory] = (None, Directory())
        self.metrics = Metrics()
        self.spans = Spans(self._sampling)
        self.connections = Connections()
        self.graph = Graph(view)
        self.listeners: list[Callable[[Record], None]] = []
        """Called with every record that belongs in the access log: `kubectl logs -c istio-proxy` has it from here."""

    def skip_past(self) -> None:
        """Begin at the log's end: what is there is of proxies that are gone."""
        with contextlib.suppress(FileNotFoundError):
            self._offset = self._view.access_log.stat().st_size

    def refresh(self, at_most: int = -1) -> int:
        """Take in new lines, `at_most` so many bytes of them; returns how many lines."""
        log = self._draining or self._view.access_log
        try:
            size = log.stat().st_size
            if size < self._offset:
                self._offset, self._rest = 0, b""
            if size == self._offset:
                return 0
            with log.open("rb") as file:
                file.seek(self._offset)
                data = file.read(at_most)
        except FileNotFoundError:
            return 0
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return sum(self._take(line) for line in lines)

    def _take(self, line: bytes) -> bool:
        record = parse(line.decode("utf-8", "replace"), self._view.addresses)
        if record is None:
            return False
        if not record.handshake_failed and not record.unmatched:
            # Only what a filter chain took is counted: Istio's statistics are a filter.
            self.metrics.add(record, self.directory())
        self.spans.add(record)
        self.connections.add(record)
        self.graph.add(record, self.directory())
        if self.listeners and not record.handshake_failed and is_logged(record, self._view.world(), self.directory()):
            for listener in self.listeners:
                listener(record)
        return True

    async def follow(self) -> int:
        """Take in a piece of what is new, and rest several times as long: proxies, programs and the API have their
        turn under load. How many lines; few: there are no more."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        if (count := self.refresh(_AT_ONCE)) < _MANY:
            return 0
        await asyncio.sleep(_REST * (loop.time() - begin))
        return count

    async def keep_small(self) -> bool:
        """Begin a new log where the old one has become long; whether it had."""
        log = self._view.access_log

        async def reopen() -> None:
            self._draining = log.with_name(f"{log.name}.old")
            await self._view.reopen_log()

        async def drain(_: Path) -> None:
            while await self.follow():
                pass
            self.refresh()
            self._draining, self._offset, self._rest = None, 0, b""

        return await rotate(log, reopen, drain)

    def directory(self) -> Directory:
        world = self._view.world()
        if self._directory[0] is not world:
            self._directory = (world, Directory.of(world.workloads, world.services, world.mesh.trust_domain))
        return self._directory[1]

    async def answer(self, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        """(status, JSON) of one question; `path` is what follows `/labrunner/mesh/`. Raises NotFound."""
        self.refresh()
        match path.partition("/")[0]:
            case "status":
                return 200, self._status()
            case "config_dump":
                return 200, await self._dump_now(self._proxy(query))
            case "stats":
                return 200, {"text": await self.stats(self._proxy(query))}
            case "log":
                return 200, {"loggers": dict.fromkeys(LOGGERS, query.get("level") or "warning")}
            case "way":
                return 200, (await self.way(query)).document()
            case "samples":
                found = self.metrics.samples(query.get("proxy", ""))
                return 200, {"samples": [{"name": n, "labels": labels, "value": v} for n, labels, v in found]}
            case "graph":
                return 200, await self.graph.answer(query)
            case "node":
                found_node = resources(self._view, query.get("id", ""))
                if found_node is None:
                    raise NotFound(f"no workload {query.get('id', '')}")
                return 200, found_node
            case "api":
                return jaeger(path, query, self.spans, self.directory())
        raise NotFound(path)

    async def way(self, query: Mapping[str, str]) -> Journey:
        """The request's way once its records are there; with fewer hops when they do not come in time.

        `request_id`, `trace`, `since`, `caller` (`namespace/WORKLOAD`), `url`, `headers` (JSON): as far as known.
        """
        target = Target.of(query.get("url", ""))
        since = query.get("since", "")
        sought = Sought(
            query.get("request_id", ""), query.get("trace", ""), float(since) if since else 0.0,
            callers(query.get("caller", ""), self._view.world()), target.host, target.port,
        )  # fmt: skip
        deadline = time.monotonic() + WAIT_SECONDS
        patience = time.monotonic() + (NOTHING_SECONDS if sought.since else WAIT_SECONDS)
        count, settled = -1, 0.0
        records: list[Record] = []
        while time.monotonic() < deadline:
            self.refresh()
            records = records_of(sought, self.spans, self.connections, self._view.world())
            if len(records) != count:
                count, settled = len(records), time.monotonic() + _SETTLE_SECONDS
            elif time.monotonic() > (settled if records else patience) and not lacks_beginning(records, sought):
                break
            await asyncio.sleep(0.02)
        headers = json.loads(query["headers"]) if query.get("headers") else None
        world, directory = self._view.world(), self.directory()
        found = hops(records, world, directory, headers, self._view.addresses)
        return journey(found, sought.callers, target, world, directory)

    async def stats(self, proxy: Workload) -> str:
        """What `/stats/prometheus` of the sidecar says: Istio's metrics."""
        return self.metrics.text(proxy.key)

    async def admin(self, key: str, path: str, options: Mapping[str, str]) -> Any:
        """A page of the proxy's admin interface: text, or a document; None when there is no such page."""
        import re

        proxy = self._proxy({"proxy": key})
        match path:
            case "stats/prometheus" | "metrics":
                return await self.stats(proxy)
            case "stats" if options.get("format") == "prometheus":
                return await self.stats(proxy)
            case "stats":
                wanted = re.compile(options.get("filter", ""))
                real = self._view.addresses.real_ip(proxy.ip)
                found = await self._view.envoy_stats(f".*{re.escape(proxy.key)}.*|listener.{real}_.*")
                found = {name.replace(f".{real}_", f".{proxy.ip}_"): value for name, value in found.items()}
                names = {name.replace(f"{proxy.key}/", "").replace(f"{proxy.key};", ""): v for name, v in found.items()}
                return "".join(f"{name}: {v}\n" for name, v in sorted(names.items()) if wanted.search(name))
            case "config_dump":
                return admin_pages.config_dump(await self._dump_now(proxy))
            case "certs":
                return admin_pages.certs(self._dump(proxy)["secrets"])
            case "listeners":
                return admin_pages.listeners(self._dump(proxy)["listeners"])
            case "clusters":
                return admin_pages.clusters((await self._dump_now(proxy))["endpoints"])
            case "server_info":
                return {"state": "LIVE", "version": self._version}
        return None

    def _proxy(self, query: Mapping[str, str]) -> Workload:
        found = self.directory().by_key.get(query.get("proxy", ""))
        if found is None or not (found.sidecar or found.gateway):
            raise NotFound(f"no proxy {query.get('proxy', '')}")
        return found

    def _status(self) -> dict[str, Any]:
        proxies = []
        for workload in self._view.world().workloads:
            if not workload.sidecar and not workload.gateway:
                continue
            refused = self._view.refused(workload)
            state = "STALE" if refused or self._view.problem() or self._view.pending() else "SYNCED"
            kinds = dict.fromkeys(("cds", "lds", "eds", "rds"), state)
            identity = self._view.identity(workload)
            proxies.append(
                {
                    "name": workload.key, "version": self._version, "ecds": "IGNORED", "refused": refused, **kinds,
                    "identity": identity.spiffe if identity else "",
                    "not_after": identity.not_after.isoformat() if identity else "",
                }
            )  # fmt: skip
        return {
            "pending": self._view.pending(),
            "problem": self._view.problem(),
            "istiod": self._istiod_pod(),
            "proxies": proxies,
        }

    def _istiod_pod(self) -> str:
        """The name of the control plane's pod."""
        world = self._view.world()
        found = (w.name for w in world.workloads if w.namespace == world.mesh.root_namespace)
        return next((name for name in found if name.startswith("istiod")), self._istiod)

    def _dump(self, proxy: Workload) -> dict[str, Any]:
        listeners, clusters = self._view.resources(proxy)
        identity, root = self._view.identity(proxy), self._view.root_pem()
        return config_dump(proxy.key, listeners, clusters, self._view.addresses, identity, root)

    async def _dump_now(self, proxy: Workload) -> dict[str, Any]:
        """With what Envoy thinks of the endpoints."""
        found = self._dump(proxy)
        mark(found["endpoints"], await self._view.envoy_hosts(proxy))
        return found

    def _sampling(self, proxy: str) -> Tracing:
        return tracing_of(self._view.world(), self.directory().by_key.get(proxy))
