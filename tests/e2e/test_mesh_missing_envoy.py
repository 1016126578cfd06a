"""Where Envoy is missing, checks of traffic say so by name: they neither pass nor fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labrunner.check.evaluate import evaluate_check
from labrunner.check.kind import CheckContext
from labrunner.check.result import CheckStatus
from labrunner.lab.model import Check
from labrunner.target.sandbox import SandboxTarget
from tests.e2e.mesh_sandbox import SHOP, until

CLIENT = {"from": "client", "namespace": "shop"}
ASKED: dict[str, dict[str, Any]] = {
    "request": {**CLIENT, "url": "http://shop:8000/get", "status": 200, "mtls": True},
    "connectivity": {
        "callers": [{"name": "client", **CLIENT}],
        "targets": [{"name": "shop", "url": "http://shop:8000/get"}],
        "allow": [],
    },
    "mesh": {"namespace": "shop"},
    "metric": {"metric": "istio_requests_total", "value": {"$gte": 0}},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckContext]:
    """A package `envoy` without its program hides the real one, and no folder of the PATH has one."""
    directory = tmp_path_factory.mktemp("no-envoy")
    (directory / "hidden" / "envoy").mkdir(parents=True)
    (directory / "hidden" / "envoy" / "__init__.py").touch()
    before = {name: os.environ.get(name, "") for name in ("PYTHONPATH", "PATH")}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(directory / "hidden"), before["PYTHONPATH"]]))
    folders = [f for f in before["PATH"].split(os.pathsep) if not (Path(f) / "envoy").exists()]
    os.environ["PATH"] = os.pathsep.join(folders)
    target = SandboxTarget("no-envoy", ephemeral=True, directory=directory / "sandbox")
    try:
        target.start()
        environment = {**os.environ, **target.environment()}
        manifest = SHOP.replace("istio-injection: enabled", "istio.io/rev: asm-1-25")
        subprocess.run(
            ["kubectl", "apply", "-f", "-"], input=manifest, text=True, env=environment, check=True,
            capture_output=True,
        )  # fmt: skip
        yield CheckContext(target, directory, environment)
    finally:
        target.stop()
        for name, value in before.items():
            os.environ[name] = value
            if not value:
                del os.environ[name]


@pytest.mark.parametrize("kind", sorted(ASKED))
def test_a_check_of_traffic_is_an_error_that_names_envoy(world: CheckContext, kind: str) -> None:
    def asked() -> bool:
        found = evaluate_check(Check("c", kind, ASKED[kind]), world)
        return found.status is CheckStatus.ERROR and "Envoy is not installed" in found.summary

    until(asked, 30)


def test_trace_ends_with_the_environments_exit_code(world: CheckContext) -> None:
    command = [sys.executable, "-m", "labrunner", "trace", "--from", "client", "-n", "shop", "http://shop:8000/get"]
    done = subprocess.run(command, env=dict(world.environment), capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "Envoy is not installed" in done.stderr
