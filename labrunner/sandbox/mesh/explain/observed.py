"""From what was sent to what a sidecar's filters see: normalised path, trusted addresses, joined headers."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from labrunner.sandbox.mesh.explain.path import normalised
from labrunner.sandbox.mesh.explain.request import RequestFacts


def http_facts(
    *,
    method: str,
    path: str,
    authority: str,
    headers: Mapping[str, str],
    direct_remote_ip: str,
    destination: tuple[str, int],
    principal: str = "",
    sni: str = "",
) -> RequestFacts:
    """`destination`: where the proxy accepted the connection; addresses as Envoy sees them."""
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    return RequestFacts(
        principal=principal,
        direct_remote_ip=direct_remote_ip,
        remote_ip=_forwarded(lower.get("x-forwarded-for", "")) or direct_remote_ip,
        destination_ip=destination[0],
        destination_port=destination[1],
        sni=sni,
        method=method,
        path=normalised(path),
        authority=authority,
        headers=lower,
    )


def _forwarded(header: str) -> str:
    """The last address of X-Forwarded-For: what the hop before, which is of the mesh, vouches for."""
    last = header.rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(last))
    except ValueError:
        return ""
