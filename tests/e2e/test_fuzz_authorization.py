"""The explanation of authorization agrees with a real Envoy; the long version is `bench/fuzz_authorization.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "bench" / "fuzz_authorization.py"
NO_ENVOY = 3


def test_explanation_and_envoy_agree_on_random_policies_and_requests() -> None:
    done = subprocess.run(
        [sys.executable, str(FUZZ), "--requests", "300", "--seed", "4242"],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    if done.returncode == NO_ENVOY:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 disagreements," in done.stdout
    for outcome in ("401 http", "allowed http", "allowed tcp", "denied http", "denied tcp"):
        assert outcome in done.stdout, f"the run had no {outcome}: it proves little"
