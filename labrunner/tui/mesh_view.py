"""The seam between the lab screen and whoever knows the mesh: what a map of it would draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class MeshNode:
    """A workload or gateway. `id` is unique in the view."""

    id: str
    namespace: str
    name: str
    gateway: bool = False


@dataclass(frozen=True, slots=True)
class MeshEdge:
    """Requests from one node to another. `allowed` is None while none was seen; `rate`: requests per second."""

    source: str
    target: str
    mtls: bool
    allowed: bool | None = None
    rate: float = 0.0
    errors: float = 0.0


class MeshView(Protocol):
    """Thread-safe; never blocks on the network: answers from what is known."""

    def nodes(self) -> Sequence[MeshNode]: ...
    def edges(self) -> Sequence[MeshEdge]: ...
    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """`changed` is called, on any thread, when nodes or edges did; returns the unsubscriber."""
        ...

    def trace(self, edge: MeshEdge) -> Sequence[str]:
        """The last request over an edge, hop by hop, one line each; empty when there was none."""
        ...
