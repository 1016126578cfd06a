"""Evaluating a check: every outcome is a result, and a fault is never a failed check."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from check_world import FakeCluster, context

from labrunner.check.evaluate import evaluate_check
from labrunner.check.kind import CheckContext
from labrunner.check.result import CheckStatus, Finding
from labrunner.errors import EnvironmentFault, Interrupted
from labrunner.lab.model import Check


class Told:
    """A kind that answers as it is told."""

    name = "told"
    params_schema: Mapping[str, Any] = {}

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        if "raise" in params:
            raise params["raise"]
        return [Finding("different", f"{context.check_id} differs.")] if params.get("fail") else []

    def describe(self, params: Mapping[str, Any]) -> str:
        return "as told"

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        return []


def evaluate(tmp_path: Path, **params: Any) -> Any:
    return evaluate_check(Check("c1", "told", params), context(tmp_path), {"told": Told()})


def test_no_findings_is_passed_and_says_what_holds(tmp_path: Path) -> None:
    result = evaluate(tmp_path)
    assert result.status is CheckStatus.PASSED
    assert (result.title, result.summary, result.findings) == ("as told", "as told", ())


def test_findings_are_failed_and_the_kind_knows_its_check(tmp_path: Path) -> None:
    result = evaluate(tmp_path, fail=True)
    assert result.status is CheckStatus.FAILED
    assert result.summary == "c1 differs."


def test_a_fault_of_the_environment_is_an_error_with_its_way_out(tmp_path: Path) -> None:
    result = evaluate(tmp_path, **{"raise": EnvironmentFault("The cluster is gone.", hint="Start it.")})
    assert result.status is CheckStatus.ERROR
    assert "The cluster is gone." in result.summary
    assert "Start it." in result.findings[0].message


def test_a_broken_kind_is_an_error_that_names_the_check(tmp_path: Path) -> None:
    result = evaluate(tmp_path, **{"raise": ZeroDivisionError("division by zero")})
    assert result.status is CheckStatus.ERROR
    assert "c1 (told)" in result.summary
    assert "ZeroDivisionError" in result.summary


def test_an_interruption_is_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        evaluate(tmp_path, **{"raise": Interrupted("stop")})


def test_an_unknown_kind_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    result = evaluate_check(Check("c1", "resorce", {}), context(tmp_path))
    assert result.status is CheckStatus.ERROR
    assert 'Did you mean "resource"?' in result.summary


def test_an_unreachable_cluster_is_an_error_for_every_kind_that_asks_it(tmp_path: Path) -> None:
    cluster = FakeCluster([])
    cluster.fault = EnvironmentFault("The cluster cannot be reached: connection refused.", hint="Start it.")
    where = context(tmp_path, client=cluster)
    for kind, params in (
        ("resource", {"apiVersion": "v1", "kind": "Pod", "name": "a"}),
        ("absent", {"apiVersion": "v1", "kind": "Pod", "name": "a"}),
        ("condition", {"apiVersion": "v1", "kind": "Pod", "name": "a", "type": "Ready"}),
        ("certificate", {"secret": {"name": "a"}}),
    ):
        result = evaluate_check(Check("c1", kind, params), where)
        assert result.status is CheckStatus.ERROR, kind


def test_importing_the_registry_loads_no_kind_and_no_heavy_library() -> None:
    code = (
        "import sys, labrunner.check.registry as r; r.kinds(); "
        "bad = {'cryptography', 'cel', 'yaml', 'urllib3', 'labrunner.check.resource'} & set(sys.modules); "
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
