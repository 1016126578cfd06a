"""Recorded transcripts of a real API server, replayed with real kubectl against the sandbox.

The transcripts are kept outside the project; `LABRUNNER_CONFORMANCE` names their folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrunner.sandbox.instance import Sandbox

FOLDER = Path(os.environ.get("LABRUNNER_CONFORMANCE", Path(__file__).parents[3] / "shared" / "conformance"))
CASES = sorted((FOLDER / "kubectl").glob("*.yaml"))
DIFFERS = {
    "create-service-variants": "an instant sandbox gives a LoadBalancer its address before kubectl can see <pending>",
}
"""Cases that cannot hold on an instant sandbox, and why."""
RACES = {
    "wait-rollout-wait-delete": "kubectl logs a line when its watch ends before it sees its own time-out, or does not",
}
"""Cases whose words are decided by a race inside kubectl, and which; they get three tries."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CASES, reason=f"no recorded transcripts in {FOLDER}; set LABRUNNER_CONFORMANCE"),
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    made = Sandbox("conformance", tmp_path_factory.mktemp("conformance") / "sandbox")
    made.start(owned=True, instant=True)
    yield made
    made.stop()


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_transcript(case: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    if case.stem in DIFFERS:
        pytest.skip(DIFFERS[case.stem])
    for left in reversed(range(3 if case.stem in RACES else 1)):
        failed, words = replay(case, sandbox, tmp_path)
        if not failed:
            return
        assert left, words


def replay(case: Path, sandbox: Sandbox, tmp_path: Path) -> tuple[bool, str]:
    """Whether it failed, and what the replay said."""
    environment = {**os.environ, **sandbox.environment()}
    cases = tmp_path / "cases"
    cases.mkdir(exist_ok=True)
    if not (cases / case.name).exists():
        (cases / case.name).symlink_to(case)
    result = tmp_path / "result.json"
    command = [sys.executable, str(FOLDER / "replay.py"), "--cases", str(cases), "--json", str(result)]
    done = subprocess.run(
        [*command, "--kubectl", str(sandbox.directory / "bin" / "kubectl"), "--kubeconfig", environment["KUBECONFIG"]],
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    found = json.loads(result.read_text())
    return found["failed"] > 0 or found["passed"] != 1, done.stdout
