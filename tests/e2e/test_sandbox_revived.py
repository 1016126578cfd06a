"""A sandbox that dies under a running session: said, and back at the learner's next move with all that was in it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from validate_labs import write_lab

from labrunner.check.registry import kinds
from labrunner.check.result import CheckStatus
from labrunner.lab.loader import load_lab
from labrunner.run.engine import Engine
from labrunner.run.waiting import wait_for
from labrunner.target.sandbox import SandboxTarget


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    lab = load_lab(write_lab(tmp_path), kinds())
    engine = Engine(lab, SandboxTarget(instant=True), directory=tmp_path / "session")
    engine.start()
    yield engine
    engine.close("test")


def kill_sandbox(target: SandboxTarget) -> None:
    pid = target.sandbox.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: target.sandbox.runs, lambda runs: not runs, timeout=10).holds


def test_the_next_check_and_the_next_command_find_the_world_as_it_was(engine: Engine) -> None:
    assert isinstance(engine.target, SandboxTarget)
    step = engine.lab.steps[0]
    engine.enter(step)
    engine.solve(step)
    kill_sandbox(engine.target)
    assert engine.check(step).passed
    kill_sandbox(engine.target)
    assert engine.run_block(step, step.solution[0]).outcome == "ok"


def test_one_that_dies_in_mid_check_is_an_error_of_the_environment_and_no_failure(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(engine.target, SandboxTarget)
    step = engine.lab.steps[0]
    engine.enter(step)
    engine.solve(step)
    monkeypatch.setattr(engine.target, "revive", lambda: kill_sandbox(engine.target))
    result = engine.check(step).results[0]
    assert result.status is CheckStatus.ERROR
    assert "cannot be reached" in result.summary and "next check" in result.findings[0].message
