"""Where a record's route is from: the entry and match of the VirtualService that Envoy chose."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from labrunner.sandbox.mesh.model import Config, World
from labrunner.sandbox.mesh.observe.record import Record
from labrunner.sandbox.mesh.traffic.hosts import full_name

_PLACE = re.compile(r"http\[(\d+)\](?:\.match\[(\d+)\])?")


@dataclass(frozen=True, slots=True)
class Origin:
    """`entry` is empty when the object has changed since, or the route is no VirtualService's."""

    name: str = ""
    """`VirtualService shop/web http[1].match[0]`, with the route's own name behind it."""
    namespace: str = ""
    entry: dict[str, Any] = field(default_factory=dict)

    def destinations(self) -> list[tuple[str, str, int | None]]:
        """(full host, subset, port) of each destination that gets any traffic."""
        found = []
        routes = list(self.entry.get("route") or ())
        for route in routes:
            if len(routes) > 1 and not int(route.get("weight", 0)):
                continue
            to = route.get("destination") or {}
            number = (to.get("port") or {}).get("number")
            host = full_name(to.get("host", ""), self.namespace)
            found.append((host, to.get("subset", ""), int(number) if number else None))
        return found


def origin_of(record: Record, world: World) -> Origin:
    if not record.virtual_service:
        return Origin()
    config = named(world, "VirtualService", record.virtual_service)
    found = _PLACE.fullmatch(record.place)
    entries = ((config or {}).get("spec") or {}).get("http") or []
    entry = entries[int(found[1])] if found and int(found[1]) < len(entries) else {}
    own = f' "{entry["name"]}"' if entry.get("name") else ""
    name = f"VirtualService {record.virtual_service} {record.place}{own}".rstrip()
    return Origin(name, record.virtual_service.partition("/")[0], entry)


def named(world: World, kind: str, name: str) -> Config | None:
    """`name`: `namespace/name`."""
    namespace, _, own = name.partition("/")
    return next((c for c in world.of(kind, namespace) if c["metadata"]["name"] == own), None)


def name_of(config: Config) -> str:
    return f"{config['metadata'].get('namespace', '')}/{config['metadata']['name']}"
