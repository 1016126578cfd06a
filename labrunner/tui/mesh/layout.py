"""Where everything of the picture stands: namespaces as bands, nodes in columns, wires in the channels between them.

Callers stand to the left of whom they call. Each call enters its target on a row of its own, so that every wire has
room for what there is to say of it; the calls of one node leave it as one line that branches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from labrunner.run.mesh.picture import Node, Picture
from labrunner.tui.mesh.canvas import Point
from labrunner.tui.mesh.channels import Channel, Net
from labrunner.tui.mesh.layers import columns, forward_arcs, spread

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Scale:
    """How generously to draw. `rows`: of a node at least; `label`: columns for what is said of a wire."""

    rows: int
    gap: int
    label: int
    widest: int


SCALES = (Scale(2, 1, 17, 28), Scale(2, 1, 12, 26), Scale(1, 0, 12, 22), Scale(1, 0, 6, 18))
"""From roomy to tight."""


@dataclass(frozen=True, slots=True)
class Rect:
    x: int
    y: int
    width: int
    height: int

    def holds(self, x: int, y: int) -> bool:
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height

    @property
    def middle(self) -> Point:
        return self.x + self.width // 2, self.y + self.height // 2


@dataclass(frozen=True, slots=True)
class Wire:
    """`way`: point to point up to where the last, labelled piece begins. `last`: that piece; its end is the head."""

    way: tuple[tuple[Point, ...], ...]
    last: tuple[Point, Point]


@dataclass(frozen=True, slots=True)
class Band:
    """`title`: the namespace; empty: no frame."""

    rect: Rect
    title: str


@dataclass(frozen=True, slots=True)
class Layout:
    width: int = 0
    height: int = 0
    bands: tuple[Band, ...] = ()
    nodes: Mapping[str, Rect] = field(default_factory=dict)
    wires: Mapping[Key, Wire] = field(default_factory=dict)


@dataclass(slots=True)
class _Item:
    """A node, or a wire's passage through a column."""

    key: str
    column: int
    band: str
    height: int
    real: bool = True
    y: int = 0
    """In its band."""
    above: bool = True
    """Of a passage: above the nodes of its band, or below them."""
    entries: dict[Key, int] = field(default_factory=dict)
    """Row of each wire that comes in, from `y`."""


_FRONT, _BACK = "<", ">"
"""Bands of the client and of external hosts; no namespace has such a name."""


def place(picture: Picture, scale: Scale, width_of: Callable[[Node], int]) -> Layout:
    """`width_of`: columns that a node's text takes."""
    return _Placing(picture, scale, width_of).layout()


class _Placing:
    def __init__(self, picture: Picture, scale: Scale, width_of: Callable[[Node], int]) -> None:
        self._scale = scale
        self._nodes = {node.id: node for node in sorted(picture.nodes, key=_first)}
        arcs = sorted({e.key for e in picture.edges if e.source != e.target and e.key[0] in self._nodes})
        names = list(self._nodes)
        self._forward, backward = forward_arcs(names, arcs)
        at = columns(names, self._forward)
        for key in [*self._forward, *backward]:
            for end in key:
                at.setdefault(end, 0)
        self._arcs = arcs
        self._items: dict[str, _Item] = {}
        self._heights: dict[str, int] = {}
        incoming: dict[str, int] = {}
        for _, target in arcs:
            incoming[target] = incoming.get(target, 0) + 1
        count = max(at.values(), default=-1) + 1
        self._count = max(count, min(4, len(names)) if not arcs else 3)
        self._add_lonely(at)
        self._count = max(at.values(), default=0) + 1
        for node_id, column in at.items():
            rows = max(scale.rows, incoming.get(node_id, 0))
            self._items[node_id] = _Item(node_id, column, self._band(node_id), rows)
        self._chains = {key: self._chain(key) for key in arcs}
        self._widths = [0] * self._count
        for node_id, node in self._nodes.items():
            column = at[node_id]
            self._widths[column] = max(self._widths[column], min(scale.widest, width_of(node)))

    def _add_lonely(self, at: dict[str, int]) -> None:
        bands: dict[str, list[str]] = {}
        for node_id in self._nodes:
            if node_id not in at:
                bands.setdefault(self._band(node_id), []).append(node_id)
        for band, lonely in bands.items():
            taken: dict[int, int] = {}
            for node_id, column in at.items():
                if self._band(node_id) == band:
                    taken[column] = taken.get(column, 0) + 1
            at.update(spread(lonely, taken, self._count))

    def _band(self, node_id: str) -> str:
        node = self._nodes[node_id]
        return {"client": _FRONT, "external": _BACK}.get(node.kind, node.namespace)

    def _chain(self, key: Key) -> list[str]:
        """The items that a wire visits, passages made as needed."""
        source, target = self._items[key[0]], self._items[key[1]]
        if source.column < target.column:
            passed = range(source.column + 1, target.column)
        else:
            passed = range(source.column, target.column - 1, -1)
        chain = [source.key]
        for column in passed:
            name = f"{key[0]}\n{key[1]}\n{column}"
            self._items[name] = _Item(name, column, target.band, 1, real=False)
            chain.append(name)
        return [*chain, target.key]

    # -- rows

    def layout(self) -> Layout:
        if not self._nodes:
            return Layout()
        bands = self._bands_in_order()
        tops = self._rows(bands, self._ordered(bands), self._lanes(bands))
        for key, chain in self._entries_in_order(tops):
            target = self._items[chain[-1]]
            target.entries[key] = len(target.entries)
        return self._wired(bands, tops)

    def _bands_in_order(self) -> list[str]:
        """The client, who has a gateway, who calls, who is called, who does neither, external hosts."""
        first: dict[str, tuple[int, str]] = {}
        busy = {end for key in self._arcs for end in key}
        for node_id, node in self._nodes.items():
            item = self._items[node_id]
            column = 99 if node_id not in busy else -1 if node.kind == "gateway" else item.column
            first[item.band] = min(first.get(item.band, (100, item.band)), (column, item.band))
        return sorted(first, key=lambda band: (band != _FRONT, band == _BACK, first[band]))

    def _ordered(self, bands: Sequence[str]) -> dict[tuple[str, int], list[_Item]]:
        """The nodes of each band and column, from top to bottom, near whom they are called by."""
        before: dict[str, list[str]] = {}
        for source, target in self._forward:
            before.setdefault(target, []).append(source)
        grid: dict[tuple[str, int], list[_Item]] = {}
        for node_id in self._nodes:
            item = self._items[node_id]
            grid.setdefault((item.band, item.column), []).append(item)
        rank: dict[str, float] = {}
        for column in range(self._count):
            for number, band in enumerate(bands):
                cell = grid.get((band, column), [])
                pull = {
                    each.key: sum(rank[p] for p in found) / len(found)
                    if (found := [p for p in before.get(each.key, ()) if p in rank])
                    else number * 1000.0
                    for each in cell
                }
                cell.sort(key=lambda each: pull[each.key])
                rank |= {each.key: number * 1000.0 + index for index, each in enumerate(cell)}
        return grid

    def _lanes(self, bands: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Give every passage a row of its own in its band: (rows above the nodes, rows below them) of each band."""
        number = {band: index for index, band in enumerate(bands)}
        lanes: dict[tuple[str, bool], list[list[tuple[int, int]]]] = {}
        for key, chain in self._chains.items():
            passages = [self._items[name] for name in chain[1:-1]]
            if not passages:
                continue
            source, target = self._items[key[0]], self._items[key[1]]
            above = source.column < target.column and number[source.band] <= number[target.band]
            low, high = sorted((passages[0].column, passages[-1].column))
            rows = lanes.setdefault((target.band, above), [])
            row = next(
                (i for i, used in enumerate(rows) if all(high + 1 < a or b + 1 < low for a, b in used)), len(rows)
            )
            if row == len(rows):
                rows.append([])
            rows[row].append((low, high))
            for passage in passages:
                passage.y, passage.above = row, above
        return {band: (len(lanes.get((band, True), ())), len(lanes.get((band, False), ()))) for band in bands}

    def _rows(
        self, bands: Sequence[str], grid: Mapping[tuple[str, int], list[_Item]], lanes: Mapping[str, tuple[int, int]]
    ) -> dict[str, int]:
        """Give every item its row in its band; the band's first row of the picture."""
        before: dict[str, list[_Item]] = {}
        for source, target in self._forward:
            if self._items[source].band == self._items[target].band:
                before.setdefault(target, []).append(self._items[source])
        tops: dict[str, int] = {}
        top = 0
        for band in bands:
            framed = band not in (_FRONT, _BACK)
            top += framed
            tops[band] = top
            above, below = lanes[band]
            height = above
            for column in range(self._count):
                row = above
                for item in grid.get((band, column), ()):
                    item.y = max(row, min((each.y for each in before.get(item.key, ())), default=0))
                    row = item.y + item.height + self._scale.gap
                    height = max(height, item.y + item.height)
            for item in self._items.values():
                if not item.real and item.band == band and not item.above:
                    item.y += height
            self._heights[band] = height + below
            top += height + below + 1
        return tops

    def _entries_in_order(self, tops: Mapping[str, int]) -> list[tuple[Key, list[str]]]:
        """Wires, those from above first: they enter their targets in that order and cross less."""

        def origin(chain: list[str]) -> tuple[int, int]:
            item = self._items[chain[-2]]
            return tops[item.band] + item.y, item.column

        return sorted(self._chains.items(), key=lambda each: origin(each[1]))

    # -- columns

    def _wired(self, bands: Sequence[str], tops: Mapping[str, int]) -> Layout:
        channels = {number: Channel() for number in range(-1, self._count)}
        row = {key: tops[item.band] + item.y for key, item in self._items.items()}
        for key, chain in self._chains.items():
            for one, other in pairwise(chain):
                number, from_right, to_right = self._channel(one, other)
                target = self._items[other]
                to_row = row[other] + (target.entries[key] if target.real else 0)
                net = channels[number].net(one, row[one], from_right)
                net.add(to_row, to_right, labelled=target.real)
        x = 2
        starts: dict[int, int] = {}
        lefts = []
        for number in range(-1, self._count):
            channel = channels[number]
            channel.assign()
            starts[number] = x
            x += channel.width(self._scale.label) if channel.nets else (0 if number in (-1, self._count - 1) else 2)
            if number + 1 < self._count:
                lefts.append(x)
                x += self._widths[number + 1]
        ends = {number: lefts[number + 1] if number + 1 < self._count else x for number in channels}
        width = x + 2
        nodes = {
            key: Rect(lefts[item.column], row[key], self._widths[item.column], item.height)
            for key, item in self._items.items()
            if item.real
        }
        wires = {}
        for key, chain in self._chains.items():
            wires[key] = self._wire(key, chain, channels, starts, ends, lefts, row)
        frames = []
        for band in bands:
            height = self._heights[band]
            if band not in (_FRONT, _BACK):
                frames.append(Band(Rect(0, tops[band] - 1, width, height + 2), band or "default"))
        bottom = tops[bands[-1]] + self._heights[bands[-1]]
        return Layout(width, bottom + 1, tuple(frames), nodes, wires)

    def _channel(self, one: str, other: str) -> tuple[int, bool, bool]:
        """(channel, whether the wire comes from its right side, whether it goes to its right side)."""
        a, b = self._items[one], self._items[other]
        if a.column < b.column:
            return a.column, False, True
        if a.real and not b.real:
            return a.column, False, False
        if a.column > b.column:
            return b.column, True, False
        return a.column - 1, True, True

    def _wire(
        self,
        key: Key,
        chain: Sequence[str],
        channels: Mapping[int, Channel],
        starts: Mapping[int, int],
        ends: Mapping[int, int],
        lefts: Sequence[int],
        row: Mapping[str, int],
    ) -> Wire:
        ways: list[tuple[Point, ...]] = []
        last: tuple[Point, Point] = ((0, 0), (0, 0))
        for one, other in pairwise(chain):
            number, from_right, to_right = self._channel(one, other)
            net: Net = channels[number].nets[one]
            target = self._items[other]
            y1 = row[one]
            y2 = row[other] + (target.entries[key] if target.real else 0)
            x1 = ends[number] - 1 if from_right else starts[number]
            x2 = ends[number] - 1 if to_right else starts[number]
            x = starts[number] + 1 + 2 * net.track if net.bends else x1
            if target.real:
                ways.append(((x1, y1), (x, y1), (x, y2)))
                last = ((x, y2), (x2, y2))
            else:
                column = target.column
                far = lefts[column] + self._widths[column] - 1
                across = (far, y2) if to_right else (lefts[column], y2)
                ways.append(((x1, y1), (x, y1), (x, y2), (x2, y2), across))
        return Wire(tuple(ways), last)


def _first(node: Node) -> tuple[int, str, str]:
    """Who is likelier to begin: clients, gateways, then workloads by name."""
    return {"client": 0, "gateway": 1, "workload": 2, "external": 3}[node.kind], node.namespace, node.name
