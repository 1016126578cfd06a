"""Events, of both the core group and events.k8s.io."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.kube.printers.duration import UNKNOWN, Ages
from labrunner.sandbox.kube.printers.printer import Column, Obj, Printer, at, name_of


def _cells(event: Obj, ages: Ages) -> list[Any]:
    # events.k8s.io names the same fields differently.
    involved = event.get("involvedObject") or event.get("regarding") or {}
    source = event.get("source") or event.get("deprecatedSource") or {}
    first = ages(event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime"))
    last_time = event.get("lastTimestamp") or event.get("deprecatedLastTimestamp")
    last = ages(last_time) if last_time else first
    count = event.get("count") or event.get("deprecatedCount") or 1
    if series := event.get("series"):
        observed = series.get("lastObservedTime")
        last, count = ages(observed) if observed else UNKNOWN, series.get("count", 0)
    kind, name = str(involved.get("kind", "")).lower(), involved.get("name")
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    instance = source.get("host") or event.get("reportingInstance") or ""
    return [
        last,
        event.get("type", ""),
        event.get("reason", ""),
        f"{kind}/{name}" if name else kind,
        at(involved, "fieldPath", default=""),
        f"{component}, {instance}" if instance else component,
        str(event.get("message") or event.get("note") or "").strip(),
        first,
        count,
        name_of(event),
    ]


_PRINTER = Printer(
    (
        Column("Last Seen", "@core.v1.Event.lastTimestamp"),
        Column("Type", "@core.v1.Event.type"),
        Column("Reason", "@core.v1.Event.reason"),
        Column("Object", "@core.v1.Event.involvedObject"),
        Column("Subobject", "@core.v1.ObjectReference.fieldPath", priority=1),
        Column("Source", "@core.v1.Event.source", priority=1),
        Column("Message", "@core.v1.Event.message"),
        Column("First Seen", "@core.v1.Event.firstTimestamp", priority=1),
        Column("Count", "@core.v1.Event.count", priority=1),
        Column("Name", "@meta.v1.ObjectMeta.name", format="name", priority=1),
    ),
    _cells,
)
PRINTERS = {"Event": _PRINTER, "events.k8s.io/Event": _PRINTER}
