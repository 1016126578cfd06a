"""Generated data, read only as far as it is asked for: JSON lines of `name TAB json` after a header line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import orjson


class Definitions(Mapping[str, Mapping[str, Any]]):
    """Schema definitions by name; each is parsed at its first use."""

    def __init__(self, data: bytes) -> None:
        head, _, rest = data.partition(b"\n")
        self.header: dict[str, Any] = orjson.loads(head)
        self._raw: dict[str, bytes] = {}
        self._parsed: dict[str, dict[str, Any]] = {}
        for line in rest.splitlines():
            name, _, body = line.partition(b"\t")
            self._raw[name.decode()] = body

    def __getitem__(self, name: str) -> dict[str, Any]:
        found = self._parsed.get(name)
        if found is None:
            found = self._parsed[name] = orjson.loads(self._raw[name])
            # Which Go type this is: error messages of the decoder and special wire forms depend on it.
            found["x-definition"] = name
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __contains__(self, name: object) -> bool:
        return name in self._raw


def read(name: str) -> bytes:
    """A file of labrunner/sandbox/kube/data."""
    return resources.files("labrunner.sandbox.kube").joinpath("data", name).read_bytes()
