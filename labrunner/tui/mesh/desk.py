"""What the screens of the mesh share while a lab is open: its source, the requests sent here, and who reached whom."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from labrunner.check.http_probe import HOST, Request
from labrunner.run.mesh.picture import Edge, Node, Picture
from labrunner.run.mesh.source import Exchange, MeshSource
from labrunner.tui.mesh.matrix import Matrix

KEPT = 200
"""Requests kept in the history, the latest."""


class MeshDesk:
    """Kept for the session; nothing of it is written down. Not thread-safe: the app's thread."""

    def __init__(self, source: MeshSource) -> None:
        self.source = source
        self.history: list[Exchange] = []
        self.matrix: Matrix | None = None

    def add(self, exchange: Exchange) -> None:
        self.history.append(exchange)
        del self.history[:-KEPT]


def caller_of(node: Node | None) -> tuple[str, str]:
    """(who calls, namespace) for a `Request`: one of the node's pods, or this machine for the client outside."""
    if node is None or node.kind in ("client", "external"):
        return HOST, ""
    return f"pod/{node.caller}", node.namespace


def again(edge: Edge, picture: Picture) -> Request | None:
    """The last request over an edge, to be sent again; None when it was no HTTP, or nobody here can send it."""
    node = picture.node(edge.source)
    if not edge.method or not edge.authority or node is None or node.kind != "workload" or not node.caller:
        return None
    source, namespace = caller_of(node)
    method = "" if edge.method == "GET" else edge.method
    return Request(f"http://{edge.authority}{edge.path or '/'}", source, namespace, method=method)


def name_of(request: Request, picture: Picture) -> str:
    """Who sends a request, as the picture calls it."""
    if request.source == HOST:
        return "this machine"
    pod = request.source.rpartition("/")[2]
    node = next((n for n in picture.nodes if n.namespace == request.namespace and n.caller == pod), None)
    name = node.name if node else pod
    return f"{name}.{request.namespace}" if request.namespace else name


def urls(nodes: Sequence[Node]) -> list[str]:
    """What one may ask, for suggestions."""
    found = []
    for node in nodes:
        for service in node.services:
            for port in service.ports:
                if port.is_http:
                    suffix = "" if port.number == 80 else f":{port.number}"
                    found.append(f"http://{service.host}{suffix}/")
    return list(dict.fromkeys(found))


def short_url(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc}{parts.path}"
