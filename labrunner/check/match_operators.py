"""The operators a pattern may hold: `{$gte: 2}`, `{$matches: ^v1}`, `{$contains: {...}}`, `{$absent: true}` ...

Each is one entry of `OPERATORS`: what it asks, how to say it, and what may be written after it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labrunner.check.match import Difference, Path, assign, compare, describe, is_operators, matches, same_scalar
from labrunner.check.phrase import ABSENT, did_you_mean, show
from labrunner.check.quantity import comparable, duration, quantity

Apply = Callable[[Any, Any, Path], list[Difference]]


@dataclass(frozen=True, slots=True)
class Operator:
    """`doc` is one sentence for the reference; `takes`: any, pattern, patterns, number, regex, bool, text."""

    name: str
    doc: str
    takes: str
    apply: Apply
    describe: Callable[[Any], str]


def apply_operators(pattern: dict[str, Any], value: Any, path: Path, *, exact: bool = False) -> list[Difference]:
    """All operators of the map must hold. `exact` reaches plain patterns through `$all` only, as written there."""
    found: list[Difference] = []
    for name, operand in pattern.items():
        operator = OPERATORS.get(name)
        if operator is None:
            found.append(Difference(path, "different", f"a known operator instead of {name}", value))
        else:
            found += operator.apply(operand, value, path)
    return found


def describe_operators(pattern: dict[str, Any]) -> str:
    parts = [OPERATORS[n].describe(v) if n in OPERATORS else f"{n} {show(v)}" for n, v in pattern.items()]
    return " and ".join(parts)


def lint_pattern(pattern: Any, where: str = "match") -> list[str]:
    """What is wrong with a pattern as written; one sentence each. Values with `${...}` are not judged."""
    if is_operators(pattern):
        return _lint_operators(pattern, where)
    if isinstance(pattern, dict):
        return [p for key, item in pattern.items() for p in lint_pattern(item, f"{where}.{key}")]
    if isinstance(pattern, list):
        return [p for index, item in enumerate(pattern) for p in lint_pattern(item, f"{where}[{index}]")]
    return []


def _lint_operators(pattern: dict[str, Any], where: str) -> list[str]:
    problems: list[str] = []
    for name, operand in pattern.items():
        operator = OPERATORS.get(name)
        if not str(name).startswith("$"):
            problems.append(f"{where}: the field {name!r} stands beside operators; put one or the other, or use $all")
        elif operator is None:
            problems.append(f"{where}: there is no operator {name}.{did_you_mean(str(name), OPERATORS)}")
        else:
            problems += _lint_operand(operator, operand, f"{where}.{name}")
    return problems


def _lint_operand(operator: Operator, operand: Any, where: str) -> list[str]:
    if isinstance(operand, str) and "${" in operand:
        return []
    match operator.takes:
        case "pattern":
            return lint_pattern(operand, where)
        case "patterns":
            if not isinstance(operand, list):
                return [f"{where}: takes a list, not {show(operand)}"]
            if not operand and operator.name in ("$in", "$notIn", "$any", "$all"):
                return [f"{where}: the list is empty"]
            return [p for i, item in enumerate(operand) for p in lint_pattern(item, f"{where}[{i}]")]
        case "number":
            good = quantity(operand) is not None or duration(operand) is not None
            return [] if good else [f"{where}: takes a number, a quantity or a duration, not {show(operand)}"]
        case "bool":
            return [] if isinstance(operand, bool) else [f"{where}: takes true or false, not {show(operand)}"]
        case "regex":
            return lint_regex(operand, where)
        case "any":
            return []
        case _:
            return [] if isinstance(operand, str) else [f"{where}: takes text, not {show(operand)}"]


def lint_regex(pattern: Any, where: str) -> list[str]:
    """One sentence when this is no regular expression; `${...}` in it is not judged."""
    if not isinstance(pattern, str):
        return [f"{where}: takes a regular expression, not {show(pattern)}"]
    if "${" in pattern:
        return []
    try:
        re.compile(pattern, re.MULTILINE)
    except re.error as error:
        return [f"{where}: {pattern!r} is no regular expression: {error}"]
    return []


def _result(holds: bool, expected: str, value: Any, path: Path) -> list[Difference]:
    if holds:
        return []
    return [Difference(path, "missing" if value is ABSENT else "different", expected, value)]


def _order(word: str, holds: Callable[[int], bool]) -> tuple[Apply, Callable[[Any], str]]:
    """An ordering operator: `holds` judges the sign of (value - operand)."""

    def say(operand: Any) -> str:
        return f"{word} {show(operand)}"

    def run(operand: Any, value: Any, path: Path) -> list[Difference]:
        pair = comparable(value, operand)
        good = pair is not None and holds((pair[0] > pair[1]) - (pair[0] < pair[1]))
        return _result(good, say(operand), value, path)

    return run, say


def _search(pattern: str, value: Any) -> bool:
    text = value if isinstance(value, str) else "" if value is ABSENT else show(value)
    return value is not ABSENT and re.search(pattern, text, re.MULTILINE) is not None


def _apply_not_matches(operand: Any, value: Any, path: Path) -> list[Difference]:
    found = _search(operand, value)
    return [Difference(path, "unexpected", f"nothing that matches /{operand}/", value)] if found else []


def _contains(operand: Any, value: Any) -> bool:
    if isinstance(value, list):
        return any(matches(operand, item) for item in value)
    if isinstance(value, dict):
        return any(matches(operand, key) for key in value)
    return isinstance(value, str) and isinstance(operand, (str, int, float)) and str(operand) in value


def _apply_contains(operand: Any, value: Any, path: Path) -> list[Difference]:
    if isinstance(value, list) and isinstance(operand, dict) and not is_operators(operand):
        return compare([operand], value, path)
    return _result(_contains(operand, value), f"containing {describe(operand)}", value, path)


def _apply_excludes(operand: Any, value: Any, path: Path) -> list[Difference]:
    expected = f"without {describe(operand)}"
    if isinstance(value, list):
        return [
            Difference((*path, i), "unexpected", expected, item)
            for i, item in enumerate(value)
            if matches(operand, item)
        ]
    return [Difference(path, "unexpected", expected, value)] if _contains(operand, value) else []


def _apply_each(operand: Any, value: Any, path: Path) -> list[Difference]:
    if isinstance(value, dict):
        items: list[tuple[str | int, Any]] = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        items = []
    if not items:
        return [Difference(path, "missing", f"items that are each {describe(operand)}", value)]
    return [d for key, item in items for d in compare(operand, item, (*path, key))]


def _apply_length(operand: Any, value: Any, path: Path) -> list[Difference]:
    expected = f"of length {describe(operand)}"
    sized = isinstance(value, (list, dict, str))
    size = len(value) if sized else 0 if value is ABSENT or value is None else None
    if size is not None and matches(operand, size):
        return []
    return [Difference(path, "count", expected, value, f"length {size}: {show(value)}" if size else show(value))]


def _apply_absent(operand: Any, value: Any, path: Path) -> list[Difference]:
    gone = value is ABSENT or value is None
    if operand:
        return [] if gone else [Difference(path, "unexpected", "absent", value)]
    return [Difference(path, "missing", "present", value)] if gone else []


def _apply_only(operand: Any, value: Any, path: Path) -> list[Difference]:
    """Containment both ways: each asked for item once, and no item that was not asked for."""
    if not isinstance(operand, list) or not isinstance(value, list):
        return compare(operand, value, path, exact=True)
    missing = compare(operand, value, path)
    if missing:
        return missing
    taken = set(assign(operand, value).values())
    expected = f"only {describe(operand)}"
    return [Difference((*path, i), "unexpected", expected, item) for i, item in enumerate(value) if i not in taken]


def _apply_in_order(operand: Any, value: Any, path: Path) -> list[Difference]:
    if not isinstance(value, list) or not isinstance(operand, list):
        return [Difference(path, "different", f"a list with, in this order, {describe(operand)}", value)]
    position = 0
    for index, item in enumerate(operand):
        found = next((i for i in range(position, len(value)) if matches(item, value[i])), None)
        if found is None:
            earlier = next((i for i in range(position) if matches(item, value[i])), None)
            if earlier is None:
                return compare([item], value, path)
            return [Difference((*path, earlier), "different", f"after {describe(operand[:index])}",
                               value[earlier])]  # fmt: skip
        position = found + 1
    return []


def _apply_not(operand: Any, value: Any, path: Path) -> list[Difference]:
    return [Difference(path, "unexpected", f"not {describe(operand)}", value)] if matches(operand, value) else []


def _apply_any(operand: Any, value: Any, path: Path) -> list[Difference]:
    return _result(any(matches(p, value) for p in operand), _say_any(operand), value, path)


def _say_any(operand: Any) -> str:
    return " or ".join(describe(p) for p in operand)


def _decoded(value: Any) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except (binascii.Error, ValueError):
        return None


def _apply_base64(operand: Any, value: Any, path: Path) -> list[Difference]:
    raw = _decoded(value)
    if raw is None:
        return _result(False, f"base64 of {describe(operand)}", value, path)
    text = raw.decode("utf-8", errors="replace")
    return [
        Difference(path, d.reason, f"base64 of {d.expected}", value, f"base64 of {show(text)}")
        for d in compare(operand, text)
    ]


def _apply_sha256(operand: Any, value: Any, path: Path) -> list[Difference]:
    """The digest of the decoded bytes where the value is base64, of the text otherwise."""
    if not isinstance(value, str):
        return _result(False, f"of SHA-256 {operand}", value, path)
    digests = {hashlib.sha256(raw).hexdigest() for raw in (_decoded(value), value.encode()) if raw is not None}
    if str(operand).lower().replace(":", "") in digests:
        return []
    return [Difference(path, "different", f"of SHA-256 {operand}", value, "content of another SHA-256")]


def _table() -> dict[str, Operator]:
    gt, say_gt = _order("more than", lambda sign: sign > 0)
    gte, say_gte = _order("at least", lambda sign: sign >= 0)
    lt, say_lt = _order("less than", lambda sign: sign < 0)
    lte, say_lte = _order("at most", lambda sign: sign <= 0)
    entries = (
        Operator("$eq", "Equal to this, operators and all read literally.", "any",
                 lambda o, v, p: _result(_equal(o, v), show(o), v, p), show),
        Operator("$ne", "Present and not equal to this.", "any",
                 lambda o, v, p: _result(v is not ABSENT and not _equal(o, v), f"anything but {show(o)}", v, p),
                 lambda o: f"anything but {show(o)}"),
        Operator("$gt", "More than this number, quantity (`500m`, `1Gi`) or duration (`1h30m`).", "number", gt, say_gt),
        Operator("$gte", "At least this.", "number", gte, say_gte),
        Operator("$lt", "Less than this.", "number", lt, say_lt),
        Operator("$lte", "At most this.", "number", lte, say_lte),
        Operator("$in", "One of these.", "patterns",
                 lambda o, v, p: _result(any(matches(i, v) for i in o), f"one of {describe(o)}", v, p),
                 lambda o: f"one of {describe(o)}"),
        Operator("$notIn", "None of these (an absent field is none of them).", "patterns",
                 lambda o, v, p: [Difference(p, "unexpected", f"none of {describe(o)}", v)]
                 if v is not ABSENT and any(matches(i, v) for i in o) else [],
                 lambda o: f"none of {describe(o)}"),
        Operator("$matches", "A regular expression found in the text (`^` and `$` are line ends).", "regex",
                 lambda o, v, p: _result(_search(o, v), f"something that matches /{o}/", v, p),
                 lambda o: f"something that matches /{o}/"),
        Operator("$notMatches", "The regular expression is not found in the text.", "regex", _apply_not_matches,
                 lambda o: f"nothing that matches /{o}/"),
        Operator("$contains", "A list with an item that matches, a text with this in it, a map with this key.",
                 "pattern", _apply_contains, lambda o: f"containing {describe(o)}"),
        Operator("$excludes", "No item that matches, text without this, a map without this key.", "pattern",
                 _apply_excludes, lambda o: f"without {describe(o)}"),
        Operator("$each", "Every item (every value of a map) matches, and there is at least one.", "pattern",
                 _apply_each, lambda o: f"items that are each {describe(o)}"),
        Operator("$only", "A list of these items and no others, in any order.", "patterns", _apply_only,
                 lambda o: f"only {describe(o)}"),
        Operator("$inOrder", "A list with these items in this order; others may stand between.", "patterns",
                 _apply_in_order, lambda o: f"in this order {describe(o)}"),
        Operator("$exactly", "This and nothing more: no other keys, the same items in the same order.", "pattern",
                 lambda o, v, p: compare(o, v, p, exact=True), lambda o: f"exactly {describe(o)}"),
        Operator("$length", "The number of items, keys or characters matches (an absent field has 0).", "pattern",
                 _apply_length, lambda o: f"of length {describe(o)}"),
        Operator("$absent", "true: the field is not there (or null); false: it is.", "bool", _apply_absent,
                 lambda o: "absent" if o else "present"),
        Operator("$not", "Does not match this.", "pattern", _apply_not, lambda o: f"not {describe(o)}"),
        Operator("$any", "Matches at least one of these.", "patterns", _apply_any, _say_any),
        Operator("$all", "Matches every one of these.", "patterns",
                 lambda o, v, p: [d for i in o for d in compare(i, v, p)],
                 lambda o: " and ".join(describe(i) for i in o)),
        Operator("$base64", "The text that this base64 value decodes to matches.", "pattern", _apply_base64,
                 lambda o: f"base64 of {describe(o)}"),
        Operator("$sha256", "The SHA-256 (hex) of the value: compares without showing it.", "text", _apply_sha256,
                 lambda o: f"of SHA-256 {o}"),
    )  # fmt: skip
    return {operator.name: operator for operator in entries}


def _equal(operand: Any, value: Any) -> bool:
    if isinstance(operand, (dict, list)):
        return type(operand) is type(value) and bool(operand == value)
    return same_scalar(operand, value)


OPERATORS: dict[str, Operator] = _table()
