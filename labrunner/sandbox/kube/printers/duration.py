"""Ages as Kubernetes says them. Source: k8s.io/apimachinery/pkg/util/duration `HumanDuration`."""

from __future__ import annotations

from datetime import datetime

UNKNOWN = "<unknown>"


def human_duration(seconds: float) -> str:
    """`12s`, `4m5s`, `3h`, `5d2h`, `2y100d`; `<invalid>` when more than a second in the future."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0 or seconds < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes, hours = whole // 60, whole // 3600
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    years = days // 365
    if years < 2:
        return f"{days}d"
    if years < 8 and days % 365:
        return f"{years}y{days % 365}d"
    return f"{years}y"


def epoch(timestamp: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; None when it is none."""
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return None


class Ages:
    """Ages as of one moment; times that many objects share are read once."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._seen: dict[str, str] = {}

    def __call__(self, timestamp: str | None) -> str:
        """The age of an object of this creationTimestamp (or of any other time); `<unknown>` without one."""
        if not timestamp:
            return UNKNOWN
        known = self._seen.get(timestamp)
        if known is None:
            moment = epoch(timestamp)
            known = self._seen[timestamp] = "<invalid>" if moment is None else human_duration(self._now - moment)
        return known

    def between(self, start: str, end: str | None) -> str:
        """From start to end, or to now."""
        first, last = epoch(start), epoch(end) if end else self._now
        return "<invalid>" if first is None or last is None else human_duration(last - first)
