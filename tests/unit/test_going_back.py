"""Each step begins with a checkpoint: restart, go back, jump ahead, undo."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_fakes import KINDS, FakeTarget, block, lab_of, write_step

from labrunner.check.registry import kinds
from labrunner.errors import LabrunnerError
from labrunner.lab.model import Check, Lab, Step
from labrunner.run.engine import Engine
from labrunner.run.session import StepState
from labrunner.target.sandbox import SandboxTarget


def step_of(name: str) -> Step:
    params = {"apiVersion": "v1", "kind": "ConfigMap", "name": name}
    return Step(
        id=name,
        title=name.title(),
        instructions="",
        checks=(Check("there", "resource", params), Check("file", "says", {"file": name, "text": "hello"})),
        solution=(block(f"do-{name}", f"kubectl create configmap {name} && echo hello > {name}; export DID={name}"),),
        cleanup=(block(f"clean-{name}", f"kubectl delete configmap {name}; rm -f {name}"),),
    )  # fmt: skip


def lab(directory: Path) -> Lab:
    return lab_of(step_of("one"), step_of("two"), step_of("three"), directory=directory)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    target = SandboxTarget("back", ephemeral=True, instant=True, directory=tmp_path / "sandbox")
    made = Engine(lab(tmp_path), target, kinds={**kinds(), **KINDS}, directory=tmp_path / "session")
    made.start()
    yield made
    made.close()


def objects(engine: Engine) -> list[str]:
    found = engine.target.kube().list("v1", "ConfigMap", "default")
    return sorted(o["metadata"]["name"] for o in found if o["metadata"]["name"] != "kube-root-ca.crt")


def files(engine: Engine) -> list[str]:
    return sorted(path.name for path in engine.workdir.iterdir())


def do(engine: Engine, step: Step) -> None:
    engine.enter(step)
    engine.solve(step)
    assert engine.check(step).passed


def test_going_back_restores_cluster_files_and_shell_quickly_and_undo_undoes_it(engine: Engine) -> None:
    one, two, three = engine.lab.steps
    do(engine, one)
    do(engine, two)
    engine.enter(three)
    plan = engine.plan_back(two)
    assert plan is not None and plan.whole and plan.reopened == ("two",) and not plan.cleanup
    began = time.monotonic()
    engine.go_back(two)
    took = time.monotonic() - began
    assert (objects(engine), files(engine)) == (["one"], ["one"])
    assert engine.shell.environment["DID"] == "one"
    assert engine.session.state("one") is StepState.PASSED and engine.session.state("two") is StepState.CURRENT
    assert not engine.session.record("two").results
    assert engine.session.record("two").attempts == 1
    assert took < 2, took
    assert engine.can_undo
    assert engine.undo() == "three"
    assert (objects(engine), files(engine)) == (["one", "two"], ["one", "two"])
    assert engine.shell.environment["DID"] == "two"
    assert engine.session.state("two") is StepState.PASSED
    assert not engine.can_undo
    with pytest.raises(LabrunnerError, match="nothing to undo"):
        engine.undo()


def test_a_step_is_restarted_as_often_as_one_likes(engine: Engine) -> None:
    one = engine.lab.steps[0]
    engine.enter(one)
    for _ in range(2):
        engine.solve(one)
        engine.enter(one)  # looking at it again keeps the beginning that was kept
        engine.go_back(one)
        assert (objects(engine), files(engine)) == ([], [])


def test_jumping_ahead_does_the_steps_before_and_can_be_undone(engine: Engine) -> None:
    one, two, three = engine.lab.steps
    engine.enter(one)
    assert [step.id for step in engine.steps_before(three)] == ["one", "two"]
    engine.jump_to(three)
    assert objects(engine) == ["one", "two"] and engine.current == three
    assert [str(engine.session.state(i)) for i in ("one", "two")] == ["passed", "passed"]
    engine.go_back(two)
    assert objects(engine) == ["one"]
    engine.jump_to(three)
    assert engine.undo() == "two"
    assert objects(engine) == ["one"]


def test_a_jump_whose_step_does_not_pass_stops_there_and_says_which(engine: Engine) -> None:
    one, _, three = engine.lab.steps
    engine.enter(one)
    environment = {**os.environ, **engine.target.environment()}
    subprocess.run(["kubectl", "create", "configmap", "two"], env=environment, check=True, capture_output=True)
    with pytest.raises(LabrunnerError, match="Two"):
        engine.jump_to(three)
    assert engine.current is not None and engine.current.id == "two"
    engine.undo()
    assert engine.current is not None and engine.current.id == "one"


def test_what_was_only_looked_at_is_kept_anew_when_it_is_begun(engine: Engine) -> None:
    one, two, _ = engine.lab.steps
    engine.enter(one)
    engine.enter(two)  # a peek
    do(engine, one)
    do(engine, two)
    engine.go_back(two)
    assert objects(engine) == ["one"]


def test_a_target_without_snapshots_runs_the_cleanup_and_says_so(tmp_path: Path) -> None:
    engine = Engine(lab_of(write_step(), directory=tmp_path), FakeTarget(), kinds=KINDS, directory=tmp_path / "session")
    engine.start()
    try:
        step = engine.lab.steps[0]
        engine.enter(step)
        engine.solve(step)
        plan = engine.plan_back(step)
        assert plan is not None and not plan.whole and [b.id for b in plan.cleanup] == ["remove"]
        engine.go_back(step)
        assert files(engine) == []
    finally:
        engine.close()


def test_without_snapshots_what_a_cleanup_takes_from_earlier_steps_is_made_again(tmp_path: Path) -> None:
    greedy = write_step("two", "second")
    greedy = dataclasses.replace(greedy, cleanup=(block("all", 'rm -f second "$WORLD"/*'),))
    first = dataclasses.replace(
        write_step("one", "first"), solution=(block("solve", 'echo hello > first; touch "$WORLD/first"'),)
    )
    world = tmp_path / "world"
    world.mkdir()
    setup = (block("prepare", 'touch "$WORLD/prepared"'),)
    lab = dataclasses.replace(lab_of(first, greedy, directory=tmp_path), setup=setup)
    engine = Engine(lab, FakeTarget(given={"WORLD": str(world)}), kinds=KINDS, directory=tmp_path / "session")
    engine.start()
    try:
        one, two = engine.lab.steps
        do(engine, one)
        engine.enter(two)
        engine.solve(two)
        plan = engine.plan_back(two)
        assert plan is not None and [b.id for b in plan.again] == ["prepare", "solve"]
        engine.go_back(two)
        assert sorted(path.name for path in world.iterdir()) == ["first", "prepared"]
        assert files(engine) == ["first"]
    finally:
        engine.close()


def test_a_step_never_begun_has_nothing_to_go_back_to(engine: Engine) -> None:
    assert engine.plan_back(engine.lab.steps[2]) is None
