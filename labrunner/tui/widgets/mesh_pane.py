"""The mesh in few columns, beside the steps: who talks to whom, one line each, those in trouble first."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from labrunner.run.mesh.picture import Edge, Picture
from labrunner.tui.mesh.words import Keys, edge_lines
from labrunner.tui.symbols import Symbols

_URGENT = {"denied": 0, "failed": 1, "expect-denied": 2, "unsure": 3, "answered": 4, "expect-allowed": 5, "allowed": 6}


class MeshPane(Widget):
    """Hidden while nothing of the cluster is in a mesh. A click asks for the whole map."""

    DEFAULT_CSS = """
    MeshPane { height: 1fr; padding: 0 1; }
    """

    class Asked(Message):
        """The whole map is wanted."""

    def __init__(self, symbols: Symbols, key: Keys) -> None:
        super().__init__(id="mesh-small", classes="pane")
        self._symbols = symbols
        self._picture = Picture()
        self.border_title = "Mesh"
        self.border_subtitle = f"{key('lab.mesh')} bigger  {key('lab.trace')} trace"

    def show(self, picture: Picture) -> None:
        if picture == self._picture:
            return
        self._picture = picture
        members = any(node.kind == "workload" and node.proxies for node in picture.nodes)
        self.set_class(members or bool(picture.edges or picture.problem), "-shown")
        self.refresh()

    def render(self) -> Content:
        width, height = self.content_size
        picture = self._picture
        if picture.problem:
            return Content.styled(picture.problem, "$warning")
        if not picture.edges:
            members = sum(node.in_mesh for node in picture.nodes)
            return Content.styled(
                f"{members} of {len(picture.nodes)} workloads in the mesh; no request seen yet", "$muted"
            )
        names = {node.id: node for node in picture.nodes}

        def namespace(edge: Edge) -> str:
            node = names.get(edge.target)
            return node.namespace if node and node.namespace else "outside the cluster"

        edges = sorted(picture.edges, key=lambda e: (namespace(e), _URGENT.get(e.state, 9), e.key))
        lines: list[Content] = []
        last = ""
        for edge, line in zip(edges, edge_lines(edges, picture, self._symbols, width), strict=True):
            if namespace(edge) != last:
                last = namespace(edge)
                lines.append(Content.styled(f"to {last}", "$muted"))
            lines.append(line)
        if len(lines) > height:
            left = len(lines) - height + 1
            lines = [*lines[: height - 1], Content.styled(f"{self._symbols.ellipsis} {left} more", "$muted")]
        return Content("\n").join(lines)

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Asked())
