"""SPDY/3.1 frames as far as kubectl's streams use them: SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY and data.

Source: the SPDY protocol draft 3.1 and github.com/moby/spdystream, which clients use.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FLAG_FIN = 1
MAX_FRAME = 16 * 1024 * 1024
MAX_HEADERS = 64 * 1024

_WORDS = [
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
]
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug "
    "Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch"
    "charset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _entry(text: str) -> bytes:
    return struct.pack(">I", len(text)) + text.encode()


DICTIONARY = (
    b"".join(_entry(word) for word in _WORDS[: _WORDS.index("method")])
    + b"".join(_entry(w) for w in ("method", "get", "status", "200 OK", "version", "HTTP/1.1", "url", "public",
                                   "set-cookie", "keep-alive", "origin"))
    + _TAIL.encode()
)  # fmt: skip
"""The dictionary both ends compress headers with (SPDY/3, section 2.6.10.1)."""


class FrameFault(Exception):
    """The other end does not speak SPDY/3.1."""


@dataclass(slots=True)
class Frame:
    """`type` 0 is data."""

    type: int
    stream: int = 0
    flags: int = 0
    data: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def fin(self) -> bool:
        return bool(self.flags & FLAG_FIN)


class Codec:
    """Frames from bytes and back. Header compression keeps a state per direction."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, zdict=DICTIONARY)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. Raises FrameFault."""
        self._buffer += data
        found: list[Frame] = []
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from(">II", self._buffer)
            flags, length = second >> 24, second & 0xFFFFFF
            if length > MAX_FRAME:
                raise FrameFault("frame too large")
            if len(self._buffer) < 8 + length:
                break
            body = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            if first & 0x80000000:
                if first >> 16 & 0x7FFF != 3:
                    raise FrameFault("unsupported version")
                found.append(self._control(first & 0xFFFF, flags, body))
            else:
                found.append(Frame(0, first & 0x7FFFFFFF, flags, body))
        return found

    def _control(self, type_: int, flags: int, body: bytes) -> Frame:
        frame = Frame(type_, 0, flags, body)
        skip = {SYN_STREAM: 10, SYN_REPLY: 4, HEADERS: 4}.get(type_)
        if type_ in (SYN_STREAM, SYN_REPLY, RST_STREAM, HEADERS, WINDOW_UPDATE):
            if len(body) < (skip or 4):
                raise FrameFault("short frame")
            frame.stream = int(struct.unpack_from(">I", body)[0]) & 0x7FFFFFFF
        if skip is not None:
            frame.headers = self._headers(body[skip:])
        return frame

    def _headers(self, data: bytes) -> dict[str, str]:
        try:
            raw = self._inflate.decompress(data, MAX_HEADERS)
            (count,) = struct.unpack_from(">I", raw)
            at, found = 4, {}
            if count > 256:
                raise FrameFault("too many headers")
            for _ in range(count):
                pair = []
                for _ in range(2):
                    (length,) = struct.unpack_from(">I", raw, at)
                    pair.append(raw[at + 4 : at + 4 + length].decode("utf-8", "replace"))
                    at += 4 + length
                found[pair[0].lower()] = pair[1]
        except (zlib.error, struct.error) as error:
            raise FrameFault("bad headers") from error
        return found

    def data(self, stream: int, data: bytes, *, fin: bool = False) -> bytes:
        return struct.pack(">II", stream, (FLAG_FIN if fin else 0) << 24 | len(data)) + data

    def reply(self, stream: int, headers: Mapping[str, str] | None = None) -> bytes:
        """SYN_REPLY"""
        items = list((headers or {}).items())
        raw = struct.pack(">I", len(items)) + b"".join(_entry(k) + _entry(v) for k, v in items)
        packed = self._deflate.compress(raw) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return self._frame(SYN_REPLY, 0, struct.pack(">I", stream) + packed)

    def reset(self, stream: int, status: int = 5) -> bytes:
        return self._frame(RST_STREAM, 0, struct.pack(">II", stream, status))

    def pong(self, data: bytes) -> bytes:
        return self._frame(PING, 0, data)

    def goaway(self, last: int) -> bytes:
        return self._frame(GOAWAY, 0, struct.pack(">II", last, 0))

    def syn(self, stream: int, headers: Mapping[str, str]) -> bytes:
        """SYN_STREAM, as a client opens a stream (tests)."""
        raw = struct.pack(">I", len(headers)) + b"".join(_entry(k) + _entry(v) for k, v in headers.items())
        packed = self._deflate.compress(raw) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return self._frame(SYN_STREAM, 0, struct.pack(">IIH", stream, 0, 0) + packed)

    @staticmethod
    def _frame(type_: int, flags: int, body: bytes) -> bytes:
        return struct.pack(">II", 0x80030000 | type_, flags << 24 | len(body)) + body
