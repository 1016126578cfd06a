"""The lab screen on a real sandbox: what somebody else changes in the cluster is on the screen at once."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_lab import make_library
from stage import Stage

from labrunner.lab.model import Block, Check, Lab, Part, Step
from labrunner.run.engine import Engine
from labrunner.target.kube_client import KubeApiClient
from labrunner.target.sandbox import SandboxTarget
from labrunner.tui.app import LabrunnerApp
from labrunner.tui.library import Opening


@pytest.fixture
def target(tmp_path: Path) -> Iterator[SandboxTarget]:
    made = SandboxTarget("live", ephemeral=True, instant=True, directory=tmp_path / "sandbox")
    yield made
    made.stop()


def lab(directory: Path) -> Lab:
    params = {"apiVersion": "v1", "kind": "ConfigMap", "name": "colour", "match": {"data": {"is": "blue"}}}
    step = Step(
        id="colour",
        title="Blue",
        instructions="```run:create\n```\n",
        blocks=(Block("create", "kubectl create configmap colour --from-literal=is=red", "Create it"),),
        checks=(Check("blue", "resource", params, "the ConfigMap is blue"),),
    )
    return Lab("live", "Live", "Live.", "beginner", 1, directory, (Part("one", "One", (step,)),), digest="d")


async def test_a_change_in_the_cluster_repaints_its_check_and_names_the_command(
    target: SandboxTarget, tmp_path: Path
) -> None:
    made = lab(tmp_path)
    engine = Engine(made, target, directory=tmp_path / "session")
    library = make_library()
    library.open = lambda *_args, **_more: Opening(engine)  # type: ignore[method-assign]
    app = LabrunnerApp(library, lab=made, frozen=True)
    async with app.run_test(size=(120, 36)) as pilot:
        stage = Stage(app, pilot, None, library)  # type: ignore[arg-type]
        await stage.until(lambda: stage.lab.phase == "ready", 30)
        await stage.press("r")
        await stage.shows("✘ the ConfigMap is blue", 15)
        await stage.shows("you ran   kubectl create configmap colour", 15)
        took = []
        for value, mark in (("blue", "✔"), ("green", "✘"), ("blue", "✔")):
            changed = time.monotonic()
            changer = threading.Thread(target=_set, args=(target, value))
            changer.start()
            await stage.shows(f"{mark} the ConfigMap is blue", 15)
            took.append(time.monotonic() - changed)
            changer.join()
            await stage.pilot.pause(0.4)
        assert min(took) < 0.6, took
        assert stage.lab.view.steps["colour"].state == "passed"
        assert stage.lab.view.steps["colour"].attempts == 0
        engine.close()


def _set(target: SandboxTarget, value: str) -> None:
    kubectl(target, "patch", "configmap", "colour", "-p", f'{{"data":{{"is":"{value}"}}}}')


def kubectl(target: SandboxTarget, *arguments: str) -> None:
    environment = {**os.environ, **target.environment()}
    subprocess.run(["kubectl", *arguments], env=environment, check=True, capture_output=True)


def test_a_watch_tells_changes_and_ends_when_it_is_closed(target: SandboxTarget) -> None:
    target.start()
    client = target.kube()
    assert isinstance(client, KubeApiClient)
    watch = client.watch("v1", "Namespace")
    told: list[tuple[str, str]] = []

    def listen() -> None:
        for change in watch:
            told.append((change.type, change.object["metadata"]["name"]))

    listener = threading.Thread(target=listen)
    listener.start()
    deadline = time.monotonic() + 10
    kubectl(target, "create", "namespace", "new")
    while ("ADDED", "new") not in told and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ("ADDED", "new") in told
    began = time.monotonic()
    watch.close()
    listener.join(5)
    assert not listener.is_alive() and time.monotonic() - began < 1
