"""The seam between the mesh's screens and whoever knows the mesh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from labrunner.check.http_probe import Answer, Request
from labrunner.run.mesh.picture import Picture, Resources
from labrunner.run.mesh.way import Hop, Way

Stop = Callable[[], bool]
"""Whether to end early."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that was sent, and what came of it. `fault`: why it could not be sent."""

    request: Request
    answer: Answer | None = None
    way: Way = field(default_factory=Way)
    fault: str = ""
    at: float = 0.0
    """When it was sent: seconds since the epoch."""
    answers: tuple[Answer, ...] = field(default=(), compare=False)
    """All of them, when it was sent more than once; `answer` is the last."""
    untraced: str = ""
    """Why its way is not known; empty when it is."""

    @property
    def hops(self) -> tuple[Hop, ...]:
        return self.way.hops

    @property
    def state(self) -> str:
        """allowed, denied, answered (with an error of the program's own), failed, or fault."""
        if self.answer is None:
            return "fault"
        if 0 < self.answer.status < 400:
            return "allowed"
        deciding = self.way.deciding
        hop = self.hops[deciding] if deciding >= 0 else None
        if hop is not None and hop.verdict == "denied":
            return "denied"
        if self.answer.status:
            return "failed" if hop is not None and hop.verdict == "failed" else "answered"
        # Whoever listens behind a TCP port need not speak HTTP: curl is not content, the mesh was.
        through = hop is not None and hop.verdict == "allowed" and not hop.code and self.way.state == "answered"
        return "allowed" if through else "failed"

    @property
    def mtls(self) -> bool | None:
        """Of the connection that reached the called one; None where no proxy tells."""
        own = [hop for hop in self.hops if not hop.depth]
        return own[-1].mtls if own else False if self.way.plain else None


class MeshSource(Protocol):
    """Thread-safe. `picture` and `subscribe` never block; the others ask the cluster and raise `LabrunnerError`."""

    @property
    def untraced(self) -> str:
        """Why requests leave no trace here ("" where they do)."""
        ...

    def picture(self) -> Picture:
        """What is known now."""
        ...

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """`changed` is called, on any thread, when the picture did; the picture is followed while somebody is
        subscribed. Returns the unsubscriber."""
        ...

    def resources(self, node_id: str) -> Resources | None: ...

    def way(self, request_id: str, request: Request) -> Way:
        """Of a request that was seen, by its x-request-id. `request`: as far as it is known."""
        ...

    def send(self, request: Request, times: int = 1) -> Exchange:
        """Send it, and follow the last one's way. A request that could not be sent is no error: see `fault`."""
        ...

    def send_all(
        self, requests: Sequence[Request], each: Callable[[int, Exchange], None], stop: Stop = lambda: False
    ) -> None:
        """Send many, several callers at a time; `each` hears of every one, by its index, on any thread. Ends soon
        after `stop` says so."""
        ...

    def close(self) -> None:
        """Follow no more; idempotent."""
        ...
