"""The kinds of check by name. A kind's module is imported when it is first asked for, not before."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Final

from labrunner.check.kind import CheckKind

_MODULES: Final = {
    "resource": "ResourceKind",
    "absent": "AbsentKind",
    "condition": "ConditionKind",
    "certificate": "CertificateKind",
    "command": "CommandKind",
    "file": "FileKind",
    "env": "EnvKind",
    "quiz": "QuizKind",
    "request": "RequestKind",
    "connectivity": "ConnectivityKind",
    "mesh": "MeshKind",
    "metric": "MetricKind",
}
"""Kind -> its class, in `labrunner.check.<kind>`. Add a kind here and nowhere else."""


class _Kinds(Mapping[str, CheckKind]):
    def __init__(self) -> None:
        self._loaded: dict[str, CheckKind] = {}

    def __getitem__(self, name: str) -> CheckKind:
        if name not in self._loaded:
            class_name = _MODULES[name]
            module = importlib.import_module(f"labrunner.check.{name}")
            self._loaded[name] = getattr(module, class_name)()
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)

    def __contains__(self, name: object) -> bool:
        return name in _MODULES


_KINDS: Final = _Kinds()


def kinds() -> Mapping[str, CheckKind]:
    """All kinds by name, in the order of the reference."""
    return _KINDS
