"""What an Envoy filter can see of one request or connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """`tcp`: a plain connection; then method, path and headers mean nothing.

    Addresses are as Envoy sees them. `principal` is the peer certificate's SPIFFE URI, empty without mTLS.
    """

    principal: str = ""
    direct_remote_ip: str = "0.0.0.0"
    remote_ip: str = ""
    """From X-Forwarded-For where that is trusted; empty: the same as the direct one."""
    destination_ip: str = "0.0.0.0"
    destination_port: int = 0
    sni: str = ""
    tcp: bool = False
    method: str = "GET"
    path: str = "/"
    """With its query."""
    authority: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names; several values of one name joined by commas, as Envoy joins them."""
    claims: Mapping[str, Any] | None = None
    """Of a verified token; None without one."""

    def header(self, name: str) -> str | None:
        """A header's value or None; pseudo headers included."""
        match name.lower():
            case ":method":
                return self.method
            case ":path":
                return self.path
            case ":authority" | "host":
                return self.authority
        return self.headers.get(name.lower())
