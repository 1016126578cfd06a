"""One open watch of one kind: what changes there, as it changes.

Protocol: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from labrunner.errors import EnvironmentFault
from labrunner.target import kube_fault
from labrunner.target.base import Change

if TYPE_CHECKING:
    import urllib3

    from labrunner.target.kube_transport import Transport

_SERVER_ENDS: Final = 290
"""Seconds after which the server is asked to end a watch: the caller opens the next."""
_SILENCE: Final = 330.0
"""Seconds without a byte after which the connection counts as dead."""


class KubeWatch:
    """Iterate on a thread of its own; `close` from any thread ends the iteration at once.

    The iteration ends when the server ends the watch or what it knew is too old: changes may have been missed then,
    so look again and open a new one. Raises `EnvironmentFault` when the server cannot be reached or refuses.
    """

    def __init__(self, transport: Transport, collection: str, resource_version: str) -> None:
        """`collection`: path of the kind's list. `resource_version`: changes after this one are told."""
        self._transport = transport
        self._path = (
            f"{collection}?watch=1&allowWatchBookmarks=true&timeoutSeconds={_SERVER_ENDS}"
            f"&resourceVersion={resource_version}"
        )
        self._response: urllib3.BaseHTTPResponse | None = None
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Idempotent; never raises."""
        with self._lock:
            self._closed = True
            response = self._response
        if response is not None:
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                response.shutdown()

    def __iter__(self) -> Iterator[Change]:
        import urllib3

        try:
            response = self._open()
            if response is None:
                return
            try:
                for line in _lines(response):
                    event = json.loads(line)
                    if event.get("type") == "ERROR":
                        return
                    if event.get("type") != "BOOKMARK":
                        yield Change(str(event["type"]), event["object"])
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError, KeyError) as error:
            if not self._closed:
                raise EnvironmentFault(f"the watch of {self._transport.server} broke off: {error}") from error

    def _open(self) -> urllib3.BaseHTTPResponse | None:
        """None when it was closed meanwhile."""
        import urllib3

        response: Any = self._transport.pool.request(
            "GET",
            self._transport.server + self._path,
            headers={"Accept": "application/json", "User-Agent": "labrunner", **self._transport.headers()},
            timeout=urllib3.Timeout(connect=5.0, read=_SILENCE),
            retries=False,
            preload_content=False,
        )
        if response.status >= 400:
            data = response.data
            raise kube_fault.refused(response.status, data, self._path, self._transport.server)
        with self._lock:
            self._response = response
            closed = self._closed
        if closed:
            response.close()
            return None
        return response  # type: ignore[no-any-return]


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())
