"""Draws a picture of the mesh: nodes, and wires that say whether a request went over mutual TLS and was let in.

Styles are names (`allowed`, `denied`, `failed`, `unsure`, `quiet`, `frame`, `title`, `node`, `name`, `facts`,
`chosen`); whoever shows the rows gives them colours. The symbols alone say everything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labrunner.run.mesh.picture import Edge, Node, Picture
from labrunner.tui.mesh.canvas import DASHED, DOUBLE, Canvas
from labrunner.tui.mesh.layout import SCALES, Key, Layout, Scale, place
from labrunner.tui.symbols import Symbols

Chosen = str | Key | None
"""A node's id, or an edge's (source, target)."""
Plan = tuple[Layout, Scale]

STYLES = {
    "allowed": "allowed", "denied": "denied", "failed": "failed", "answered": "failed", "unsure": "unsure",
    "expect-allowed": "unsure", "expect-denied": "unsure",
}  # fmt: skip
_LONG = 20
"""Characters of a name that are drawn whatever it is."""
_REVISION = re.compile(r"-asm-\d+-\d+$")
_RANKS = {"quiet": 0, "allowed": 1, "unsure": 2, "failed": 3, "denied": 4}


@dataclass(frozen=True, slots=True)
class Drawing:
    layout: Layout
    canvas: Canvas

    @property
    def size(self) -> tuple[int, int]:
        return self.layout.width, self.layout.height

    def at(self, x: int, y: int) -> Chosen:
        """What is drawn there, for the mouse."""
        for node_id, rect in self.layout.nodes.items():
            if rect.holds(x, y):
                return node_id
        for key, wire in self.layout.wires.items():
            (x1, y1), (x2, _) = wire.last
            if y == y1 and min(x1, x2) <= x <= max(x1, x2):
                return key
        return None


def draw(
    picture: Picture, symbols: Symbols, width: int, chosen: Chosen = None, known: Plan | None = None
) -> tuple[Drawing, Plan]:
    """As roomy as fits into `width` columns. `known`: the plan of a picture with the same nodes and edges."""
    layout, scale = plan = known or laid_out(picture, symbols, width)
    canvas = Canvas(layout.width, layout.height, plain=symbols.ascii)
    for band in layout.bands:
        rect = band.rect
        canvas.box(rect.x, rect.y, rect.width, rect.height, "frame")
    edges = {edge.key: edge for edge in picture.edges}
    order = sorted(layout.wires, key=lambda key: (key == chosen, _RANKS[_style(edges[key])]))
    for key in order:
        _wire(canvas, layout, edges[key], key == chosen)
    canvas.settle()
    for band in layout.bands:
        canvas.text(band.rect.x + 2, band.rect.y, f" {band.title} ", "title")
    for key in order:
        _label(canvas, layout, edges[key], symbols, scale, key == chosen)
    for node in picture.nodes:
        _node(canvas, layout, node, symbols, scale, node.id == chosen)
    return Drawing(layout, canvas), plan


def laid_out(picture: Picture, symbols: Symbols, width: int) -> Plan:
    """The roomiest plan that fits, else the tightest."""

    def roomy(node: Node) -> int:
        return max(len(title(node, symbols)), len(facts(node, symbols)) + 2) + 2

    def brief(node: Node) -> int:
        return len(title(node, symbols)) + 2

    tightest = SCALES[-1]
    plan = place(picture, tightest, brief), tightest
    if plan[0].width > width:
        return plan
    for scale in SCALES[:-1]:
        roomier = place(picture, scale, roomy if scale.rows > 1 else brief)
        if roomier.width <= width:
            return roomier, scale
    return plan


def title(node: Node, symbols: Symbols) -> str:
    """`● order`: in the mesh, or not, or a gateway."""
    mark = {"gateway": symbols.gateway, "client": symbols.outside, "external": symbols.outside}.get(
        node.kind, symbols.dot if node.proxies else symbols.ring
    )
    return f"{mark} {called(node, symbols)}"


def called(node: Node, symbols: Symbols) -> str:
    """Its name; of a long one only what its namespace, and the revision of a gateway, do not say already."""
    name = node.name
    if len(name) <= _LONG:
        return name
    name = _REVISION.sub("", name)
    if len(name) > _LONG and name.startswith(node.namespace) and node.namespace:
        name = symbols.ellipsis + name.removeprefix(node.namespace).lstrip("-")
    return name


def shortened(name: str, room: int, symbols: Symbols) -> str:
    """A name that is too long loses its middle: beginnings and ends tell names apart."""
    if len(name) <= room:
        return name
    left = max(1, room - len(symbols.ellipsis))
    return name[: left - left // 2] + symbols.ellipsis + name[len(name) - left // 2 :]


def facts(node: Node, symbols: Symbols) -> str:
    """What decides about calls to it, in a few words."""
    if node.refused:
        return "config refused"
    if node.kind == "client":
        return "the world"
    if node.kind == "external":
        return "external host"
    found = []
    if node.ready < node.pods:
        found.append(f"{node.ready}/{node.pods} ready")
    if node.kind == "gateway":
        found.append("gateway")
    elif not node.proxies:
        found.append("no sidecar")
    elif node.proxies < node.pods:
        found.append(f"{node.proxies}/{node.pods} sidecars")
    if node.mtls:
        found.append({"STRICT": "strict", "DISABLE": "mTLS off"}.get(node.mtls, "permissive"))
    if node.policies:
        found.append(f"{symbols.policy}{node.policies}")
    return " ".join(found)


def _style(edge: Edge) -> str:
    return STYLES.get(edge.state, "unsure")


def _wire(canvas: Canvas, layout: Layout, edge: Edge, chosen: bool) -> None:
    wire = layout.wires[edge.key]
    style = _style(edge)
    name = f"{style} chosen-wire" if chosen else style
    for way in wire.way:
        canvas.path(way, name)
    start, end = wire.last
    canvas.line(start, end, name, DOUBLE if edge.mtls else DASHED)


def _label(canvas: Canvas, layout: Layout, edge: Edge, symbols: Symbols, scale: Scale, chosen: bool) -> None:
    _, (x, y) = layout.wires[edge.key].last
    style = _style(edge)
    canvas.text(x, y, symbols.head, f"{style} chosen-wire" if chosen else style)
    said = [f"{symbols.lock(edge.mtls)}{symbols.verdict(edge.state)}"]
    if edge.rate:
        said.append(rate(edge.rate))
    if edge.rate and edge.wrong:
        said.append(f"{edge.wrong:.0%}{symbols.failed}")
    while len(said) > 1 and len(" ".join(said)) + 2 > scale.label:
        said.pop()
    text = f" {' '.join(said)} "
    canvas.text(x - len(text), y, text, f"{style} chosen" if chosen else style)


def rate(value: float) -> str:
    """Requests per second, or where that is little per minute; in at most six characters."""
    if value < 0.3:
        return f"{value * 60:.0f}/min"
    return f"{value:.1f}/s" if value < 9.95 else f"{value:.0f}/s"


def _node(canvas: Canvas, layout: Layout, node: Node, symbols: Symbols, scale: Scale, chosen: bool) -> None:
    rect = layout.nodes.get(node.id)
    if rect is None:
        return
    own = "node chosen" if chosen else "node"
    canvas.fill(rect.x, rect.y, rect.width, rect.height, own)
    room = rect.width - 2
    name = shortened(title(node, symbols), room, symbols)
    canvas.text(rect.x + 1, rect.y, name, f"name {'chosen' if chosen else ''}".strip())
    edges = symbols.ascii
    if edges:
        for row in range(rect.y, rect.y + rect.height):
            canvas.text(rect.x, row, "[", own)
            canvas.text(rect.x + rect.width - 1, row, "]", own)
    if scale.rows > 1:
        said = facts(node, symbols)
        said = said if len(said) <= room - 2 else f"{said[: room - 2 - len(symbols.ellipsis)]}{symbols.ellipsis}"
        style = "failed" if node.refused or node.ready < node.pods else "facts"
        canvas.text(rect.x + 3, rect.y + 1, said, f"{style} node{' chosen' if chosen else ''}")
