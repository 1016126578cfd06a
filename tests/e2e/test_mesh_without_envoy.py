"""A machine without Envoy: traffic of the mesh cannot be tried, and nothing counts as if it had been."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from labrunner.check.evaluate import evaluate_check
from labrunner.check.kind import CheckContext
from labrunner.check.result import CheckStatus
from labrunner.lab.model import Check
from labrunner.target.sandbox import SandboxTarget
from tests.e2e.mesh_sandbox import SHOP, MeshSandbox, until

pytestmark = [
    pytest.mark.skipif(bool(shutil.which("envoy")), reason="an envoy of the PATH would take the wheel's place"),
    pytest.mark.timeout(120),
]
WORDS = "Envoy is not installed"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MeshSandbox:
    """A sandbox that finds an `envoy` package with no program in it."""
    hidden = tmp_path / "hidden" / "envoy"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(hidden.parent))
    found = MeshSandbox("bare", tmp_path / "sandbox")
    found.apply(SHOP)
    return found


def test_traffic_checks_say_so_by_name_and_never_pass(bare: MeshSandbox, tmp_path: Path) -> None:
    try:
        for namespace in ("shop", "legacy"):
            bare.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod", "--all", "--timeout=30s")
        until(lambda: (bare.sandbox.status().mesh or {}).get("envoy") == "missing")
        status = bare.sandbox.status()
        assert status.health == "running", "the API and programs work without it"
        assert WORDS in (status.mesh or {})["problem"]
        code, answer, _ = bare.curl("shop/client", "http://shop.shop:8000/status/200")
        assert (code != 0, answer) == (True, 0), "a sidecar that does not run lets nothing through"

        target = SandboxTarget("bare", directory=bare.sandbox.directory)
        context = CheckContext(target, tmp_path, bare.environment)

        def ask(kind: str, **params: Any) -> tuple[CheckStatus, str]:
            result = evaluate_check(Check("c", kind, params), context)
            return result.status, str(result)

        client = {"from": "pod/client", "namespace": "shop"}
        url = "http://shop.shop:8000/status/200"
        for kind, params in (
            ("request", {**client, "url": url, "status": 200, "mtls": True}),
            ("request", {**client, "url": url, "status": 200}),
            ("request", {**client, "url": url, "exit": {"$any": [7, 52, 56]}}),
            (
                "connectivity",
                {"callers": [{"name": "c", **client}], "targets": [{"name": "t", "url": url}], "allow": []},
            ),
            ("mesh", {"namespace": "shop"}),
        ):
            status_, said = ask(kind, **params)
            assert status_ is not CheckStatus.PASSED, (kind, params, said)
            assert WORDS in said, (kind, params, said)
    finally:
        bare.sandbox.stop()
