"""Who reaches whom, as measured: callers by what they ask."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from labrunner.check.http_probe import Request
from labrunner.run.mesh.picture import Node, Picture
from labrunner.run.mesh.source import Exchange

TIMEOUT = 3.0
"""Seconds that one cell may take."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A service's port that is asked for."""

    host: str
    port: int

    @property
    def name(self) -> str:
        return self.host if self.port == 80 else f"{self.host}:{self.port}"


@dataclass(slots=True)
class Matrix:
    """`cells` by (row, column); a cell that is not there was not measured."""

    callers: tuple[Node, ...]
    goals: tuple[Goal, ...]
    path: str = "/"
    method: str = "GET"
    cells: dict[tuple[int, int], Exchange] = field(default_factory=dict)
    running: bool = False
    stopped: bool = False

    @property
    def count(self) -> int:
        return len(self.callers) * len(self.goals)

    def requests(self) -> list[Request]:
        """One per cell, row by row."""
        method = "" if self.method == "GET" else self.method
        return [
            Request(f"http://{goal.name}{self.path}", f"pod/{caller.caller}", caller.namespace, method=method,
                    timeout=TIMEOUT)
            for caller in self.callers
            for goal in self.goals
        ]  # fmt: skip

    def place(self, index: int) -> tuple[int, int]:
        return divmod(index, len(self.goals))

    def again(self) -> Matrix:
        """The same question, nothing measured yet."""
        return replace(self, cells={}, running=False, stopped=False)


def matrix_of(picture: Picture, path: str = "/", method: str = "GET") -> Matrix:
    """Every workload that can be made to call, by every service's port."""
    nodes = [node for node in picture.nodes if node.kind == "workload" and not node.system]
    callers = sorted((node for node in nodes if node.caller), key=lambda node: (node.namespace, node.name))
    goals = {
        Goal(service.host, port.number): None
        for node in sorted(nodes, key=lambda node: (node.namespace, node.name))
        for service in node.services
        for port in service.ports
        if port.kind != "udp"
    }
    return Matrix(tuple(callers), tuple(goals), path, method)
