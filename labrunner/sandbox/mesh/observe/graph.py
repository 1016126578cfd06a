"""Who talks to whom: the proxies' access records as edges between workloads, and what each workload is.

`GET graph?since=VERSION&wait=SECONDS` answers as soon as there is something newer than VERSION, and when the time is
over. A request is counted once: at its caller's proxy, else at the called one's.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from labrunner.sandbox.mesh.ca import Identity
from labrunner.sandbox.mesh.model import Service, Workload, World
from labrunner.sandbox.mesh.observe.hops import expected
from labrunner.sandbox.mesh.observe.peers import Directory, workload_name
from labrunner.sandbox.mesh.observe.record import Record
from labrunner.sandbox.mesh.security.authorization import policies_for
from labrunner.sandbox.mesh.security.peer_authentication import peer_modes
from labrunner.sandbox.mesh.security.request_authentication import requests_for
from labrunner.sandbox.workload.addresses import AddressPlan

WINDOW = 30.0
"""Seconds of which an edge's rate and errors are."""
LONGEST_WAIT = 25.0
"""Seconds that a question may wait for news."""
SETTLE = 0.05
"""Seconds from the first news to the answer: a request is logged by more than one proxy."""
BEAT = 2.0
"""Seconds after which rates are news, while there are any."""
CLIENT = "outside"
"""The id of whoever calls a gateway from outside the cluster."""
_BROKEN = frozenset(
    ("UF", "UH", "UO", "UT", "URX", "UC", "NR", "NC", "DC", "LR", "UR", "DPE", "UPE", "SI", "LH", "FI", "RL", "UAEX")
)
"""Envoy's response flags of requests that got no answer from the program that was asked."""
_ELSEWHERE = ("PassthroughCluster", "BlackHoleCluster")


class Watched(Protocol):
    """What a graph needs of a running mesh; see `observer.MeshView`."""

    @property
    def addresses(self) -> AddressPlan: ...
    def world(self) -> World: ...
    def identity(self, proxy: Workload) -> Identity | None: ...
    def pending(self) -> bool: ...
    def problem(self) -> str: ...
    def refused(self, proxy: Workload) -> str: ...


@dataclass(slots=True)
class _Edge:
    total: int = 0
    errors: int = 0
    recent: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=5000))
    """When each request ended, and whether it went wrong."""
    last: Record | None = None
    seen: Record | None = None
    """The last record of the called one's proxy, which knows who called."""
    denied: str = ""
    """Id, or client's address, of the last request that the called one's proxy denied."""
    mtls: bool = False
    verdict: str = ""


class Graph:
    """Not thread-safe: the observer's event loop."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._edges: dict[tuple[str, str], _Edge] = {}
        self._version = 1
        self._world: World | None = None
        self._said: tuple[bool, str] = (False, "")
        self._rules: dict[str, tuple[str, float]] = {}
        """By node: what decides about calls to it, and since when."""
        self._news = asyncio.Event()
        self._origin = f"{time.time():.6f}"

    # -- taking in

    def add(self, record: Record, directory: Directory) -> None:
        """One record of a proxy."""
        for source, target, mtls in self._ends(record, directory):
            edge = self._edges.setdefault((source, target), _Edge())
            self._note(edge, record, mtls, self._counts(record, directory, source))
        self._tell()

    def look(self) -> None:
        """See whether the cluster changed; cheap enough to be called ten times a second."""
        world = self._watched.world()
        said = (self._watched.pending(), self._watched.problem())
        if world is not self._world or said != self._said:
            if world is not self._world:
                self._rules = _rules(world, self._rules, time.time())
            self._world, self._said = world, said
            self._tell()

    def _tell(self) -> None:
        self._version += 1
        self._news.set()

    @staticmethod
    def _ends(record: Record, directory: Directory) -> list[tuple[str, str, bool]]:
        """(source, target, mutual TLS) of the edges that a record is about."""
        own = directory.by_key.get(record.proxy)
        if own is None:
            return []
        if not record.is_http and not record.upstream_cluster and not record.flags and record.sent:
            return []  # a connection that was answered: its requests have records of their own
        here = node_id(own)
        if record.direction == "inbound":
            caller = _caller(record, directory)
            return [(node_id(caller) if caller else CLIENT, here, bool(record.peer))]
        found = []
        if own.gateway:
            caller = _caller(record, directory)
            found.append((node_id(caller) if caller else CLIENT, here, bool(record.peer)))
        called = directory.by_ip.get(record.upstream_host.rpartition(":")[0])
        if called is not None:
            found.append((here, node_id(called), bool(record.upstream_peer)))
        elif host := _outside(record):
            services = directory.services.get(host)
            inside = [e.workload for group in services.endpoints.values() for e in group] if services else []
            target = next((node_id(w) for w in inside if w is not None), f"host:{host}")
            found.append((here, target, bool(record.upstream_peer)))
        return found

    @staticmethod
    def _counts(record: Record, directory: Directory, source: str) -> bool:
        if record.direction == "outbound":
            return True
        caller = _caller(record, directory)
        return caller is None or not (caller.sidecar or caller.gateway)

    @staticmethod
    def _note(edge: _Edge, record: Record, mtls: bool, counts: bool) -> None:
        verdict = _verdict(record)
        mark = record.request_id or (record.remote if record.direction == "inbound" else record.upstream_local)
        if record.direction == "inbound":
            edge.seen, edge.mtls = record, mtls
            if verdict == "denied":
                edge.denied = mark
        elif mtls or edge.last is None:
            edge.mtls = mtls
        if mark and mark == edge.denied:
            verdict = "denied"
        edge.verdict = verdict
        edge.last = record
        if counts:
            wrong = verdict != "allowed"
            edge.total += 1
            edge.errors += wrong
            edge.recent.append((record.end, wrong))

    # -- telling

    async def answer(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The graph, once it is another than `since`; raises ValueError for a `wait` that is no number."""
        deadline = time.monotonic() + min(LONGEST_WAIT, float(query.get("wait") or 0))
        self.look()
        while query.get("since") == self._name and (left := deadline - time.monotonic()) > 0:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(left, BEAT))
            if query.get("since") != self._name:
                await asyncio.sleep(SETTLE)
            elif self._flowing():
                break
        return self.document()

    @property
    def _name(self) -> str:
        return f"{self._origin}-{self._version}"

    def _flowing(self) -> bool:
        oldest = time.time() - WINDOW - BEAT
        return any(edge.recent and edge.recent[-1][0] > oldest for edge in self._edges.values())

    def document(self) -> dict[str, Any]:
        world, now = self._watched.world(), time.time()
        directory = Directory.of(world.workloads, world.services, world.mesh.trust_domain)
        nodes = self._nodes(world)
        edges = []
        for (source, target), edge in self._edges.items():
            for end in (source, target):
                if end == CLIENT:
                    nodes.setdefault(end, {"id": end, "name": "internet", "namespace": "", "kind": "client"})
                elif end.startswith("host:"):
                    host = end.removeprefix("host:")
                    nodes.setdefault(end, {"id": end, "name": host, "namespace": "", "kind": "external"})
            if source in nodes and target in nodes:
                edges.append({"source": source, "target": target, **self._edge(edge, target, world, directory, now)})
        return {
            "version": self._name, "pending": self._watched.pending(), "problem": self._watched.problem(),
            "window": WINDOW, "nodes": list(nodes.values()), "edges": edges,
        }  # fmt: skip

    def _edge(self, edge: _Edge, target: str, world: World, directory: Directory, now: float) -> dict[str, Any]:
        while edge.recent and edge.recent[0][0] < now - WINDOW:
            edge.recent.popleft()
        last = edge.last
        assert last is not None
        changed = self._rules.get(target, ("", 0.0))[1]
        stale = last.start < changed
        foreseen: bool | None = None
        if stale and edge.seen is not None:
            foreseen = expected(edge.seen, world, directory, self._watched.addresses)
        count = len(edge.recent)
        return {
            "mtls": edge.mtls, "verdict": edge.verdict, "stale": stale, "expected": foreseen, "code": last.code,
            "flags": last.flags, "method": last.method, "path": last.path.partition("?")[0],
            "authority": last.authority, "requestId": last.request_id, "at": last.end,
            "rate": count / WINDOW, "wrong": sum(wrong for _, wrong in edge.recent) / count if count else 0.0,
            "total": edge.total, "errors": edge.errors,
        }  # fmt: skip

    def _nodes(self, world: World) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for workload in world.workloads:
            key = node_id(workload)
            node = found.get(key)
            if node is None:
                node = found[key] = self._node(key, workload, world)
            node["pods"] += 1
            node["ready"] += workload.ready
            node["proxies"] += workload.sidecar
            if workload.ready and not node["caller"]:
                node["caller"] = workload.name
            node["refused"] = node["refused"] or self._watched.refused(workload)
        return found

    def _node(self, key: str, workload: Workload, world: World) -> dict[str, Any]:
        modes = peer_modes(world, workload)
        kind = "gateway" if workload.gateway else "workload"
        services = [
            s for s in world.services if s.namespace == workload.namespace and not s.external and _of(s, workload)
        ]
        return {
            "id": key, "name": workload_name(workload), "namespace": workload.namespace, "kind": kind,
            "pods": 0, "ready": 0, "proxies": 0, "refused": "", "caller": "",
            "mtls": modes.default if workload.sidecar and not workload.gateway else "",
            "policies": len(policies_for(world, workload)) if workload.sidecar else 0,
            "system": workload.namespace.startswith("kube-") or (
                workload.namespace == world.mesh.root_namespace and not workload.gateway
            ),
            "services": [
                {"host": f"{s.name}.{s.namespace}", "ports": [{"port": p.port, "kind": p.kind} for p in s.ports]}
                for s in services
            ],
        }  # fmt: skip


def node_id(workload: Workload) -> str:
    """`namespace/name` of the Deployment, StatefulSet or bare Pod."""
    return f"{workload.namespace}/{workload_name(workload)}"


def _caller(record: Record, directory: Directory) -> Workload | None:
    """By its address, else by the identity it showed: a gateway calls from an address that is not its pod's."""
    found = directory.by_ip.get((record.direct_remote or record.remote).rpartition(":")[0])
    if found is not None or not record.peer:
        return found
    same = [w for w in directory.by_key.values() if w.spiffe(directory.trust_domain) == record.peer]
    return next((workload for workload in same if workload.gateway), same[0] if same else None)


def _of(service: Service, workload: Workload) -> bool:
    """Whether it selects the workload, ready or not."""
    chosen = bool(service.selector) and all(workload.labels.get(k) == v for k, v in service.selector.items())
    return chosen or any(e.workload == workload for group in service.endpoints.values() for e in group)


def _outside(record: Record) -> str:
    host = record.upstream_cluster.rpartition("|")[2]
    return record.authority.partition(":")[0] if host in _ELSEWHERE or not host else host


def _verdict(record: Record) -> str:
    """allowed, denied, failed (no proper answer) or answered (with an error of the program's own)."""
    strict = "NR" in record.flags and not record.is_http and record.direction == "inbound"
    if record.denied or strict or record.details.startswith("jwt_authn_access_denied"):
        return "denied"
    if not record.is_http:
        return "failed" if _broken(record) else "allowed"
    if 0 < record.code < 400:
        return "allowed"
    return "failed" if _broken(record) or not record.code else "answered"


def _broken(record: Record) -> bool:
    """Whether the proxy, and not the program, ended it: a failed handshake, or a flag that says so."""
    return bool(record.upstream_failure or record.downstream_failure or _BROKEN & set(record.flags.split(",")))


def _rules(world: World, before: Mapping[str, tuple[str, float]], now: float) -> dict[str, tuple[str, float]]:
    """What decides about calls to each workload, and since when it has been so."""
    found: dict[str, tuple[str, float]] = {}
    for workload in world.workloads:
        key = node_id(workload)
        if key in found:
            continue
        deciding = [*policies_for(world, workload), *requests_for(world, workload)]
        text = repr((
            workload.sidecar,
            peer_modes(world, workload),
            [(c["metadata"].get("uid"), c["metadata"].get("generation"), c.get("spec")) for c in deciding],
        ))  # fmt: skip
        old = before.get(key)
        found[key] = old if old is not None and old[0] == text else (text, now if before else 0.0)
    return found
