"""`labrunner reset` removes what the lab made in the sandbox, by the lab's own cleanup."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from validate_labs import labrunner, left_of, write_lab

from labrunner.check.registry import kinds
from labrunner.lab.loader import load_lab
from labrunner.lab.trust import trust
from labrunner.run.engine import Engine
from labrunner.run.waiting import wait_for
from labrunner.target.sandbox import SandboxTarget


def test_objects_files_and_progress_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_lab(tmp_path / "labs")
    monkeypatch.setenv("LABRUNNER_LABS", str(tmp_path / "labs"))
    lab = load_lab(folder, kinds())
    trust(lab)
    target = SandboxTarget()
    engine = Engine(lab, target)
    engine.start()
    try:
        for step in lab.steps:
            engine.enter(step)
            engine.solve(step)
            assert engine.check(step).passed
    finally:
        engine.close()
    shown = labrunner("progress", "--json")
    assert json.loads(shown.stdout)["sessions"][0]["passed"] == 2
    done = labrunner("reset", "small", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["deleted"][0]["left"] == []
    assert not engine.directory.exists()
    target.start()
    try:
        assert target.kube().get("v1", "ConfigMap", "settings") is None
    finally:
        target.stop()
    left = wait_for(lambda: left_of(Path(os.environ["LABRUNNER_HOME"])), lambda found: not found, timeout=5)
    assert left.last == []
