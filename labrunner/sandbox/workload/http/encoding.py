"""Content encodings that curl takes apart (`--compressed`)."""

from __future__ import annotations

import gzip
import zlib

from labrunner.sandbox.workload.http.job import TransferFault


def unpacked(data: bytes, encoding: str) -> bytes:
    try:
        if encoding == "gzip":
            return gzip.decompress(data)
        try:
            return zlib.decompress(data)
        except zlib.error:
            return zlib.decompress(data, -15)
    except (OSError, EOFError, zlib.error):
        raise TransferFault(61, "Error while processing content unencoding: invalid stored block lengths") from None
