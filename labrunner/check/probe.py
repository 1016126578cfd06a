"""Runs one read-only command beside the lab's shell and leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from labrunner.errors import EnvironmentFault

OUTPUT_KEPT: Final = 1024 * 1024
"""Bytes kept of each of stdout and stderr; the rest is read and dropped, so that the command is never blocked."""
_LINGER: Final = 0.5
"""Seconds that output may still come after the command itself has ended (a child holds the pipe)."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """`exit` is None when the time limit ended it; a signal N counts as 128 + N, as in the shell."""

    exit: int | None
    stdout: str
    stderr: str
    truncated: bool
    seconds: float


def run_probe(
    command: str, cwd: Path, environment: Mapping[str, str], timeout: float, *, keep: int = OUTPUT_KEPT
) -> ProbeResult:
    """Run with bash, without input, in a process group of its own that is killed when it ends or takes too long.

    `keep`: bytes kept of each of stdout and stderr. Raises EnvironmentFault when it cannot be started.
    """
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if not cwd.is_dir():
            hint = "Change to a directory that exists (cd) and check again."
            raise EnvironmentFault(f"The shell's directory {cwd} does not exist any more.", hint=hint) from error
        raise EnvironmentFault("bash is not installed.", hint="Install bash and try again.") from error
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"The command cannot be started: {error}.") from error
    try:
        outputs, ended = _collect(process, started + timeout, keep)
    finally:
        _end_group(process)
    stdout, stderr = (o[:keep].decode("utf-8", errors="replace") for o in outputs)
    exit_code: int | None = process.returncode
    if not ended:
        exit_code = None
    elif exit_code is not None and exit_code < 0:
        exit_code = 128 - exit_code
    truncated = any(len(o) > keep for o in outputs)
    return ProbeResult(exit_code, stdout, stderr, truncated, time.monotonic() - started)


def _collect(process: subprocess.Popen[bytes], deadline: float, keep: int) -> tuple[list[bytearray], bool]:
    """Read both pipes until they close, the command has ended and lingered, or the deadline: (outputs, ended)."""
    streams: list[IO[bytes]] = [s for s in (process.stdout, process.stderr) if s is not None]
    outputs = [bytearray(), bytearray()]
    with selectors.DefaultSelector() as selector:
        for stream, output in zip(streams, outputs, strict=True):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ, output)
        ended_at = 0.0
        while selector.get_map():
            now = time.monotonic()
            if not ended_at and process.poll() is not None:
                ended_at = now
            if now >= deadline or (ended_at and now >= ended_at + _LINGER):
                break
            for key, _ in selector.select(min(0.1, deadline - now)):
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    selector.unregister(key.fileobj)
                elif len(key.data) <= keep:
                    key.data.extend(chunk)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
    return outputs, process.returncode is not None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the group, reap the command and close the pipes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
