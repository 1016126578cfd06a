"""Cron schedules as CronJobs write them. Source: github.com/robfig/cron (ParseStandard)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 6))
_MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec"
_DAY_NAMES = "sun mon tue wed thu fri sat"
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES.split(), 1)}
_DAYS = {name: number for number, name in enumerate(_DAY_NAMES.split())}
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True, slots=True)
class Schedule:
    """The minutes at which a schedule is due; or, for `@every`, its period in seconds."""

    fields: tuple[frozenset[int], ...] = ()
    any_day_of_month: bool = True
    any_day_of_week: bool = True
    every: float = 0.0

    def next_after(self, moment: dt.datetime) -> dt.datetime | None:
        """The first due time after `moment`, in its zone; None when there is none within five years."""
        if self.every:
            return (moment + dt.timedelta(seconds=self.every)).replace(microsecond=0)
        minutes, hours, _days, months, _weekdays = self.fields
        at = moment.replace(second=0, microsecond=0) + dt.timedelta(minutes=1)
        end = moment.year + 5
        while at.year <= end:
            if at.month not in months:
                at = (at.replace(day=1, hour=0, minute=0) + dt.timedelta(days=32)).replace(day=1)
            elif not self._has_day(at):
                at = at.replace(hour=0, minute=0) + dt.timedelta(days=1)
            elif at.hour not in hours:
                at = at.replace(minute=0) + dt.timedelta(hours=1)
            elif at.minute not in minutes:
                at += dt.timedelta(minutes=1)
            else:
                return at
        return None

    def _has_day(self, at: dt.datetime) -> bool:
        """Day of month and day of week: both must hold, or one of them when neither is `*`."""
        month_day = at.day in self.fields[2]
        week_day = (at.weekday() + 1) % 7 in self.fields[4]
        if self.any_day_of_month or self.any_day_of_week:
            return month_day and week_day
        return month_day or week_day


def parse(text: str) -> Schedule:
    """Raises ValueError with the library's sentence."""
    if not text.strip():
        raise ValueError("empty spec string")
    if text.startswith("@every "):
        return Schedule(every=_duration(text.removeprefix("@every ")))
    if text.startswith("@"):
        if text not in _MACROS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _MACROS[text]
    words = text.split()
    if len(words) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(words)}: [{' '.join(words)}]")
    fields = tuple(
        _field(word, low, high, index) for index, (word, (_n, low, high)) in enumerate(zip(words, _FIELDS, strict=True))
    )
    return Schedule(fields, words[2][:1] in "*?", words[4][:1] in "*?")


def _duration(text: str) -> float:
    import re

    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise ValueError(f'failed to parse duration @every {text}: time: invalid duration "{text}"')
    return max(1.0, sum(float(number) * _UNITS[unit] for number, unit in parts))


def _field(word: str, low: int, high: int, index: int) -> frozenset[int]:
    names = _MONTHS if index == 3 else _DAYS if index == 4 else {}
    found: set[int] = set()
    for part in word.split(","):
        found |= _range(part, low, high, names)
    return frozenset(found)


def _range(part: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    pieces = part.split("/")
    bounds = pieces[0].split("-")
    if bounds[0] in ("*", "?"):
        start, end = low, high
    else:
        start = _number(bounds[0], names)
        if len(bounds) > 2:
            raise ValueError(f"too many hyphens: {part}")
        end = _number(bounds[1], names) if len(bounds) == 2 else start
    step = 1
    if len(pieces) > 2:
        raise ValueError(f"too many slashes: {part}")
    if len(pieces) == 2:
        step = _number(pieces[1], {})
        if len(bounds) == 1 and bounds[0] not in ("*", "?"):
            end = high
    if start < low:
        raise ValueError(f"beginning of range ({start}) below minimum ({low}): {part}")
    if end > high:
        raise ValueError(f"end of range ({end}) above maximum ({high}): {part}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {part}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {part}")
    return set(range(start, end + 1, step))


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not text.isdigit():
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def zone(name: str | None) -> dt.tzinfo:
    return ZoneInfo(name) if name else dt.UTC
