"""Shell patterns: `*`, `?`, `[...]`. Matching is linear in pattern times text: no pattern can hang."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labrunner.sandbox.workload.filesystem.tree import FileSystem, Owner

_CLASSES: dict[str, Callable[[str], bool]] = {
    "alpha": str.isalpha, "digit": str.isdigit, "alnum": str.isalnum, "space": str.isspace, "upper": str.isupper,
    "lower": str.islower, "punct": lambda c: c.isprintable() and not c.isalnum() and c != " ",
    "blank": lambda c: c in " \t", "xdigit": lambda c: c in "0123456789abcdefABCDEF",
    "print": str.isprintable, "graph": lambda c: c.isprintable() and c != " ", "cntrl": lambda c: ord(c) < 32,
}  # fmt: skip
MAX_MATCHES = 20_000


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of a word, and whether its special characters are quoted."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class _Set:
    negated: bool
    ranges: tuple[tuple[str, str], ...]
    classes: tuple[str, ...]

    def holds(self, char: str) -> bool:
        inside = any(a <= char <= b for a, b in self.ranges) or any(_CLASSES[c](char) for c in self.classes)
        return inside != self.negated


Item = str | _Set
"""One character; `*` and `?` as such; a set. Literal characters are prefixed by a backslash."""


def compiled(pieces: Sequence[Piece]) -> list[Item]:
    items: list[Item] = []
    flat = [(char, piece.quoted) for piece in pieces for char in piece.text]
    at = 0
    while at < len(flat):
        char, quoted = flat[at]
        if quoted or char not in "*?[\\":
            items.append("\\" + char)
        elif char == "\\":
            at += 1
            items.append("\\" + (flat[at][0] if at < len(flat) else "\\"))
        elif char == "[":
            found = _set(flat, at)
            if found is None:
                items.append("\\[")
            else:
                items.append(found[0])
                at = found[1]
        elif not (char == "*" and items and items[-1] == "*"):
            items.append(char)
        at += 1
    return items


def _set(flat: list[tuple[str, bool]], start: int) -> tuple[_Set, int] | None:
    """(the set, index of its `]`), or None when it is not closed."""
    at = start + 1
    negated = at < len(flat) and flat[at][0] in "!^" and not flat[at][1]
    at += negated
    ranges: list[tuple[str, str]] = []
    classes: list[str] = []
    first = True
    while at < len(flat):
        char, quoted = flat[at]
        if char == "]" and not first and not quoted:
            return _Set(negated, tuple(ranges), tuple(classes)), at
        first = False
        if char == "[" and at + 1 < len(flat) and flat[at + 1][0] == ":":
            text = "".join(c for c, _ in flat[at : at + 12])
            end = text.find(":]")
            if end > 0 and text[2:end] in _CLASSES:
                classes.append(text[2:end])
                at += end + 2
                continue
        if at + 2 < len(flat) and flat[at + 1][0] == "-" and flat[at + 2][0] != "]":
            ranges.append((char, flat[at + 2][0]))
            at += 3
            continue
        ranges.append((char, char))
        at += 1
    return None


def has_magic(pieces: Sequence[Piece]) -> bool:
    """Whether any unquoted character makes it a pattern."""
    return any(not piece.quoted and any(c in piece.text for c in "*?[") for piece in pieces)


def matches(items: Sequence[Item], text: str) -> bool:
    """Whether the pattern is the whole text."""
    at = index = 0
    star, mark = -1, 0
    while at < len(text):
        if index < len(items) and items[index] == "*":
            star, mark = index, at
            index += 1
        elif index < len(items) and _one(items[index], text[at]):
            index += 1
            at += 1
        elif star >= 0:
            mark += 1
            at, index = mark, star + 1
        else:
            return False
    while index < len(items) and items[index] == "*":
        index += 1
    return index == len(items)


def _one(item: Item, char: str) -> bool:
    if isinstance(item, _Set):
        return item.holds(char)
    return item == "?" or (item[0] == "\\" and item[1:] == char)


def fnmatch(pattern: str, text: str) -> bool:
    """An unquoted pattern, as `find -name` has it."""
    return matches(compiled([Piece(pattern, False)]), text)


def paths(pieces: Sequence[Piece], fs: FileSystem, cwd: str, owner: Owner) -> list[str]:
    """The existing paths that a pattern names, sorted; none when there are none."""
    segments: list[list[Piece]] = [[]]
    for piece in pieces:
        for number, text in enumerate(piece.text.split("/")):
            if number:
                segments.append([])
            if text:
                segments[-1].append(Piece(text, piece.quoted))
    found = [""]
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        following: list[str] = []
        for base in found:
            if not segment:
                following.append(base + ("" if last else "/"))
                continue
            if not has_magic(segment):
                path = base + "".join(p.text for p in segment)
                if fs.exists(path or ".", cwd, follow=False):
                    following.append(path + ("" if last else "/"))
                continue
            items = compiled(segment)
            hidden = segment[0].text.startswith(".")
            try:
                names = fs.listing(base or ".", cwd, owner)
            except OSError:
                continue
            for name in names:
                if (hidden or not name.startswith(".")) and matches(items, name):
                    path = base + name
                    if last:
                        following.append(path)
                    elif fs.is_dir(path, cwd):
                        following.append(path + "/")
            if len(following) > MAX_MATCHES:
                break
        found = following
    return sorted(found)
