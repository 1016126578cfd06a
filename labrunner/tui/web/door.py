"""Who may come in: whoever brings the token first, and that browser alone from then on.

Loopback keeps other machines out; this keeps out other users of this machine, and web pages of other origins (DNS
rebinding, cross-site WebSockets).
"""

from __future__ import annotations

import secrets


class Door:
    """`port`: where the server listens on 127.0.0.1. Not thread-safe: one event loop."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.token = secrets.token_urlsafe(24)
        self.cookie = f"labrunner-{port}"
        """Cookies are shared between ports of a host: the name is not."""
        self._visitor = ""

    @property
    def address(self) -> str:
        """What the learner opens; works once."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    @property
    def hosts(self) -> frozenset[str]:
        return frozenset({f"127.0.0.1:{self.port}", f"localhost:{self.port}"})

    def knows_host(self, host: str) -> bool:
        """Whether a `Host` header names this server: a page elsewhere that resolves its own name to us does not."""
        return host.lower() in self.hosts

    def is_own_origin(self, origin: str) -> bool:
        return origin.lower() in {f"http://{host}" for host in self.hosts}

    @property
    def used(self) -> bool:
        """Whether somebody came in with the token."""
        return bool(self._visitor)

    def enter(self, token: str) -> str | None:
        """The visitor's secret for the cookie; None when the token is wrong or was used."""
        if self._visitor or not secrets.compare_digest(token.encode(), self.token.encode()):
            return None
        self._visitor = secrets.token_urlsafe(24)
        return self._visitor

    def is_visitor(self, secret: str) -> bool:
        return self.used and secrets.compare_digest(secret.encode(), self._visitor.encode())
