"""SIGKILL at random moments loses nothing that was shown; the long version is `bench/soak_kill.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[2] / "bench" / "soak_kill.py"


def test_a_few_kills_lose_nothing_and_leave_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(SOAK), "--kills", "8"], capture_output=True, text=True, timeout=100,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none lost" in done.stdout
