"""Istio's standard metrics from access records, in the Prometheus text format.

Names, labels and buckets: istio.io, Istio Standard Metrics; Envoy's default histogram buckets.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from labrunner.sandbox.mesh.observe.peers import UNKNOWN, Directory
from labrunner.sandbox.mesh.observe.record import Record

Labels = tuple[tuple[str, str], ...]
BUCKETS = (
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
)  # fmt: skip
_CLUSTER = "Kubernetes"
_TCP_COUNTERS = ("connections_opened", "connections_closed", "sent_bytes", "received_bytes")


class Metrics:
    """Counters and histograms of every proxy, since the log's beginning."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, str, Labels], float] = defaultdict(float)
        self._histograms: dict[tuple[str, str, Labels], list[float]] = {}

    def add(self, record: Record, directory: Directory) -> None:
        labels = labels_of(record, directory)
        if record.is_http:
            self._counters[record.proxy, "istio_requests_total", labels] += 1
            for name, value in (
                ("istio_request_duration_milliseconds", record.duration),
                ("istio_request_bytes", record.received),
                ("istio_response_bytes", record.sent),
            ):
                self._observe(record.proxy, name, labels, value)
            return
        values = (1, 1, record.sent, record.received)
        for word, value in zip(_TCP_COUNTERS, values, strict=True):
            self._counters[record.proxy, f"istio_tcp_{word}_total", labels] += value

    def _observe(self, proxy: str, name: str, labels: Labels, value: float) -> None:
        series = self._histograms.setdefault((proxy, name, labels), [0.0] * (len(BUCKETS) + 2))
        for index in range(bisect_left(BUCKETS, value), len(BUCKETS)):
            series[index] += 1
        series[-2] += 1
        series[-1] += value

    def samples(self, proxy: str = "") -> Iterable[tuple[str, dict[str, str], float]]:
        """(name, labels, value) of the counters; `proxy` empty: of all."""
        for (owner, name, labels), value in sorted(self._counters.items()):
            if proxy in ("", owner):
                yield name, dict(labels), value

    def text(self, proxy: str) -> str:
        """What the proxy's `/stats/prometheus` has of Istio's metrics."""
        lines: list[str] = []
        announced = ""
        for (owner, name, labels), value in sorted(self._counters.items(), key=lambda item: (item[0][1], item[0][2])):
            if owner != proxy:
                continue
            if name != announced:
                lines.append(f"# TYPE {name} counter")
                announced = name
            lines.append(f"{name}{{{_shown(labels)}}} {value:g}")
        for (owner, name, labels), series in sorted(self._histograms.items(), key=lambda i: (i[0][1], i[0][2])):
            if owner != proxy:
                continue
            if name != announced:
                lines.append(f"# TYPE {name} histogram")
                announced = name
            for bound, count in zip((*map(_bound, BUCKETS), "+Inf"), series[:-1], strict=True):
                lines.append(f'{name}_bucket{{{_shown(labels)},le="{bound}"}} {count:g}')
            lines.append(f"{name}_sum{{{_shown(labels)}}} {series[-1]:g}")
            lines.append(f"{name}_count{{{_shown(labels)}}} {series[-2]:g}")
        return "".join(f"{line}\n" for line in lines)


def _bound(value: float) -> str:
    return f"{value:g}" if value < 100000 else str(int(value))


def _shown(labels: Labels) -> str:
    return ",".join(f'{key}="{_escaped(value)}"' for key, value in labels)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def labels_of(record: Record, directory: Directory) -> Labels:
    """Istio's standard labels, in its order."""
    source, _ = directory.source(record)
    destination, _ = directory.destination(record)
    host, name, namespace = directory.service(record)
    inbound = record.direction == "inbound"
    security = ("mutual_tls" if record.peer else "none") if inbound else UNKNOWN
    grpc = record.protocol == "HTTP/2" and "grpc" in record.user_agent
    protocol = "grpc" if grpc else "http" if record.is_http else "tcp"
    found: dict[str, str] = {
        "reporter": "destination" if inbound else "source",
        "source_workload": source.workload,
        "source_canonical_service": source.canonical_service,
        "source_canonical_revision": source.canonical_revision,
        "source_workload_namespace": source.namespace,
        "source_principal": source.principal,
        "source_app": source.app,
        "source_version": source.version,
        "source_cluster": _CLUSTER if source.known else UNKNOWN,
        "destination_workload": destination.workload,
        "destination_workload_namespace": destination.namespace,
        "destination_principal": destination.principal,
        "destination_app": destination.app,
        "destination_version": destination.version,
        "destination_service": host,
        "destination_canonical_service": destination.canonical_service,
        "destination_canonical_revision": destination.canonical_revision,
        "destination_service_name": name,
        "destination_service_namespace": destination.namespace if namespace == UNKNOWN else namespace,
        "destination_cluster": _CLUSTER if destination.known else UNKNOWN,
        "request_protocol": protocol,
        "response_flags": record.flags or "-",
        "connection_security_policy": security,
    }
    if record.is_http:
        found |= {"response_code": str(record.code), "grpc_response_status": ""}
    return tuple(found.items())
