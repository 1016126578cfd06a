"""One runner per session: who holds it, taking it over, giving it up."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labrunner.errors import EnvironmentFault, LabrunnerError
from labrunner.run.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Holder:
    """`since`: seconds since the epoch."""

    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {time.strftime('%H:%M', time.localtime(self.since))}"


class SessionHeld(LabrunnerError):
    """Another runner has the session open: `holder` says who (None when it has not said yet)."""

    def __init__(self, directory: Path, holder: Holder | None) -> None:
        self.holder = holder
        super().__init__(
            f"this lab is already open ({holder or directory})",
            hint="take it over (the other one ends, nothing is lost), look on, or leave it",
        )


class SessionLock:
    """A `flock` on `<directory>/lock`; it ends with the process, however that ends."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "lock"
        self._request = directory / "take-over"
        self._fd = -1
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    def acquire(self, *, take_over: bool = False, timeout: float = 5.0) -> None:
        """Take the session. Raises `SessionHeld`, or `EnvironmentFault` when a holder does not give it up."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EnvironmentFault(
                f"cannot lock the session in {self._directory}: {error.strerror}",
                hint="make the place writable, or choose another with LABRUNNER_HOME",
            ) from error
        try:
            if not _try(fd):
                holder = self.holder()
                if not take_over:
                    raise SessionHeld(self._directory, holder)
                self._request.write_text(str(os.getpid()), "utf-8")
                if not wait_for(lambda: _try(fd), bool, timeout=timeout).holds:
                    raise EnvironmentFault(
                        f"the runner that has this lab open does not answer ({holder})",
                        hint=f"end it with `kill {holder.pid}`" if holder else "end it by hand",
                    )
            with contextlib.suppress(OSError):
                self._request.unlink()
            me = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(me).encode(), 0)
        except OSError as error:
            os.close(fd)
            raise EnvironmentFault(f"cannot lock the session in {self._directory}: {error.strerror}") from error
        except LabrunnerError:
            os.close(fd)
            raise
        self._fd = fd

    def holder(self) -> Holder | None:
        """Who has (or had last) the session."""
        try:
            data = json.loads(self._path.read_text("utf-8"))
            return Holder(int(data["pid"]), str(data["host"]), float(data["since"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def on_take_over(self, give_up: Callable[[], None]) -> None:
        """Call `give_up` (once, on a thread of its own) when another runner asks for the session."""

        def watch() -> None:
            while not self._stop.wait(0.25):
                if self._request.exists():
                    give_up()
                    return

        self._watcher = threading.Thread(target=watch, name="labrunner-lock", daemon=True)
        self._watcher.start()

    def release(self) -> None:
        """Idempotent."""
        self._stop.set()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _try(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
