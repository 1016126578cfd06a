"""The shell's private markers in the stream of its terminal: who says where a command begins and ends.

A marker is `ESC ] 6973 ; <nonce> ; <kind> [; <argument>]* BEL`. The nonce is made per shell and is not in the
environment, so output that imitates a marker stays output. Arguments are percent-encoded. Any split of the stream
over reads gives the same result, and no input makes the parser raise or hold back more than `LIMIT` bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

LIMIT = 65_536
"""Bytes a marker may have before it counts as plain output."""

MARKER = b"\x1b]6973;"
"""What every marker begins with."""

_END = re.compile(rb"[\x07\x1b\r\n]")


@dataclass(frozen=True, slots=True)
class Marker:
    """`kind`: see `shell_integration.bash`. `arguments`: decoded, undecodable bytes replaced."""

    kind: str
    arguments: tuple[str, ...] = ()


class MarkerParser:
    """Takes markers with the right nonce out of a byte stream."""

    def __init__(self, nonce: str) -> None:
        self._prefix = MARKER + nonce.encode() + b";"
        self._held = b""

    def feed(self, data: bytes) -> list[bytes | Marker]:
        """Output and markers in the order they came; adjacent pieces of output are not joined."""
        data = self._held + data
        self._held = b""
        found: list[bytes | Marker] = []
        start = 0
        while True:
            at = data.find(self._prefix, start)
            if at < 0:
                break
            body = at + len(self._prefix)
            end = _END.search(data, body, body + LIMIT)
            if end is None and len(data) - body < LIMIT:
                if at > start:
                    found.append(data[start:at])
                self._held = data[at:]
                return found
            if end is not None and data[end.start()] == 0x07:
                if at > start:
                    found.append(data[start:at])
                found.append(_marker(data[body : end.start()]))
                start = end.end()
            else:
                found.append(data[start:body])
                start = body
        keep = self._partial_prefix(data, start)
        if len(data) - keep > start:
            found.append(data[start : len(data) - keep])
        self._held = data[len(data) - keep :] if keep else b""
        return found

    def flush(self) -> bytes:
        """What was held back, when the stream has ended."""
        held, self._held = self._held, b""
        return held

    def _partial_prefix(self, data: bytes, start: int) -> int:
        """Length of the longest end of `data` that may be the beginning of a marker."""
        at = data.rfind(b"\x1b", max(start, len(data) - len(self._prefix) + 1))
        return len(data) - at if at >= 0 and self._prefix.startswith(data[at:]) else 0


def _marker(body: bytes) -> Marker:
    kind, *arguments = (unquote_to_bytes(part).decode("utf-8", "replace") for part in body.split(b";"))
    return Marker(kind, tuple(arguments))
