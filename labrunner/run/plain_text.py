"""Terminal output as text one can search and keep: control sequences taken out, size bounded."""

from __future__ import annotations

import re
from collections import deque

_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|(?=\x1b)|\Z)"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]"  # two-character and charset sequences
    r"|[\x00-\x07\x0b-\x0c\x0e-\x1f\x7f\x80-\x9f]"
)


def plain(text: str) -> str:
    """`text` as a reader would have it: no control sequences, carriage returns and backspaces carried out."""
    text = text.replace("\r\n", "\n")
    if "\x1b" in text or _CONTROL.search(text):
        text = _CONTROL.sub("", text)
    if "\r" in text or "\b" in text:
        text = "\n".join(_overwrite(line) if "\r" in line or "\b" in line else line for line in text.split("\n"))
    return text


def _overwrite(line: str) -> str:
    shown = ""
    for part in line.split("\r"):
        if "\b" in part:
            kept: list[str] = []
            for character in part:
                if character != "\b":
                    kept.append(character)
                elif kept:
                    kept.pop()
            part = "".join(kept)
        shown = part + shown[len(part) :]
    return shown


class HeadTail:
    """Keeps the first and the last `limit // 2` characters of what is added, whatever the length."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._head: list[str] = []
        self._head_size = 0
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._dropped = 0

    def add(self, text: str) -> None:
        if self._head_size < self._half:
            taken = text[: self._half - self._head_size]
            self._head.append(taken)
            self._head_size += len(taken)
            text = text[len(taken) :]
        if not text:
            return
        if len(text) > self._half:
            self._dropped += len(text) - self._half
            text = text[-self._half :]
        self._tail.append(text)
        self._tail_size += len(text)
        while self._tail_size - len(self._tail[0]) >= self._half:
            gone = len(self._tail.popleft())
            self._tail_size -= gone
            self._dropped += gone

    def text(self) -> str:
        """What was kept; a line between head and tail says how much is missing."""
        tail = "".join(self._tail)
        dropped = self._dropped + max(0, len(tail) - self._half)
        tail = tail[-self._half :] if self._half else ""
        if not dropped:
            return "".join(self._head) + tail
        return f"{''.join(self._head)}\n[... {dropped} characters left out ...]\n{tail}"


def shortened(text: str, limit: int) -> str:
    """`text` with its middle left out when it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    keep = HeadTail(limit)
    keep.add(text)
    return keep.text()
