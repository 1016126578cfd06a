"""A request's way through the mesh, as values; the fields are those of docs/trace.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from labrunner.check.mesh_questions import decisive


@dataclass(frozen=True, slots=True)
class Hop:
    """One proxy's part."""

    workload: str
    direction: str
    kind: str = "sidecar"
    proxy: str = ""
    listener: str = ""
    address: str = ""
    route: str = ""
    origin: str = ""
    cluster: str = ""
    rule: str = ""
    endpoint: str = ""
    pod: str = ""
    client: str = ""
    incoming: str = ""
    server: str = ""
    tls: str = ""
    code: int = 0
    flags: str = ""
    details: str = ""
    milliseconds: int = 0
    attempts: int = 0
    verdict: str = ""
    policy: str = ""
    why: str = ""
    change: tuple[str, ...] = ()
    agrees: bool = True
    depth: int = 0

    @property
    def mtls(self) -> bool:
        return self.tls.startswith("mTLS")

    @property
    def wrong(self) -> bool:
        return self.verdict in ("denied", "failed")


@dataclass(frozen=True, slots=True)
class Way:
    """`client`, `identity`: who asked. `application`: what it was for; `state`: answered, silent or unreached.

    `why`, `change`: where no proxy saw it, or none could know."""

    hops: tuple[Hop, ...] = ()
    client: str = ""
    identity: str = ""
    application: str = ""
    state: str = ""
    application_in_mesh: bool = True
    why: str = ""
    change: tuple[str, ...] = ()
    plain: bool = False
    """No proxy could see it, for neither end has one: it went in plaintext."""

    @property
    def deciding(self) -> int:
        """Index of the hop that decided; -1 without hops."""
        documents = [asdict(hop) for hop in self.hops]
        found = decisive(documents)
        return next((index for index, each in enumerate(documents) if each is found), -1)


_NAMES = frozenset(each.name for each in fields(Hop))


def way_from(document: Mapping[str, Any]) -> Way:
    """From the sandbox's `way`."""
    client, application = document["client"], document["application"]
    return Way(
        tuple(_hop(each) for each in document["hops"]),
        client["who"],
        client["identity"],
        application["who"],
        application["state"],
        application["sidecar"],
        document.get("why") or "",
        tuple(document.get("change") or ()),
    )


def _hop(each: Mapping[str, Any]) -> Hop:
    return Hop(**{**{key: value for key, value in each.items() if key in _NAMES}, "change": tuple(each["change"])})
