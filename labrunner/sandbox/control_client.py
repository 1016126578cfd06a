"""Asks a running sandbox over its own API, with the administrator's certificate. See `labrunner.sandbox.control`."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import quote

from labrunner.errors import EnvironmentFault
from labrunner.sandbox.layout import Layout


def ask(layout: Layout, port: int | None, action: str, snapshot_id: str, timeout: float) -> dict[str, Any]:
    """The answer's JSON. Raises `EnvironmentFault` when it does not come or is a refusal."""
    if not port:
        raise EnvironmentFault("the sandbox is still starting", hint="Try again in a moment.")
    try:
        context = ssl.create_default_context(cafile=str(layout.certificates / "ca.crt"))
        context.load_cert_chain(layout.certificates / "admin.crt", layout.certificates / "admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)
        try:
            connection.request("POST", f"/labrunner/{action}?id={quote(snapshot_id)}")
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        answer: dict[str, Any] = json.loads(data)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EnvironmentFault(
            f"the sandbox's process does not answer: {error}",
            hint=f"Restart it: labrunner sandbox stop, then start. Its log is {layout.log}.",
        ) from error
    if response.status >= 400:
        raise EnvironmentFault(str(answer.get("message") or f"the sandbox refused: {response.status}"))
    return answer
