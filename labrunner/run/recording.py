"""A recording of the shell's terminal as an asciicast v2 file, secrets redacted.

Format: https://docs.asciinema.org/manual/asciicast/v2/. Redaction works on whole lines, so a line appears when it is
complete; a full disk ends the recording, never the session.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import threading
import time
from pathlib import Path

from labrunner.errors import EnvironmentFault
from labrunner.run.redaction import Redactor, StreamRedactor


class Recording:
    """`push` is a sink for `Shell.subscribe_raw`; thread-safe."""

    def __init__(self, path: Path, redactor: Redactor, *, rows: int, columns: int, title: str) -> None:
        """Raises `EnvironmentFault` when the file cannot be written. An existing file is replaced."""
        header = {"version": 2, "width": columns, "height": rows, "timestamp": int(time.time()), "title": title}
        try:
            self._file = path.open("w", encoding="utf-8")
            self._file.write(json.dumps(header) + "\n")
            self._file.flush()
        except OSError as error:
            raise EnvironmentFault(
                f"cannot record into {path}: {error.strerror}", hint="name another file with --record"
            ) from error
        self._redactor = StreamRedactor(redactor)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def push(self, data: bytes) -> None:
        with self._lock:
            self._write("o", self._redactor.feed(self._decode(data)))

    def resize(self, rows: int, columns: int) -> None:
        with self._lock:
            self._write("r", f"{columns}x{rows}")

    def close(self) -> None:
        """Idempotent; never raises."""
        with self._lock:
            self._write("o", self._redactor.flush())
            with contextlib.suppress(OSError):
                self._file.close()

    def _write(self, code: str, text: str) -> None:
        if not text or self._file.closed:
            return
        line = json.dumps([round(time.monotonic() - self._started, 6), code, text])
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError:
            with contextlib.suppress(OSError):
                self._file.close()
