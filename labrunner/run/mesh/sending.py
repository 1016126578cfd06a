"""Sends requests in streams: one program per caller, each answer told as soon as it is there; can be ended at once."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from labrunner.check.http_probe import Answer, Request, answers_in, cannot_send, series
from labrunner.errors import EnvironmentFault

GRACE = 10.0
"""Seconds that a caller may take beyond its requests' own timeouts."""
_LOOK = 0.1


def stream(
    requests: Sequence[Request],
    cwd: Path,
    environment: Mapping[str, str],
    each: Callable[[int, Answer], None],
    stop: Callable[[], bool],
) -> None:
    """Send requests of one caller, one after another; `each` hears of every answer by its index.

    Raises EnvironmentFault when the caller cannot be made to call, or not all answers came.
    """
    ids = [str(uuid.uuid4()) for _ in requests]
    caller = requests[0]
    started = time.time()
    deadline = time.monotonic() + sum(request.timeout + 1 for request in requests) + GRACE
    try:
        process = subprocess.Popen(
            ["bash", "-c", series(requests, ids)],
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise EnvironmentFault(f"The request cannot be sent: {error}.") from error
    told = 0
    outputs = {"out": bytearray(), "err": bytearray()}
    assert process.stdout is not None and process.stderr is not None
    try:
        with selectors.DefaultSelector() as selector:
            for pipe, name in ((process.stdout, "out"), (process.stderr, "err")):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, name)
            while selector.get_map() and not stop() and time.monotonic() < deadline:
                for key, _ in selector.select(_LOOK):
                    chunk = os.read(key.fd, 65536)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    outputs[key.data] += chunk
                whole = outputs["out"][: outputs["out"].rfind(b"\n") + 1]
                answers = answers_in(whole.decode("utf-8", "replace"), requests, ids, started)
                for index in range(told, len(answers)):
                    each(index, answers[index])
                told = len(answers)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()
    if told < len(requests) and not stop():
        raise cannot_send(caller, (outputs["err"] or outputs["out"]).decode("utf-8", "replace").strip()[-300:])
