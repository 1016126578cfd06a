"""How checks word what they saw: short, bounded, and the same for every kind."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

SHOWN: Final = 240
"""Characters of one observed or expected value that a finding carries."""


class _Absent:
    """Stands for "there is no such field", which is not the same as null."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


class Hidden(str):
    """A text that stands for a secret value."""

    __slots__ = ()


def clip(text: str, limit: int = SHOWN) -> str:
    """At most `limit` characters, telling how many there were."""
    if len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()}… ({len(text)} characters)"


def show(value: Any, limit: int = SHOWN) -> str:
    """A value as a learner writes it in YAML's flow style, bounded."""
    if value is ABSENT:
        return "absent"
    if isinstance(value, Hidden):
        return str(value)
    if isinstance(value, str):
        return clip(value, limit) if _plain(value) else clip(json.dumps(value, ensure_ascii=False), limit)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return str(value)
    return clip(_flow(value), limit)


def _plain(text: str) -> bool:
    """Whether the text reads unambiguously without quotes."""
    return bool(text) and text == text.strip() and text.isprintable() and not _reads_as_other(text)


def _reads_as_other(text: str) -> bool:
    if text.lower() in ("true", "false", "null", "yes", "no", "absent"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def _flow(value: Any, budget: int = 4000) -> str:
    """Compact one-line form; stops descending once it is long enough to be clipped anyway."""
    if isinstance(value, dict):
        parts: list[str] = []
        for key, item in value.items():
            parts.append(f"{key}: {_flow(item, budget)}")
            budget -= len(parts[-1])
            if budget < 0:
                parts.append("…")
                break
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, (list, tuple)):
        parts = []
        for item in value:
            parts.append(_flow(item, budget))
            budget -= len(parts[-1])
            if budget < 0:
                parts.append("…")
                break
        return "[" + ", ".join(parts) + "]"
    if isinstance(value, Hidden):
        return str(value)
    if isinstance(value, str):
        return value if _plain(value) and not set(value) & set(",:{}[]") else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, default=str)


def path_text(path: Sequence[str | int]) -> str:
    """`spec.servers[0].tls.mode`, `metadata.labels["app.kubernetes.io/name"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part and all(c.isalnum() or c in "_-" for c in part):
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
    return text


def near(name: str, names: Iterable[str]) -> str:
    """The name most like this one, or empty."""
    candidates = list(names)
    for candidate in candidates:
        if candidate.lower() == name.lower() and candidate != name:
            return candidate
    found = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return found[0] if found and found[0] != name else ""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """` Did you mean "x"?` with its leading space, or empty."""
    candidate = near(name, names)
    return f' Did you mean "{candidate}"?' if candidate else ""


def counted(number: int, noun: str) -> str:
    """`no Gateway`, `1 Gateway`, `3 Gateways`."""
    if number == 0:
        return f"no {noun}"
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1] + 'ies' if noun.endswith('y') and noun[-2:-1] not in 'aeiou' else noun + 's'}"


def listed(items: Sequence[str], limit: int = 8) -> str:
    """`a, b, c`, bounded."""
    shown = ", ".join(items[:limit])
    return f"{shown} and {len(items) - limit} more" if len(items) > limit else shown
