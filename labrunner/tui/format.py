"""Numbers and times as the screens print them."""

from __future__ import annotations

from textual.content import Content


def duration(seconds: float) -> str:
    """How long something took: `0.3 s`, `12 s`, `2 min 5 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def clock(seconds: float) -> str:
    """Time spent: `00:42` (hours and minutes)."""
    minutes = int(seconds) // 60
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def count(number: int, noun: str) -> str:
    """`1 hint`, `2 hints`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def progress_bar(done: int, total: int, width: int, full: str, empty: str) -> str:
    filled = round(width * done / total) if total else 0
    if done and not filled:
        filled = 1
    return full * filled + empty * (width - filled)


def fit(content: Content, width: int, ellipsis: str) -> Content:
    """Cut to `width` cells, saying so."""
    if content.cell_length <= width:
        return content
    return Content.assemble(content.truncate(max(0, width - len(ellipsis))), ellipsis)
