"""A block's output on its way: redacted, said as events, kept as head and tail."""

from __future__ import annotations

from collections.abc import Callable

from labrunner.run.plain_text import HeadTail, plain
from labrunner.run.redaction import Redactor, StreamRedactor

KEPT_FOR_PATTERNS = 1_048_576
"""Characters (head and tail) in which a block's expected output is searched."""


class OutputSink:
    """Takes output as it comes, in pieces of any size; `say` hears whole lines, redacted."""

    def __init__(self, redactor: Redactor, say: Callable[[str], None]) -> None:
        self._stream = StreamRedactor(redactor)
        self._say = say
        self._kept = HeadTail(KEPT_FOR_PATTERNS)

    def __call__(self, text: str) -> None:
        self._pass_on(self._stream.feed(text))

    def finish(self) -> str:
        """The last incomplete line is said; returns what was kept, as plain text."""
        self._pass_on(self._stream.flush())
        return plain(self._kept.text())

    def _pass_on(self, text: str) -> None:
        if text:
            self._kept.add(text)
            self._say(text)
