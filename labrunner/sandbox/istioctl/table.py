"""Columns as Go's text/tabwriter aligns them: every cell but the last padded to its column's width."""

from __future__ import annotations

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]], padding: int = 5, minimum: int = 0) -> str:
    """`padding` blanks between columns; `minimum` is a cell's least width."""
    if not rows:
        return ""
    widths = [
        max(minimum, max(len(row[i]) for row in rows if i < len(row)) + padding)
        for i in range(max(len(row) for row in rows))
    ]
    lines = []
    for row in rows:
        padded = [cell.ljust(widths[i]) for i, cell in enumerate(row[:-1])]
        lines.append("".join(padded) + row[-1])
    return "\n".join(lines) + "\n"
