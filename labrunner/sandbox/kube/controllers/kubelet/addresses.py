"""Pod addresses: each node hands them out of its own range, and takes them back."""

from __future__ import annotations

import ipaddress


class AddressPool:
    """Next free address after the last one given, as the host-local IPAM plugin does."""

    def __init__(self) -> None:
        self._used: dict[str, dict[str, str]] = {}
        self._last: dict[str, int] = {}

    def note(self, cidr: str, address: str, uid: str) -> None:
        """An address that a pod already has."""
        self._used.setdefault(cidr, {})[address] = uid

    def take(self, cidr: str, uid: str) -> str:
        """Empty when the range is used up."""
        used = self._used.setdefault(cidr, {})
        network = ipaddress.ip_network(cidr)
        size = network.num_addresses
        start = self._last.get(cidr, 1)
        for offset in range(1, size):
            index = (start + offset) % size
            if index in (0, 1, size - 1):
                continue
            address = str(network[index])
            if address not in used:
                used[address] = uid
                self._last[cidr] = index
                return address
        return ""

    def release(self, cidr: str, address: str, uid: str) -> None:
        used = self._used.get(cidr, {})
        if used.get(address) == uid:
            del used[address]
