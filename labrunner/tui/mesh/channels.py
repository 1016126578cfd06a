"""A channel between two columns: which upright track each wire takes, so that no two look joined."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Net:
    """What leaves one item in this channel: a line that branches. Pins are (row, on the right side)."""

    origin: tuple[int, bool]
    pins: list[tuple[int, bool]] = field(default_factory=list)
    labelled: bool = False
    track: int = 0
    bends: bool = False
    """Whether it needs an upright piece at all."""
    top: int = 0
    bottom: int = 0

    def __post_init__(self) -> None:
        self.top = self.bottom = self.origin[0]

    def add(self, row: int, right: bool, *, labelled: bool) -> None:
        self.pins.append((row, right))
        self.labelled |= labelled
        self.bends |= row != self.origin[0] or right == self.origin[1]
        self.top, self.bottom = min(self.top, row), max(self.bottom, row)


@dataclass(slots=True)
class Channel:
    nets: dict[str, Net] = field(default_factory=dict)
    """By the item that the wire comes from."""

    def net(self, origin: str, row: int, right: bool) -> Net:
        found = self.nets.get(origin)
        if found is None:
            found = self.nets[origin] = Net((row, right))
        return found

    def assign(self) -> None:
        """Choose tracks. Where one net leaves to the left on a row and another to the right, the first must stand
        left of the second, or their pieces would run into each other; circles of that are left as they are."""
        bending = sorted((n for n in self.nets.values() if n.bends), key=lambda n: (n.bottom - n.top, n.top))
        left = {row: i for i, net in enumerate(bending) for row, side in (net.origin, *net.pins) if not side}
        before: list[set[int]] = [set() for _ in bending]
        behind: list[set[int]] = [set() for _ in bending]
        for index, net in enumerate(bending):
            for row, side in (net.origin, *net.pins):
                other = left.get(row) if side else None
                if other is not None and other != index:
                    before[index].add(other)
                    behind[other].add(index)
        waits = [len(each) for each in before]
        waiting = set(range(len(bending)))
        tracks: list[list[Net]] = []
        while waiting:
            index = min(waiting, key=lambda each: (waits[each] > 0, each))
            waiting.discard(index)
            for later in behind[index]:
                waits[later] -= 1
            net = bending[index]
            track = max((bending[p].track + 1 for p in before[index] if p not in waiting), default=0)
            while track < len(tracks) and any(
                net.top <= o.bottom + 1 and o.top - 1 <= net.bottom for o in tracks[track]
            ):
                track += 1
            while len(tracks) <= track:
                tracks.append([])
            tracks[track].append(net)
            net.track = track

    def width(self, label: int) -> int:
        tracks = max((net.track + 1 for net in self.nets.values() if net.bends), default=0)
        labelled = any(net.labelled for net in self.nets.values())
        return 2 * tracks + 2 + (label if labelled else 1)
