"""The map's layout and drawing, for any mesh: nothing covers anything, every wire arrives where it should."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from labrunner.run.mesh.picture import Edge, Node, Picture
from labrunner.tui.mesh.canvas import DASHED, DOUBLE, LIGHT, Canvas
from labrunner.tui.mesh.drawing import draw, shortened
from labrunner.tui.mesh.layers import columns, forward_arcs
from labrunner.tui.mesh.layout import Rect
from labrunner.tui.symbols import ASCII, UNICODE

NAMESPACES = ("a", "b", "c")
KINDS = ("workload", "workload", "workload", "gateway")


@st.composite
def pictures(draw_one: st.DrawFn) -> Picture:
    count = draw_one(st.integers(1, 14))
    nodes = [
        Node(f"{ns}/{number}", f"node-{number}", ns, draw_one(st.sampled_from(KINDS)), proxies=1)  # type: ignore[arg-type]
        for number in range(count)
        for ns in (draw_one(st.sampled_from(NAMESPACES)),)
    ]
    if draw_one(st.booleans()):
        nodes.append(Node("outside", "internet", kind="client"))
    pairs = draw_one(
        st.sets(st.tuples(st.integers(0, len(nodes) - 1), st.integers(0, len(nodes) - 1)), max_size=3 * count)
    )
    edges = tuple(
        Edge(nodes[a].id, nodes[b].id, (a + b) % 2 == 0, "allowed" if a % 3 else "denied", rate=1.5)
        for a, b in sorted(pairs)
    )
    return Picture(tuple(nodes), edges, known=True)


def text_of(canvas: Canvas) -> list[str]:
    canvas.settle()
    return ["".join(text for text, _ in canvas.row(y)) for y in range(canvas.height)]


def overlap(one: Rect, other: Rect) -> bool:
    return not (
        one.x + one.width <= other.x
        or other.x + other.width <= one.x
        or one.y + one.height <= other.y
        or other.y + other.height <= one.y
    )


@given(pictures(), st.sampled_from([60, 120, 400]))
@settings(max_examples=150, deadline=None)
def test_nodes_stand_apart_inside_their_namespace_and_wires_arrive(picture: Picture, width: int) -> None:
    drawing, _ = draw(picture, UNICODE, width)
    layout = drawing.layout
    assert set(layout.nodes) == {node.id for node in picture.nodes}
    for one, other in combinations(layout.nodes.values(), 2):
        assert not overlap(one, other)
    bands = {band.title: band.rect for band in layout.bands}
    for node in picture.nodes:
        rect = layout.nodes[node.id]
        if node.namespace:
            band = bands[node.namespace]
            assert band.x < rect.x and rect.x + rect.width < band.x + band.width
            assert band.y < rect.y and rect.y + rect.height < band.y + band.height
        assert drawing.at(rect.x, rect.y) == node.id
    entries = set()
    for edge in picture.edges:
        if edge.source == edge.target:
            continue
        wire = layout.wires[edge.key]
        (_, y), (x, _) = wire.last
        rect = layout.nodes[edge.target]
        assert x == rect.x - 1 and rect.y <= y < rect.y + rect.height
        assert (edge.target, y) not in entries, "two wires enter on the same row"
        entries.add((edge.target, y))
        assert drawing.at(x, y) == edge.key
        points = [point for way in wire.way for point in way]
        assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(points))
        source = layout.nodes[edge.source]
        assert points[0] == (source.x + source.width, source.y)
    assert all(len(row) == layout.width for row in text_of(drawing.canvas))


@given(pictures())
@settings(max_examples=60, deadline=None)
def test_wires_do_not_run_through_workloads(picture: Picture) -> None:
    layout = draw(picture, UNICODE, 400)[0].layout
    rects = list(layout.nodes.values())
    for wire in layout.wires.values():
        for way in (*wire.way, wire.last):
            for (x1, y1), (x2, y2) in pairwise(way):
                piece = Rect(min(x1, x2), min(y1, y2), abs(x1 - x2) + 1, abs(y1 - y2) + 1)
                assert not any(overlap(piece, rect) for rect in rects)


@given(pictures())
@settings(max_examples=40, deadline=None)
def test_ascii_is_ascii_and_the_same_picture(picture: Picture) -> None:
    plain, _ = draw(picture, ASCII, 400)
    drawn, _ = draw(picture, UNICODE, 400)
    assert all(row.isascii() for row in text_of(plain.canvas))
    assert set(plain.layout.wires) == set(drawn.layout.wires)


def test_callers_stand_left_of_whom_they_call_also_in_circles() -> None:
    forward, backward = forward_arcs("abcd", [("a", "b"), ("b", "c"), ("c", "a"), ("a", "c")])
    assert backward == [("c", "a")]
    assert columns("abcd", forward) == {"a": 0, "b": 1, "c": 2}


def test_lines_join_where_they_meet() -> None:
    canvas = Canvas(5, 3)
    canvas.line((0, 1), (2, 1), "x")
    canvas.line((2, 0), (2, 2), "x")
    canvas.line((2, 1), (4, 1), "y", DOUBLE)
    assert text_of(canvas) == ["  │  ", "──┼══", "  │  "]
    canvas = Canvas(5, 2)
    canvas.path([(0, 0), (2, 0), (2, 1)], "x", LIGHT)
    canvas.line((2, 1), (4, 1), "x", DOUBLE)
    assert text_of(canvas) == ["──┐  ", "  ╘══"]
    canvas = Canvas(4, 1, plain=True)
    canvas.line((0, 0), (3, 0), "x", DASHED)
    assert text_of(canvas) == ["...."]
    assert canvas.row(0, 1, 3) == [("..", "x")]


def test_text_covers_lines_and_is_cut_at_the_edge() -> None:
    canvas = Canvas(6, 1)
    canvas.line((0, 0), (5, 0), "x")
    canvas.text(2, 0, "ab", "y")
    canvas.text(4, 0, "cdef", "z")
    canvas.text(-1, 0, "gh", "z")
    assert text_of(canvas) == ["h─abcd"]
    assert canvas.row(0) == [("h", "z"), ("─", "x"), ("ab", "y"), ("cd", "z")]


def test_long_names_lose_their_middle() -> None:
    assert shortened("aks-istio-ingressgateway-external", 17, UNICODE) == "aks-isti…external"
    assert shortened("short", 17, UNICODE) == "short"


def test_the_scale_follows_the_room() -> None:
    nodes = tuple(Node(f"a/{n}", f"{n}-{'x' * 8}", "a", proxies=1, mtls="STRICT") for n in range(4))
    edges = tuple(Edge(f"a/{n}", f"a/{n + 1}", True, "allowed", rate=2.0) for n in range(3))
    picture = Picture(nodes, edges, known=True)
    texts = {width: "\n".join(text_of(draw(picture, UNICODE, width)[0].canvas)) for width in (200, 100, 40)}
    assert "strict" in texts[200] and "2.0/s" in texts[200]
    assert "strict" not in texts[40] and "2.0/s" not in texts[40]
    assert "◆✔" in texts[40]
