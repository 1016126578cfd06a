"""The screens of the mesh on the real lab mesh-mtls: what Envoy did is on the map, a policy shows before the next
request, and a denial is traced to it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_lab import make_library
from stage import Stage

from labrunner.check.registry import kinds
from labrunner.errors import EnvironmentFault
from labrunner.lab.catalogue import read_catalogue
from labrunner.run.engine import Engine
from labrunner.sandbox.mesh.envoy import find_envoy
from labrunner.target.sandbox import SandboxTarget
from labrunner.tui.app import LabrunnerApp
from labrunner.tui.library import Opening
from labrunner.tui.screens.composer import ComposerScreen
from labrunner.tui.screens.lab import LabScreen
from labrunner.tui.screens.matrix import MatrixScreen
from labrunner.tui.screens.mesh import MeshScreen
from labrunner.tui.screens.mesh_node import NodeScreen
from labrunner.tui.screens.trace import TraceScreen

LONG = 120.0
DENY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody, namespace: tenant-a}
spec: {}
"""
CALL = ("tenant-a/order", "tenant-a/payment-v1")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[SandboxTarget]:
    try:
        find_envoy()
    except EnvironmentFault as error:
        pytest.skip(error.message)
    made = SandboxTarget("map", ephemeral=True, instant=True, directory=tmp_path / "sandbox")
    yield made
    made.stop()


def apply(target: SandboxTarget, manifest: str) -> None:
    environment = {**os.environ, **target.environment()}
    subprocess.run(["kubectl", "apply", "-f", "-"], input=manifest, text=True, env=environment, check=True)


async def test_the_lab_s_mesh_is_drawn_measured_and_traced(target: SandboxTarget, tmp_path: Path) -> None:
    lab = next(lab for lab in read_catalogue(kinds()).labs if lab.id == "mesh-mtls")
    engine = Engine(lab, target, directory=tmp_path / "session")
    library = make_library()
    library.open = lambda *_args, **_more: Opening(engine)  # type: ignore[method-assign]
    app = LabrunnerApp(library, lab=lab, frozen=True)
    async with app.run_test(size=(160, 48)) as pilot:
        stage = Stage(app, pilot, None, library)  # type: ignore[arg-type]
        await stage.until(lambda: stage.lab.phase == "ready", LONG)
        await asyncio.to_thread(engine.solve, lab.steps[0])

        await stage.press("m")
        await stage.shows("╭─ tenant-a ─", LONG)
        await stage.shows("● payment-v1", LONG)
        await stage.press("x", "r")
        await stage.until(lambda: isinstance(app.screen, MatrixScreen), LONG)
        desk = stage.lab.desk
        assert desk is not None
        await stage.until(lambda: desk.matrix and desk.matrix.cells and not desk.matrix.running, LONG)
        matrix = desk.matrix
        assert matrix is not None and len(matrix.cells) == matrix.count
        found = {
            (matrix.callers[row].id, matrix.goals[column].host): exchange
            for (row, column), exchange in matrix.cells.items()
        }
        assert found["tenant-a/order", "payment.tenant-a"].state == "allowed"
        assert found["tenant-a/order", "payment.tenant-a"].mtls is True
        assert found["outside/legacy", "payment.tenant-a"].mtls is False
        assert found["tenant-a/payment-v1", "payment.tenant-a"].state == "fault"

        await stage.press("escape")
        screen = app.screen
        assert isinstance(screen, MeshScreen)

        def state() -> str:
            edge = screen.picture.edge(CALL)
            return edge.state if edge is not None else ""

        await stage.until(lambda: state() == "allowed", LONG)
        apply(target, DENY)
        await stage.until(lambda: state() == "expect-denied", LONG)
        assert "◆✘?" in stage.text()

        screen.map.choose(CALL)
        await stage.press("s")
        await stage.until(lambda: state() == "denied", LONG)
        await stage.press("t")
        await stage.until(lambda: isinstance(app.screen, TraceScreen), LONG)
        await stage.shows("tenant-a/nobody", LONG)
        assert "decided here" in stage.text()

        await stage.press("escape")
        screen.map.choose("tenant-a/payment-v1")
        await stage.press("enter")
        await stage.until(lambda: isinstance(app.screen, NodeScreen), LONG)
        await stage.shows("spiffe://cluster.local/ns/tenant-a/sa/default", LONG)
        await stage.shows("tenant-a/nobody", LONG)

        await stage.press("escape")
        screen.map.choose(CALL)
        await stage.press("a")
        await stage.until(lambda: isinstance(app.screen, ComposerScreen), LONG)
        await stage.press("f5")
        await stage.shows("RBAC: access denied", LONG)

        await stage.press("escape", "escape")
        await stage.until(lambda: isinstance(app.screen, LabScreen), LONG)
        assert "to tenant-a" in stage.text()
        engine.close()
