"""A child on a pseudo-terminal of its own: gathered reads for one reader thread, writes that never block."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from labrunner.run import processes

COALESCE = 0.016
"""Seconds over which output is gathered before it is handed on."""
_READ = 65_536
_GATHER = 262_144
_FLOOD = 65_536
"""Bytes gathered at once that only a program printing at full speed makes: it is held back for `COALESCE` then, so
that whoever shows it and answers keys has the processor half of the time."""
_POLL_WITHOUT_PIDFD = 0.25


class Read(NamedTuple):
    """`ended`: the child is gone and nothing more comes. `idle`: nothing came within the time allowed."""

    data: bytes
    ended: bool
    idle: bool


class PtyChild:
    """`read` is for one thread only; everything else is thread-safe."""

    def __init__(
        self, argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str], size: tuple[int, int]
    ) -> None:
        """Start it; `size` in rows and columns. Raises `OSError`."""
        import pexpect

        try:
            self._child = pexpect.spawn(
                argv[0], list(argv[1:]), cwd=str(cwd), env=dict(environment), dimensions=size, timeout=None,
                maxread=_READ, searchwindowsize=200, preexec_fn=_default_signals,
            )  # fmt: skip
        except pexpect.ExceptionPexpect as error:
            raise OSError(errno.ENOENT, str(error)) from error
        self.pid: int = self._child.pid
        self._fd: int = self._child.child_fd
        os.set_blocking(self._fd, False)
        fcntl.fcntl(self._fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        self._pidfd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else -1
        self._wake_r, self._wake_w = os.pipe()
        for fd in (self._wake_r, self._wake_w):
            os.set_blocking(fd, False)
        self._lock = threading.RLock()
        self._out = bytearray()
        self._status: int | None = None
        self._handed_on = 0.0
        self._flooded = False
        self._closed = False

    # -- the reader's side

    def read(self, *, patience: float | None, urgent: bytes = b"") -> Read:
        """Output gathered over at most `COALESCE`; at once when `urgent` is in it.

        `patience`: seconds after which to come back with nothing; None waits until something comes or `wake`.
        """
        if self._flooded:
            self._hold_back()
        gathered = bytearray()
        until = 0.0
        while True:
            timeout = patience
            if gathered:
                timeout = until - time.monotonic()
                if timeout <= 0 or len(gathered) >= _GATHER:
                    return self._hand_on(gathered)
            elif self._pidfd < 0:
                timeout = min(_POLL_WITHOUT_PIDFD, patience or _POLL_WITHOUT_PIDFD)
            ready = self._ready(timeout)
            if self._wake_r in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_r, 4096)
            self._write_some()
            dead = self._pidfd in ready or (self._pidfd < 0 and not processes.alive(self.pid))
            chunk = self._read_some() if self._fd in ready else None
            if chunk:
                # The first output after a pause is handed on at once: keys typed are seen without delay.
                until = until or max(time.monotonic(), self._handed_on + COALESCE)
                gathered += chunk
                if urgent and urgent in chunk:
                    return self._hand_on(gathered)
                if not (dead and len(gathered) >= _READ):  # who else has the terminal open may write for ever
                    continue
            if dead or chunk == b"":
                return self._hand_on(gathered, ended=True)
            if not gathered:
                return Read(b"", False, not ready)

    def _hand_on(self, gathered: bytearray, ended: bool = False) -> Read:
        self._handed_on = time.monotonic()
        self._flooded = len(gathered) >= _FLOOD
        return Read(bytes(gathered), ended, False)

    def _hold_back(self) -> None:
        """Leave the output where it is for a moment; keys and signals still get through."""
        poll = select.poll()
        poll.register(self._wake_r, select.POLLIN)
        poll.poll(COALESCE * 1000)

    def _ready(self, timeout: float | None) -> set[int]:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN | (select.POLLOUT if self._out else 0))
        poll.register(self._wake_r, select.POLLIN)
        if self._pidfd >= 0:
            poll.register(self._pidfd, select.POLLIN)
        found = poll.poll(None if timeout is None else max(0.0, timeout) * 1000)
        return {fd for fd, event in found if event & ~select.POLLOUT}

    def _read_some(self) -> bytes | None:
        """None: nothing there; empty: nobody has the terminal open any more."""
        try:
            return os.read(self._fd, _READ)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return b""

    def _write_some(self) -> None:
        with self._lock:
            if not self._out:
                return
            try:
                written = os.write(self._fd, self._out[:1024])
            except BlockingIOError:
                return
            except OSError:
                self._out.clear()
                return
            del self._out[:written]

    # -- everyone's side

    def write(self, data: bytes) -> None:
        """Queue it; the reader thread writes as the terminal takes it."""
        with self._lock:
            self._out += data
        self.wake()

    def forget_unwritten(self) -> bool:
        """Drop what is queued; whether there was anything."""
        with self._lock:
            had = bool(self._out)
            self._out.clear()
        return had

    def wake(self) -> None:
        """Make `read` come back."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if not self._closed:
                os.write(self._wake_w, b"w")

    def resize(self, rows: int, columns: int) -> None:
        with self._lock, contextlib.suppress(OSError):
            if not self._closed:
                self._child.setwinsize(rows, columns)

    def foreground(self) -> int:
        """The process group that has the terminal; 0 when that cannot be told."""
        with self._lock:
            try:
                return 0 if self._closed else os.tcgetpgrp(self._fd)
            except OSError:
                return 0

    def signal_foreground(self, number: int) -> None:
        group = self.foreground()
        if group > 1 and group != os.getpgrp():
            with contextlib.suppress(OSError):
                os.killpg(group, number)

    def reads_keys(self) -> bool:
        """Whether the child itself reads the terminal key by key, as readline does at a prompt."""
        with self._lock:
            try:
                if self._closed or os.tcgetpgrp(self._fd) != self.pid:
                    return False
                return not termios.tcgetattr(self._fd)[3] & termios.ICANON
            except (OSError, termios.error):
                return False

    def kill(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._status is None:
                os.kill(self.pid, signal.SIGKILL)

    @property
    def closed(self) -> bool:
        return self._closed

    def wait(self) -> int:
        """Reap it; its wait status. Blocks while it lives."""
        with self._lock:
            if self._status is None:
                try:
                    self._status = os.waitpid(self.pid, 0)[1]
                except ChildProcessError:
                    self._status = 0
                self._child.ptyproc.terminated = self._child.terminated = True
            return self._status

    def close(self) -> None:
        """Kill and reap it, let go of its descriptors. Only when nobody is in `read`. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self.kill()
            self.wait()
            self._closed = True
            with contextlib.suppress(OSError):
                self._child.ptyproc.fileobj.close()  # owns the descriptor: closing that itself would close it twice
            self._child.child_fd = -1
            self._child.closed = self._child.ptyproc.closed = True
            for fd in (self._pidfd, self._wake_r, self._wake_w):
                if fd >= 0:
                    os.close(fd)


def _default_signals() -> None:
    """In the child: Python ignores SIGPIPE and masks differ by thread; a shell expects the defaults."""
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
