"""The path that filters see after `normalize_path`. Source: Envoy's path_utility.cc, Chromium's url_canon."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


def normalised(path: str) -> str:
    """Dot segments resolved, backslashes turned, needless escapes undone; the query stays as it is."""
    body, question, query = path.partition("?")
    if not body.startswith("/"):
        return path
    body = _ESCAPE.sub(_decoded, body.replace("\\", "/"))
    return _without_dots(body) + question + query


def _decoded(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0]


def _without_dots(path: str) -> str:
    """RFC 3986, 5.2.4; empty segments are kept."""
    done: list[str] = []
    segments = path.split("/")[1:]
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        if segment in (".", ".."):
            if segment == ".." and done:
                done.pop()
            if last:
                done.append("")
        else:
            done.append(segment)
    return "/" + "/".join(done)
