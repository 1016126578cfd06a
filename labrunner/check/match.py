"""Partial matching: does a value look as the lab says, and where does it not.

A *pattern* is plain YAML that looks like the value it describes:

- a scalar matches the equal scalar (`443` is not `"443"`); `null` matches null and an absent field;
- a map matches a map that has at least these keys, each matching;
- a list matches a list in which each of its items is found, in any order, each in an item of its own;
- a map whose keys start with `$` holds operators (`labrunner.check.match_operators`), all of which must hold.

`compare` returns every difference with the path where it is, not just a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labrunner.check.phrase import ABSENT, show

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a value is not as the pattern says.

    `reason`: missing, different, unexpected or count. `expected` is a phrase; the observed value is at `path`
    (`observed` overrides it where what was seen is not simply that value).
    """

    path: Path
    reason: str
    expected: str
    value: Any = ABSENT
    observed: str = ""


def matches(pattern: Any, value: Any) -> bool:
    return not compare(pattern, value)


def compare(pattern: Any, value: Any, path: Path = (), *, exact: bool = False) -> list[Difference]:
    """Every difference between the value and the pattern; `exact`: maps and lists may hold nothing else."""
    if is_operators(pattern):
        from labrunner.check.match_operators import apply_operators

        return apply_operators(pattern, value, path, exact=exact)
    if pattern is None:
        return [] if value is None or value is ABSENT else [_differs("unexpected", "absent or null", value, path)]
    if value is ABSENT or (value is None and isinstance(pattern, (dict, list))):
        if pattern == {} and not exact:
            return [Difference(path, "missing", "present", value)]
        return [Difference(path, "missing", describe(pattern), value)]
    if isinstance(pattern, dict):
        return _compare_maps(pattern, value, path, exact)
    if isinstance(pattern, list):
        if not isinstance(value, list):
            return [_differs("different", f"a list with {describe(pattern)}", value, path)]
        return compare_in_order(pattern, value, path) if exact else compare_items(pattern, value, path)
    return [] if same_scalar(pattern, value) else [_differs("different", show(pattern), value, path)]


def is_operators(pattern: Any) -> bool:
    """Whether the pattern is a map of operators. Mixed maps are refused by `lint`, and read as operators."""
    return isinstance(pattern, dict) and any(isinstance(k, str) and k.startswith("$") for k in pattern)


def same_scalar(pattern: Any, value: Any) -> bool:
    """Equality that keeps true apart from 1 and "1" apart from 1."""
    if isinstance(pattern, bool) or isinstance(value, bool):
        return pattern is value
    if isinstance(pattern, (int, float)) and isinstance(value, (int, float)):
        return pattern == value
    return type(pattern) is type(value) and bool(pattern == value)


def describe(pattern: Any) -> str:
    """The pattern in words: `{mode: SIMPLE}`, `at least 2`, `something that matches /^a/`."""
    if is_operators(pattern):
        from labrunner.check.match_operators import describe_operators

        return describe_operators(pattern)
    if isinstance(pattern, dict):
        return "{" + ", ".join(f"{key}: {describe(item)}" for key, item in pattern.items()) + "}"
    if isinstance(pattern, list):
        return "[" + ", ".join(describe(item) for item in pattern) + "]"
    return show(pattern)


def _differs(reason: str, expected: str, value: Any, path: Path) -> Difference:
    return Difference(path, reason, expected, value)


def _compare_maps(pattern: dict[str, Any], value: Any, path: Path, exact: bool) -> list[Difference]:
    if not isinstance(value, dict):
        return [_differs("different", f"a map with {describe(pattern)}", value, path)]
    found: list[Difference] = []
    for key, item in pattern.items():
        found += compare(item, value.get(key, ABSENT), (*path, key), exact=exact)
    if exact:
        found += [_differs("unexpected", "absent", value[key], (*path, key)) for key in value if key not in pattern]
    return found


def compare_in_order(pattern: list[Any], value: list[Any], path: Path) -> list[Difference]:
    """The same items in the same order and no others."""
    found: list[Difference] = []
    for index, item in enumerate(pattern):
        found += compare(item, value[index] if index < len(value) else ABSENT, (*path, index), exact=True)
    for index in range(len(pattern), len(value)):
        found.append(_differs("unexpected", "absent", value[index], (*path, index)))
    return found


def compare_items(pattern: list[Any], value: list[Any], path: Path) -> list[Difference]:
    """Each item of the pattern in an item of its own, in any order."""
    found: list[Difference] = []
    taken = assign(pattern, value)
    free = [index for index in range(len(value)) if index not in taken.values()]
    for index, item in enumerate(pattern):
        if index in taken:
            continue
        nearest = _nearest(item, value, free)
        if nearest is None:
            found.append(Difference(path, "missing", f"an item {describe(item)}", value, _seen(value)))
        else:
            place, differences = nearest
            free.remove(place)
            found += [
                Difference((*path, place, *d.path), d.reason, d.expected, d.value, d.observed) for d in differences
            ]
    return found


def _seen(value: list[Any]) -> str:
    return show(value) if value else "an empty list"


def assign(pattern: list[Any], value: list[Any]) -> dict[int, int]:
    """A largest pairing of pattern items with matching items of the value (augmenting paths)."""
    fits = [[j for j, item in enumerate(value) if matches(p, item)] for p in pattern]
    owner: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        for j in fits[i]:
            if j in tried:
                continue
            tried.add(j)
            if j not in owner or place(owner[j], tried):
                owner[j] = i
                return True
        return False

    for i in range(len(pattern)):
        place(i, set())
    return {i: j for j, i in owner.items()}


def _nearest(item: Any, value: list[Any], free: list[int]) -> tuple[int, list[Difference]] | None:
    """The free item that agrees in most of what is asked, if it agrees in anything: that is the one meant."""
    if not isinstance(item, dict) or is_operators(item):
        return None
    asked = _leaves(item)
    best: tuple[int, list[Difference]] | None = None
    for index in free:
        if not isinstance(value[index], dict):
            continue
        differences = compare(item, value[index])
        if len(differences) < asked and (best is None or len(differences) < len(best[1])):
            best = index, differences
    return best


def _leaves(pattern: Any) -> int:
    """How many things the pattern asks."""
    if isinstance(pattern, dict) and pattern and not is_operators(pattern):
        return sum(_leaves(item) for item in pattern.values())
    if isinstance(pattern, list):
        return max(1, sum(_leaves(item) for item in pattern))
    return 1
