"""Splits a step's instructions into Markdown and the runnable blocks shown inside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labrunner.lab.model import Block, Step

_FENCE = re.compile(r"^ {0,3}(?P<ticks>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$")


def split(step: Step) -> Iterator[str | Block]:
    """Markdown text and blocks in reading order; blocks that the text never mentions come last.

    A fence with info string `run:<block id>` stands for that block; fences inside other fences are text.
    """
    text: list[str] = []
    shown: set[str] = set()
    fence = ""
    reference: Block | None = None
    for line in step.instructions.splitlines():
        match = _FENCE.match(line)
        if fence:
            closes = match and not match["info"].strip() and match["ticks"].startswith(fence)
            if reference is None:
                text.append(line)
            elif closes:
                yield reference
            if closes:
                fence, reference = "", None
            continue
        if match:
            fence = match["ticks"]
            reference = _reference(step, match["info"])
            if reference is not None:
                shown.add(reference.id)
                if any(part.strip() for part in text):
                    yield "\n".join(text)
                text = []
                continue
        text.append(line)
    if reference is not None:
        yield reference
    if any(part.strip() for part in text):
        yield "\n".join(text)
    yield from (block for block in step.blocks if block.id not in shown)


def _reference(step: Step, info: str) -> Block | None:
    word = info.strip().split(" ", 1)[0]
    return step.block(word[4:]) if word.startswith("run:") else None
