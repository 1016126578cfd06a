"""In which column each node stands: callers to the left of whom they call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Arc = tuple[str, str]


def forward_arcs(nodes: Sequence[str], arcs: Iterable[Arc]) -> tuple[list[Arc], list[Arc]]:
    """(forward, backward): without the backward ones there is no circle. `nodes`: those that best begin, first."""
    onward: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in arcs:
        if source != target:
            onward[source].append(target)
    state: dict[str, int] = {}
    forward: list[Arc] = []
    backward: list[Arc] = []
    called = {target for targets in onward.values() for target in targets}
    for root in sorted(nodes, key=lambda node: node in called):
        if state.get(root):
            continue
        state[root] = 1
        stack = [(root, iter(onward[root]))]
        while stack:
            node, left = stack[-1]
            onto = next(left, None)
            if onto is None:
                state[node] = 2
                stack.pop()
            elif state.get(onto) == 1:
                backward.append((node, onto))
            else:
                forward.append((node, onto))
                if not state.get(onto):
                    state[onto] = 1
                    stack.append((onto, iter(onward[onto])))
    return forward, backward


def columns(nodes: Sequence[str], forward: Iterable[Arc]) -> dict[str, int]:
    """The longest way to each node that takes part; nodes without arcs are left out."""
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for source, target in forward:
        before.setdefault(target, []).append(source)
        after.setdefault(source, []).append(target)
    found: dict[str, int] = {}

    def column(node: str) -> int:
        # Iterative: a chain may be long.
        stack = [node]
        while stack:
            top = stack[-1]
            waiting = [p for p in before.get(top, ()) if p not in found]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            found[top] = max((found[p] + 1 for p in before.get(top, ())), default=0)
        return found[node]

    for node in nodes:
        if node in before or node in after:
            column(node)
    return found


def spread(lonely: Sequence[str], taken: Mapping[int, int], count: int) -> dict[str, int]:
    """Columns for nodes that talk to nobody: where the fewest stand. `taken`: rows used, by column."""
    rows = {column: taken.get(column, 0) for column in range(max(1, count))}
    found = {}
    for node in lonely:
        column = min(rows, key=lambda each: (rows[each], each))
        rows[column] += 1
        found[node] = column
    return found
