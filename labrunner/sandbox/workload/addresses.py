"""Where the cluster's addresses really are: every pod address has a twin on this machine's loopback network.

A sandbox owns one block `127.<block>.0.0/16`; the pod 10.244.3.7 lives at 127.<block>.3.7 and its port 8080 is that
address's port 8080. Ports below 1024, which only root may bind, stand 61000 higher, outside the ephemeral range.
Source addresses are bound too, so who connects can be seen on the wire. Needs all of 127/8 (Linux).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

_SHIFT = 61000
_FIRST_UNPRIVILEGED = 1024


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """One sandbox's addresses. `block` is 1 to 254 and differs between sandboxes that run at the same time."""

    block: int
    pod_cidr: str = "10.244.0.0/16"

    def real(self, pod_ip: str, port: int) -> tuple[str, int]:
        """Where `pod_ip:port` can be bound and connected to on this machine."""
        return self.real_ip(pod_ip), real_port(port)

    def real_ip(self, pod_ip: str) -> str:
        _, _, c, d = pod_ip.split(".")
        return f"127.{self.block}.{c}.{d}"

    def pod_ip(self, real_ip: str) -> str:
        """The pod address of a loopback address of this plan; other addresses as they are."""
        a, b, c, d = real_ip.split(".")
        if a != "127" or int(b) != self.block:
            return real_ip
        first, second, _, _ = self.pod_cidr.split(".")
        return f"{first}.{second}.{c}.{d}"

    def real_cidrs(self, cidr: str) -> list[str]:
        """What of a range of cluster addresses is pods, as loopback ranges; ranges without pods stay as they are."""
        network = ipaddress.ip_network(cidr, strict=False)
        pods = ipaddress.ip_network(self.pod_cidr)
        if network.version != 4 or not network.overlaps(pods):
            return [cidr]
        inside = network if network.prefixlen >= pods.prefixlen else pods
        twin = f"{self.real_ip(str(inside.network_address))}/{inside.prefixlen}"
        return [twin] if inside is network else [cidr, twin]


def real_port(port: int) -> int:
    return port + _SHIFT if port < _FIRST_UNPRIVILEGED else port


def pod_port(real: int) -> int:
    """What `real_port` was given."""
    return real - _SHIFT if _SHIFT <= real < _SHIFT + _FIRST_UNPRIVILEGED else real
