"""Spans of requests at proxies, linked by request id and place, as Jaeger's query API gives them.

The proxy that a request meets first decides whether it is sampled, by its id, so that every proxy decides alike.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.mesh.observe.peers import Directory
from labrunner.sandbox.mesh.observe.record import Record
from labrunner.sandbox.mesh.telemetry import Tracing

KEPT = 5000
"""Requests whose spans are kept, the latest."""
_SLACK = 0.002
"""Seconds by which a child may stick out of its parent: the log's clock has milliseconds."""


@dataclass(frozen=True, slots=True)
class Span:
    trace_id: str
    span_id: str
    parent_id: str
    service: str
    operation: str
    kind: str
    """client or server."""
    record: Record
    tags: Mapping[str, str]


class Spans:
    """The latest requests' records by id; spans are made when they are asked for."""

    def __init__(self, sampling: Callable[[str], Tracing]) -> None:
        """`sampling`: of a proxy (`pod.namespace`)."""
        self._sampling = sampling
        self._records: OrderedDict[str, list[Record]] = OrderedDict()
        self._marked: OrderedDict[str, set[str]] = OrderedDict()
        """Request ids by the mark of who sent the request."""

    def add(self, record: Record) -> None:
        if not record.is_http or not record.request_id:
            return
        self._records.setdefault(record.request_id, []).append(record)
        self._records.move_to_end(record.request_id)
        while len(self._records) > KEPT:
            self._records.popitem(last=False)
        if record.trace:
            self._marked.setdefault(record.trace, set()).add(record.request_id)
            while len(self._marked) > KEPT:
                self._marked.popitem(last=False)

    def of_request(self, request_id: str) -> list[Record]:
        """All its records, in the order in which its hops began."""
        return in_order(self._records.get(request_id, ()))

    def of_trace(self, mark: str) -> list[Record]:
        """Records of the requests that carry this mark, whatever ids gateways gave them."""
        return in_order(r for each in sorted(self._marked.get(mark, ())) for r in self._records.get(each, ()))

    def traces(self, directory: Directory) -> Iterable[list[Span]]:
        """Sampled requests, the latest first."""
        for request_id in reversed(self._records):
            records = self.of_request(request_id)
            choice = self._sampling(records[0].proxy)
            if not choice.disabled and sampled(request_id, choice.percentage):
                yield spans_of(records, directory, self._sampling)


def sampled(request_id: str, percentage: float) -> bool:
    """The same answer for the same id at every proxy."""
    share = int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:4], "big") / 2**32 * 100
    return share < percentage


def in_order(records: Iterable[Record]) -> list[Record]:
    """Along the way: by start, a caller before whom it calls, outbound before the inbound it leads to."""
    return sorted(records, key=lambda r: (round(r.start, 3), -r.duration, r.direction != "outbound"))


def spans_of(
    records: list[Record], directory: Directory, sampling: Callable[[str], Tracing] = lambda _: Tracing()
) -> list[Span]:
    """One span for each record, each below the one that caused it."""
    if not records:
        return []
    first = records[0]
    given = first.traceparent.split("-")
    trace_id = given[1] if len(given) == 4 else _hex(first.request_id, 32)
    places = [f"{r.request_id}/{r.proxy}/{r.direction}/{r.start_text}/{r.local}" for r in records]
    ids = [_hex(f"{place}/{index}", 16) for index, place in enumerate(places)]
    found = []
    for index, record in enumerate(records):
        parent = _parent(records, index)
        parent_id = ids[parent] if parent is not None else (given[2] if index == 0 and len(given) == 4 else "")
        side = directory.source if record.direction == "outbound" else directory.destination
        peer, _ = side(record)
        service = f"{peer.canonical_service}.{peer.namespace}" if peer.known else record.proxy
        host = directory.service(record)[0]
        operation = f"{host}:{_port(record)}/*"
        tags = _tags(record, peer.namespace) | _custom(record, sampling(record.proxy))
        kind = "client" if record.direction == "outbound" else "server"
        found.append(Span(trace_id, ids[index], parent_id, service, operation, kind, record, tags))
    return found


def _custom(record: Record, choice: Tracing) -> dict[str, str]:
    absent = {tag: default for tag, (_, default) in choice.headers.items() if default}
    return {**choice.tags, **absent, **record.tags}


def _parent(records: list[Record], index: int) -> int | None:
    """An inbound hop is below the outbound one that chose its address; an outbound one below its pod's inbound."""
    own = records[index]
    best: int | None = None
    for number, other in enumerate(records):
        if number == index or other.direction == own.direction:
            continue
        inside = other.start - _SLACK <= own.start and own.end <= other.end + _SLACK
        leads = other.upstream_host == own.local if own.direction == "inbound" else other.proxy == own.proxy
        if inside and leads and (best is None or other.start >= records[best].start):
            best = number
    return best


def _port(record: Record) -> str:
    parts = record.upstream_cluster.split("|")
    return parts[1] if len(parts) == 4 else record.port


def _hex(text: str, length: int) -> str:
    bare = text.replace("-", "").lower()
    if len(bare) == length and all(c in "0123456789abcdef" for c in bare):
        return bare
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _tags(record: Record, namespace: str) -> dict[str, str]:
    scheme = "https" if record.tls else "http"
    return {
        "component": "proxy",
        "guid:x-request-id": record.request_id,
        "http.method": record.method,
        "http.protocol": record.protocol,
        "http.status_code": str(record.code),
        "http.url": f"{scheme}://{record.authority}{record.path}",
        "istio.mesh_id": "cluster.local",
        "istio.namespace": namespace,
        "node_id": record.proxy,
        "peer.address": record.remote.rpartition(":")[0],
        "request_size": str(record.received),
        "response_flags": record.flags or "-",
        "response_size": str(record.sent),
        "upstream_cluster": record.upstream_cluster,
        "upstream_cluster.name": record.upstream_cluster,
        "user_agent": record.user_agent or "-",
        **({"error": "true"} if record.code >= 500 else {}),
    }


def jaeger(path: str, query: Mapping[str, str], spans: Spans, directory: Directory) -> tuple[int, dict[str, Any]]:
    """(status, answer) of Jaeger's query API: `/api/services`, `/api/services/X/operations`, `/api/traces[/ID]`."""
    parts = [part for part in path.split("/") if part]
    parts = parts[parts.index("api") + 1 :] if "api" in parts else parts
    traces = list(spans.traces(directory))
    match parts:
        case ["services"]:
            return 200, _answer(sorted({s.service for t in traces for s in t}))
        case ["services", service, "operations"]:
            return 200, _answer(sorted({s.operation for t in traces for s in t if s.service == service}))
        case ["traces", trace_id]:
            found = [t for t in traces if t and t[0].trace_id == trace_id.lower()]
            if not found:
                return 404, {**_answer([]), "errors": [{"code": 404, "msg": "trace not found", "traceID": trace_id}]}
            return 200, _answer([_trace(t) for t in found])
        case ["traces"]:
            if not query.get("service"):
                return 400, {**_answer([]), "errors": [{"code": 400, "msg": "parameter 'service' is required"}]}
            limit = int(query["limit"]) if query.get("limit", "").isdigit() else 20
            found = [t for t in traces if any(_wanted(s, query) for s in t)]
            return 200, _answer([_trace(t) for t in found[:limit]])
    return 404, {**_answer([]), "errors": [{"code": 404, "msg": "not found"}]}


def _wanted(span: Span, query: Mapping[str, str]) -> bool:
    import json

    try:
        tags = json.loads(query.get("tags", "") or "{}")
    except ValueError:
        tags = {}
    return (
        span.service == query["service"]
        and query.get("operation", "") in ("", "all", span.operation)
        and all(span.tags.get(key) == str(value) for key, value in tags.items())
    )


def _answer(data: list[Any]) -> dict[str, Any]:
    return {"data": data, "total": 0, "limit": 0, "offset": 0, "errors": None}


def _trace(spans: list[Span]) -> dict[str, Any]:
    services = {name: f"p{number}" for number, name in enumerate(dict.fromkeys(s.service for s in spans), 1)}
    return {
        "traceID": spans[0].trace_id,
        "spans": [_span(span, services[span.service]) for span in spans],
        "processes": {key: {"serviceName": name, "tags": []} for name, key in services.items()},
        "warnings": None,
    }


def _span(span: Span, process: str) -> dict[str, Any]:
    reference = {"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": span.parent_id}
    tags = {**span.tags, "span.kind": span.kind}
    return {
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": span.operation,
        "references": [reference] if span.parent_id else [],
        "startTime": int(span.record.start * 1_000_000),
        "duration": span.record.duration * 1000,
        "tags": [{"key": key, "type": "string", "value": value} for key, value in sorted(tags.items())],
        "logs": [],
        "processID": process,
        "warnings": None,
    }
