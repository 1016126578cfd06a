"""curl's URL globbing: `{a,b}`, `[1-20]`, `[a-z:2]`."""

from __future__ import annotations

import re

MAX_URLS = 20_000
_RANGE = re.compile(r"\[(?:(\d+)-(\d+)|([a-zA-Z])-([a-zA-Z]))(?::(\d+))?\]")


class GlobFault(Exception):
    """What curl says."""


def expand(url: str) -> list[tuple[str, list[str]]]:
    """(URL, what each glob stands for), in curl's order. Raises GlobFault."""
    pieces: list[list[str]] = []
    globs: list[int] = []
    at = 0
    text = ""
    while at < len(url):
        char = url[at]
        if char == "\\" and at + 1 < len(url) and url[at + 1] in "{}[]":
            text += url[at + 1]
            at += 2
        elif char == "{":
            end = url.find("}", at)
            if end < 0:
                raise GlobFault(f"unmatched brace in URL position {at + 1}:\n{url}\n{' ' * at}^")
            pieces += [[text], url[at + 1 : end].split(",")]
            globs.append(len(pieces) - 1)
            text, at = "", end + 1
        elif char == "[":
            found = _RANGE.match(url, at)
            if not found:
                address = re.compile(r"\[[0-9a-fA-F:.]*(?:%25?[\w]+)?\]").match(url, at)
                if address:
                    text += address[0]
                    at = address.end()
                    continue
                raise GlobFault(f"bad range in URL position {at + 2}:\n{url}\n{' ' * (at + 1)}^")
            pieces += [[text], _values(found, at, url)]
            globs.append(len(pieces) - 1)
            text, at = "", found.end()
        elif char in "}]":
            raise GlobFault(f"unmatched close brace/bracket in URL position {at + 1}:\n{url}\n{' ' * at}^")
        else:
            text += char
            at += 1
    pieces.append([text])
    total = 1
    for piece in pieces:
        total *= len(piece)
        if total > MAX_URLS:
            raise GlobFault("range overflow")
    found_: list[tuple[str, list[str]]] = [("", [])]
    for index, piece in enumerate(pieces):
        found_ = [(u + p, [*parts, p] if index in globs else parts) for u, parts in found_ for p in piece]
    return found_


def _values(found: re.Match[str], at: int, url: str) -> list[str]:
    step = int(found[5] or 1)
    if found[1]:
        first, last = int(found[1]), int(found[2])
        if first > last or step < 1 or (last - first) // step > MAX_URLS:
            raise GlobFault(f"bad range in URL position {at + 2}:\n{url}\n{' ' * (at + 1)}^")
        width = len(found[1]) if found[1].startswith("0") else 0
        return [f"{n:0{width}d}" for n in range(first, last + 1, step)]
    first, last = ord(found[3]), ord(found[4])
    if first > last or step < 1:
        raise GlobFault(f"bad range in URL position {at + 2}:\n{url}\n{' ' * (at + 1)}^")
    return [chr(c) for c in range(first, last + 1, step)]
