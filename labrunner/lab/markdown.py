"""The little that is needed of Markdown: fences that show a block, and the text outside code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_FENCE = re.compile(r"^(?P<indent> {0,3})(?P<mark>`{3,}|~{3,})\s*(?P<info>[^`]*)$")
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)")
_CODE = re.compile(r"(`+)[^`].*?\1", re.DOTALL)
RUN = "run:"


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced code block: `line` counts from 0 in the text; `closed` is False when the text ends inside it."""

    info: str
    body: str
    line: int
    closed: bool

    @property
    def block_id(self) -> str | None:
        """The block it shows, for `run:<block id>`."""
        return self.info.removeprefix(RUN).strip() if self.info.startswith(RUN) else None


@dataclass(frozen=True, slots=True)
class Prose:
    """Markdown between fences."""

    text: str
    line: int


def sections(text: str) -> Iterator[Fence | Prose]:
    """The text as prose and fences, in order."""
    prose: list[str] = []
    prose_line = 0
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if not opening:
            prose.append(lines[number])
            number += 1
            continue
        if any(line.strip() for line in prose):
            yield Prose("\n".join(prose), prose_line)
        closing = re.compile(rf"^ {{0,3}}{re.escape(opening['mark'][0])}{{{len(opening['mark'])},}}\s*$")
        end = next((n for n in range(number + 1, len(lines)) if closing.match(lines[n])), None)
        stop = len(lines) if end is None else end
        yield Fence(opening["info"].strip(), "\n".join(lines[number + 1 : stop]), number, end is not None)
        number = stop + 1
        prose, prose_line = [], number
    if any(line.strip() for line in prose):
        yield Prose("\n".join(prose), prose_line)


def fences(text: str) -> list[Fence]:
    return [section for section in sections(text) if isinstance(section, Fence)]


def local_links(text: str) -> list[str]:
    """Files that links and images outside code point to: no URL, no anchor, no absolute path."""
    prose = "\n".join(_CODE.sub("", section.text) for section in sections(text) if isinstance(section, Prose))
    found = []
    for target in _LINK.findall(prose):
        try:
            parts = urlsplit(target)
        except ValueError:
            continue
        if not parts.scheme and not parts.netloc and parts.path and not parts.path.startswith("/"):
            found.append(unquote(parts.path))
    return found
