"""URLs as curl completes them and takes dots out of their paths."""

from __future__ import annotations

import re

DEFAULT_PORTS = {"http": 80, "https": 443}


def completed(url: str) -> str:
    """With a scheme, as curl guesses it."""
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", url):
        scheme, _, rest = url.partition("://")
        return f"{scheme.lower()}://{rest.lstrip('/') if scheme.lower() in DEFAULT_PORTS else rest}"
    if url.startswith("file:/"):
        return url
    return f"http://{url}"


def without_dots(path: str) -> str:
    """RFC 3986, 5.2.4."""
    out: list[str] = []
    parts = path.split("/")
    for index, part in enumerate(parts[1:], 1):
        last = index == len(parts) - 1
        if part in (".", "%2e", "%2E"):
            if last:
                out.append("")
        elif part in ("..", "%2e%2e", "%2E%2E", ".%2e", "%2e."):
            if out:
                out.pop()
            if last:
                out.append("")
        else:
            out.append(part)
    return "/" + "/".join(out)
