"""What the symbols of the mesh mean, in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from textual.content import Content

from labrunner.run.mesh.picture import Edge, Node, Picture
from labrunner.tui.mesh.drawing import STYLES, facts, rate, shortened, title
from labrunner.tui.symbols import Symbols

Keys = Callable[[str], str]
"""Action id -> the key that it has here."""

COLOURS = {"allowed": "$success", "denied": "$error", "failed": "$warning", "unsure": "$primary", "quiet": "$muted"}

STATES = {
    "allowed": "let in",
    "denied": "denied",
    "answered": "let in; the program answered with an error",
    "failed": "no proper answer",
    "unsure": "the rules changed since; nobody asked again",
    "expect-allowed": "the rules changed since; they would let it in now",
    "expect-denied": "the rules changed since; they would deny it now",
    "fault": "could not be sent",
}


def colour(state: str) -> str:
    return COLOURS[STYLES.get(state, "quiet")]


def legend(symbols: Symbols, width: int) -> Content:
    """One line: the symbols of the map, as many as fit."""
    double, dashed = ("==", "..") if symbols.ascii else ("══", "┄┄")
    parts = (
        (f"{double}{symbols.mtls}", "$foreground", "mTLS"),
        (f"{dashed}{symbols.plaintext}", "$foreground", "plaintext"),
        (symbols.passed, "$success", "let in"),
        (symbols.failed, "$error", "denied"),
        (symbols.regressed, "$warning", "4xx/5xx"),
        (symbols.error, "$warning", "no answer"),
        ("?", "$primary", "rules changed"),
        (symbols.dot, "$foreground", "sidecar"),
        (symbols.ring, "$foreground", "none"),
        (symbols.policy, "$foreground", "policies"),
    )
    shown: list[Content] = []
    room = width - 4
    for mark, style, text in parts:
        part = Content.assemble((mark, style), (f" {text}", "$muted"))
        room -= part.cell_length + 2
        if room < -2:
            break
        shown.append(part)
    return Content("  ").join(shown)


def edge_lines(edges: Sequence[Edge], picture: Picture, symbols: Symbols, width: int) -> list[Content]:
    """`order ══◆✔═▶ payment`, one line each, in so many columns, one below the other."""
    double, dashed = ("==", "..") if symbols.ascii else ("══", "┄┄")
    marks = []
    for edge in edges:
        line = double if edge.mtls else dashed
        verdict = symbols.verdict(edge.state)
        marks.append(f" {line}{symbols.lock(edge.mtls)}{verdict}{line[0] * (3 - len(verdict))}{symbols.head} ")
    sources = [_caller(edge, picture) for edge in edges]
    targets = [_name(picture.node(edge.target), edge.target) for edge in edges]
    room = max(6, width - max((len(mark) for mark in marks), default=0))
    left = max((len(name) for name in sources), default=0)
    left = min(left, max(room // 2, room - max((len(name) for name in targets), default=0)))
    return [
        Content.assemble(
            shortened(source, left, symbols).ljust(left), (mark, colour(edge.state)),
            shortened(target, room - left, symbols),
        )
        for edge, source, mark, target in zip(edges, sources, marks, targets, strict=True)
    ]  # fmt: skip


def _caller(edge: Edge, picture: Picture) -> str:
    """With its namespace where it is another than the called one's."""
    source, target = picture.node(edge.source), picture.node(edge.target)
    if source is None or target is None or not source.namespace or source.namespace == target.namespace:
        return _name(source, edge.source)
    return f"{source.name}.{source.namespace}"


def _name(node: Node | None, end: str) -> str:
    return node.name if node else end


def about_edge(edge: Edge, picture: Picture, symbols: Symbols, key: Keys) -> Content:
    """Everything that is known of an edge."""
    source, target = (picture.node(end) for end in edge.key)
    state = edge.state
    lines = [
        Content.assemble((f"{_full(source, edge.source)} {symbols.arrow} {_full(target, edge.target)}", "bold")),
        Content.assemble(
            (f"{symbols.verdict(state)} ", f"bold {colour(state)}"), (STATES[state], colour(state)),
        ),
        Content(f"{symbols.lock(edge.mtls)} {'mutual TLS' if edge.mtls else 'plaintext: no identity, no encryption'}"),
    ]  # fmt: skip
    if edge.method:
        at = time.strftime("%H:%M:%S", time.localtime(edge.at))
        lines.append(Content.assemble(("last   ", "$muted"), f"{edge.method} {edge.path} {symbols.arrow} {edge.code}"))
        lines.append(Content.assemble(("       ", ""), (f"{edge.authority} at {at}", "$muted")))
    elif edge.flags:
        lines.append(Content.assemble(("last   ", "$muted"), f"connection, {edge.flags}"))
    lines.append(
        Content.assemble(
            ("rate   ", "$muted"), f"{rate(edge.rate)}" if edge.rate else "quiet",
            ("   errors ", "$muted"), f"{edge.wrong:.0%}" if edge.rate else "-",
            ("   since start ", "$muted"), f"{edge.total}", (f", {edge.errors} wrong" if edge.errors else ""),
        )
    )  # fmt: skip
    keys = [("mesh.trace", "trace"), ("mesh.again", "send again"), ("mesh.ask", "ask something else")]
    lines.append(
        Content("  ").join(
            Content.assemble((key(action), "bold $accent"), (f" {what}", "$muted")) for action, what in keys
        )
    )
    return Content("\n").join(lines)


def _full(node: Node | None, end: str) -> str:
    if node is None or not node.namespace:
        return node.name if node else end
    return f"{node.name}.{node.namespace}"


def about_node(node: Node, picture: Picture, symbols: Symbols, key: Keys) -> Content:
    """What the picture knows of a node."""
    called = [edge for edge in picture.edges if edge.target == node.id]
    calls = [edge for edge in picture.edges if edge.source == node.id]
    lines = [
        Content.assemble((title(node, symbols), "bold"), (f"  {node.namespace}", "$muted")),
        Content(facts(node, symbols) or "nothing rules who may call it"),
    ]
    if node.refused:
        lines.append(Content.styled(node.refused, "$error"))
    if node.kind in ("workload", "gateway"):
        lines.append(
            Content.assemble(("pods   ", "$muted"), f"{node.ready}/{node.pods} ready, {node.proxies} with a proxy")
        )
    for service in node.services:
        ports = ", ".join(f"{port.number}/{port.kind}" for port in service.ports)
        lines.append(Content.assemble(("service ", "$muted"), f"{service.host} {ports}"))
    lines.append(Content.assemble(("called by ", "$muted"), f"{len(called)}", ("   calls ", "$muted"), f"{len(calls)}"))
    if node.kind in ("workload", "gateway"):
        keys = [("mesh.open", "its pods, policies, identity"), ("mesh.ask", "ask as it")]
        lines.append(
            Content("  ").join(
                Content.assemble((key(action), "bold $accent"), (f" {what}", "$muted")) for action, what in keys
            )
        )
    return Content("\n").join(lines)
