"""Which records are of one request: by its ids, and where there was no HTTP by who connected to whom, and when."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from labrunner.sandbox.mesh.model import Workload, World
from labrunner.sandbox.mesh.observe.record import Record
from labrunner.sandbox.mesh.observe.spans import Spans, in_order

_RECENT_SECONDS = 5.0
_CLOCK = 0.05
"""Seconds by which the caller's clock and the log's may differ: the log has milliseconds."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What is known of a request by whoever sent it."""

    request_id: str = ""
    trace: str = ""
    """The mark it carries; empty: none."""
    since: float = 0.0
    """When it was sent, in seconds since the epoch; 0: just now."""
    callers: tuple[Workload, ...] = ()
    """Pods that may have sent it; empty: unknown, or a machine outside the cluster."""
    host: str = ""
    port: int = 0


@dataclass(slots=True)
class Connections:
    """The latest TCP connections, and those that ended in a handshake or found no filter chain."""

    _latest: deque[Record] = field(default_factory=lambda: deque(maxlen=2000))

    def add(self, record: Record) -> None:
        if not record.is_http:
            self._latest.append(record)

    def of(self, sought: Sought, world: World, known: Collection[Record] = ()) -> list[Record]:
        """Those that can only be this request's; `known`: its HTTP records, for what they led to."""
        oldest = (sought.since or time.time() - _RECENT_SECONDS) - _CLOCK
        recent = [r for r in self._latest if r.end >= oldest and (not sought.since or r.start >= oldest)]
        addresses = addresses_of(world, sought.host)
        keys = {w.key for w in sought.callers}
        ips = {w.ip for w in sought.callers}
        first = [r for r in recent if self._is_first(r, sought, keys, ips, addresses)] if not known else []
        # The caller's own proxy came before whatever it led to, in whichever order they were written.
        found = ([r for r in first if r.direction == "outbound"] or first)[-1:]
        frontier: list[Record] = [*known, *found]
        while frontier:
            one = frontier.pop()
            following = [r for r in recent if r not in found and _leads(one, r)]
            found += following[-1:]
            frontier += following[-1:]
        return in_order(found)

    def _is_first(
        self, record: Record, sought: Sought, keys: Collection[str], ips: Collection[str], addresses: Collection[str]
    ) -> bool:
        ip, _, port = record.local.rpartition(":")
        named = record.sni == sought.host or ip in addresses
        if record.gateway:
            # A gateway's own address is not the one that was called.
            return not record.sni or record.sni == sought.host or not sought.host
        if record.direction == "outbound":
            right_port = not sought.port or port == str(sought.port)
            return record.proxy in keys and right_port and (named or not addresses)
        caller = (record.direct_remote or record.remote).rpartition(":")[0]
        return named and (not ips or caller in ips)


def addresses_of(world: World, host: str) -> set[str]:
    """Every address behind which the program asked for may be: of the Service of that name, and of its pods."""
    found = {host} if host else set()
    for service in world.services:
        short = (service.name, f"{service.name}.{service.namespace}", f"{service.name}.{service.namespace}.svc")
        if host in (service.host, *short, *service.addresses):
            found |= {*service.addresses, *(e.address for group in service.endpoints.values() for e in group)}
    return found


def _leads(one: Record, other: Record) -> bool:
    """Whether `one` made the connection that `other` saw come in."""
    if one.direction != "outbound" or other.direction == "outbound" or not one.upstream_host:
        return False
    same_place = other.local == one.upstream_host
    if one.upstream_local and one.upstream_local == (other.direct_remote or other.remote):
        return same_place
    # A connection that never stood has no address of its own in the record: then the time decides.
    inside = one.start - _CLOCK <= other.start <= one.end + _CLOCK
    return same_place and inside and (other.handshake_failed or other.unmatched)


def records_of(sought: Sought, spans: Spans, connections: Connections, world: World) -> list[Record]:
    """All that is known of a request so far, along its way."""
    http = spans.of_request(sought.request_id)
    if sought.trace:
        http = unique([*http, *spans.of_trace(sought.trace)])
    if any(r.direction == "inbound" for r in http):
        return in_order(http)
    return in_order([*http, *connections.of(sought, world, http)])


def lacks_beginning(records: Sequence[Record], sought: Sought) -> bool:
    """Whether a sidecar took the request in and the caller's has not told of it yet: Envoy writes records apart."""
    return bool(records) and records[0].direction == "inbound" and any(w.sidecar for w in sought.callers)


def unique(records: Iterable[Record]) -> list[Record]:
    found: list[Record] = []
    for record in records:
        if record not in found:
            found.append(record)
    return found
