"""Keeps the shared access log small: what has been read is put aside, and Envoy begins a new file.

Nothing is lost: the old file is read to its end after Envoy has said that it writes to the new one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

LIMIT = 8 * 1024 * 1024
"""Bytes; about 8,000 requests that pass two proxies."""


async def rotate(
    log: Path, reopen: Callable[[], Awaitable[object]], drain: Callable[[Path], Awaitable[object]], limit: int = LIMIT
) -> bool:
    """Whether it was time. `drain`: reads what is left of a file that is not written to any more."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size < limit:
            return False
        aside = log.with_name(f"{log.name}.old")
        log.rename(aside)
        log.touch(mode=0o600)
        try:
            await reopen()
        finally:
            await drain(aside)
            aside.unlink(missing_ok=True)
        return True
    return False
