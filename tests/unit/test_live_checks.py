"""Checks look again by themselves; a failure names the command that led there."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from run_fakes import KINDS, FakeKube, FakeTarget, block, lab_of, write_step

from labrunner.check.kind import CheckContext
from labrunner.check.result import Finding
from labrunner.lab.model import Check, Lab, Step
from labrunner.run import events
from labrunner.run.engine import Engine
from labrunner.run.live_checks import kinds_in
from labrunner.run.session import StepState
from labrunner.run.waiting import wait_for
from labrunner.target.base import Change


class Feed:
    """A watch that tells what is put in."""

    def __init__(self) -> None:
        self.changes: queue.Queue[Change | None] = queue.Queue()
        self.closed = False

    def __iter__(self) -> Iterator[Change]:
        while (change := self.changes.get()) is not None:
            yield change

    def close(self) -> None:
        self.closed = True
        self.changes.put(None)


class WatchedKube(FakeKube):
    def __init__(self) -> None:
        self.replicas = 1
        self.feeds: dict[str, Feed] = {}

    def watch(self, api_version: str, kind: str) -> Feed:
        self.feeds[kind] = Feed()
        return self.feeds[kind]

    def scale(self, replicas: int, status: str = "") -> None:
        self.replicas = replicas
        self.feeds["Deployment"].changes.put(Change("MODIFIED", deployment(replicas, status)))


def deployment(replicas: int, status: str = "") -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "shop", "resourceVersion": str(time.monotonic_ns())}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}, "status": {"note": status}}


class Replicas:
    """The one Deployment has `replicas`."""

    name = "replicas"
    params_schema: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.asked = 0
        self.running = 0
        self.most = 0
        self.slow = 0.0
        self._lock = threading.Lock()

    def evaluate(self, params: Any, context: CheckContext) -> list[Finding]:
        with self._lock:
            self.asked += 1
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(self.slow)
        kube: Any = context.target.kube()
        with self._lock:
            self.running -= 1
        if kube.replicas == params["replicas"]:
            return []
        where = "Deployment shop/web: spec.replicas"
        return [Finding("different", "Too few.", str(params["replicas"]), str(kube.replicas), where)]

    def describe(self, params: Any) -> str:
        return "replicas"

    def lint(self, params: Any) -> list[str]:
        return []


@pytest.fixture
def kind() -> Replicas:
    return Replicas()


@pytest.fixture
def kube() -> WatchedKube:
    return WatchedKube()


@pytest.fixture
def engine(tmp_path: Path, kind: Replicas, kube: WatchedKube) -> Iterator[Engine]:
    target = FakeTarget()
    target.kube = lambda: kube  # type: ignore[method-assign,assignment,return-value]
    made = Engine(lab(tmp_path), target, kinds={**KINDS, "replicas": kind}, directory=tmp_path / "session")
    made.start()
    yield made
    made.close()


def lab(directory: Path) -> Lab:
    params = {"apiVersion": "apps/v1", "kind": "Deployment", "replicas": 3}
    scale = Step(id="scale", title="", instructions="", checks=(Check("three", "replicas", params),))
    return lab_of(scale, write_step(), directory=directory)


def until(holds: Any, seconds: float = 5.0) -> None:
    assert wait_for(lambda: holds(), bool, timeout=seconds).holds


def test_a_step_passes_by_itself_soon_after_the_cluster_changed_and_regresses_when_it_breaks(
    engine: Engine, kube: WatchedKube
) -> None:
    said: list[tuple[float, events.Event]] = []
    engine.subscribe(lambda event: said.append((time.monotonic(), event)))
    engine.enter(engine.lab.steps[0])
    engine.go_live()
    until(lambda: "Deployment" in kube.feeds and any(isinstance(e, events.CheckFinished) for _, e in said))
    assert engine.session.state("scale") is StepState.CURRENT
    changed = time.monotonic()
    kube.scale(3)
    until(lambda: engine.session.state("scale") is StepState.PASSED)
    at = next(at for at, e in said if isinstance(e, events.StepStateChanged))
    assert at - changed < 0.3
    assert engine.session.record("scale").attempts == 0
    engine.enter(engine.lab.steps[1])
    kube.scale(1)
    until(lambda: engine.session.state("scale") is StepState.REGRESSED)
    kube.scale(3)
    until(lambda: engine.session.state("scale") is StepState.PASSED)


def test_a_failure_names_the_command_that_changed_the_object(engine: Engine, kube: WatchedKube) -> None:
    step = engine.lab.steps[0]
    kube.replicas = 3
    engine.enter(step)
    engine.go_live()
    until(lambda: engine.session.state("scale") is StepState.PASSED and "Deployment" in kube.feeds)
    said: list[events.Event] = []
    engine.subscribe(said.append)
    started = threading.Event()
    engine.subscribe(lambda e: started.set() if isinstance(e, events.BlockStarted) else None)
    runner = threading.Thread(target=engine.run_block, args=(step, block("shrink", "echo scale; sleep 0.5")))
    runner.start()
    started.wait(5)
    kube.scale(1)
    until(lambda: any(isinstance(e, events.CheckCaused) for e in said))
    runner.join()
    engine.run_block(step, block("later", "true"))
    kube.scale(2)  # nobody's command: too long after
    cause = next(e for e in said if isinstance(e, events.CheckCaused))
    assert (cause.check, cause.command) == ("three", "echo scale; sleep 0.5")


def test_a_burst_of_changes_is_few_looks_and_never_two_at_once(
    engine: Engine, kube: WatchedKube, kind: Replicas
) -> None:
    engine.enter(engine.lab.steps[0])
    engine.go_live()
    until(lambda: "Deployment" in kube.feeds and kind.asked)
    kind.slow = 0.2
    before = kind.asked
    for number in range(200):
        kube.scale(1, status=str(number))
    kube.scale(3)
    until(lambda: engine.session.state("scale") is StepState.PASSED)
    assert kind.asked - before <= 3
    assert kind.most == 1


def test_files_are_looked_at_after_each_command(engine: Engine) -> None:
    step = engine.lab.steps[1]
    engine.enter(step)
    engine.go_live()
    engine.run_block(step, step.blocks[0])
    until(lambda: engine.session.state(step.id) is StepState.PASSED)


def test_closing_ends_the_watches(engine: Engine, kube: WatchedKube) -> None:
    engine.enter(engine.lab.steps[0])
    engine.go_live()
    until(lambda: "Deployment" in kube.feeds)
    engine.close()
    until(lambda: kube.feeds["Deployment"].closed)
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith(("labrunner-live", "labrunner-watch"))])


def test_a_check_that_waits_ends_when_it_is_told_to(engine: Engine, tmp_path: Path) -> None:
    step = Step(
        id="scale", title="", instructions="",
        checks=(Check("never", "says", {"file": "no", "text": "x"}, wait=60.0),),
    )  # fmt: skip
    waiting = threading.Event()
    engine.subscribe(lambda e: waiting.set() if isinstance(e, events.CheckStarted) else None)
    threading.Timer(0.0, lambda: (waiting.wait(5), engine.stop_waiting())).start()
    began = time.monotonic()
    assert not engine.check(step).passed
    assert time.monotonic() - began < 5


def test_the_kinds_a_check_names_are_found_at_any_depth() -> None:
    params = {
        "apiVersion": "v1", "kind": "Pod", "source": {"secret": {"name": "tls"}},
        "any": [{"apiVersion": "apps/v1", "kind": "Deployment"}],
    }  # fmt: skip
    assert set(kinds_in(params)) == {("v1", "Pod"), ("v1", "Secret"), ("apps/v1", "Deployment")}
