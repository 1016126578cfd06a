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

    def add(self, row: int, right: bool, *, labelled: bool) -> None:
        self.pins.append((row, right))
        self.labelled |= labelled

    @property
    def bends(self) -> bool:
        """Whether it needs an upright piece at all."""
        return any(row != self.origin[0] or right == self.origin[1] for row, right in self.pins)

    @property
    def top(self) -> int:
        return min(self.origin[0], *(row for row, _ in self.pins))

    @property
    def bottom(self) -> int:
        return max(self.origin[0], *(row for row, _ in self.pins))

    def rows(self, right: bool) -> set[int]:
        return {row for row, side in (self.origin, *self.pins) if side is right}


@dataclass(slots=True)
class Channel:
    nets: dict[str, Net] = field(default_factory=dict)
    """By the item that the wire comes from."""

    def net(self, origin: str, row: int, right: bool) -> Net:
        return self.nets.setdefault(origin, Net((row, right)))

    def assign(self) -> None:
        """Choose tracks. Where one net leaves to the left on a row and another to the right, the first must stand
        left of the second, or their pieces would run into each other; circles of that are left as they are."""
        bending = sorted((n for n in self.nets.values() if n.bends), key=lambda n: (n.bottom - n.top, n.top))
        after: dict[int, set[int]] = {index: set() for index in range(len(bending))}
        for index, net in enumerate(bending):
            for number, other in enumerate(bending):
                if index != number and net.rows(False) & other.rows(True):
                    after[number].add(index)
        tracks: list[list[tuple[int, int]]] = []
        done: dict[int, int] = {}
        waiting = list(range(len(bending)))
        while waiting:
            free = next((i for i in waiting if not any(p in waiting for p in after[i])), waiting[0])
            waiting.remove(free)
            net = bending[free]
            track = max((done[p] + 1 for p in after[free] if p in done), default=0)
            while track < len(tracks) and any(net.top <= b + 1 and t - 1 <= net.bottom for t, b in tracks[track]):
                track += 1
            while len(tracks) <= track:
                tracks.append([])
            tracks[track].append((net.top, net.bottom))
            done[free] = net.track = track

    def width(self, label: int) -> int:
        tracks = max((net.track + 1 for net in self.nets.values() if net.bends), default=0)
        labelled = any(net.labelled for net in self.nets.values())
        return 2 * tracks + 2 + (label if labelled else 1)
