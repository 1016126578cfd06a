"""The requests that a check sends, to be sent again and followed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labrunner.check.http_probe import Request, of_params
from labrunner.check.result import CheckResult

TRACEABLE = ("request", "connectivity")
"""Kinds of check that send requests."""


def requests_of(kind: str, params: Mapping[str, Any], result: CheckResult | None) -> list[Request]:
    """What a check of this kind asks; of a `connectivity` check the pairs it found wrong, or without a result all."""
    if kind == "request":
        return [of_params(params)]
    if kind != "connectivity":
        return []
    wrong = [finding.where for finding in result.findings] if result is not None else []
    found = []
    for caller in params["callers"]:
        for target in params["targets"]:
            pair = f"{caller['name']} -> {target['name']} "
            if not wrong or any(where.startswith(pair) for where in wrong):
                own = {key: value for key, value in target.items() if key != "name"}
                found.append(of_params({**own, **caller, "timeout": params.get("timeout", 5)}))
    return found
