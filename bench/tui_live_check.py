"""Time from a change in the cluster to its check repainted on the lab screen. Usage: bench/tui_live_check.py [RUNS]"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from figures import Figures

from labrunner.lab.model import Check, Lab, Part, Step
from labrunner.run.engine import Engine
from labrunner.target.sandbox import SandboxTarget
from labrunner.tui.app import LabrunnerApp
from labrunner.tui.installed_library import InstalledLibrary
from labrunner.tui.library import Opening
from labrunner.tui.screens.lab import LabScreen

LIMIT = 300.0
"""Milliseconds."""
PATH = "/api/v1/namespaces/default/configmaps"


class OneEngine(InstalledLibrary):
    """Opens the engine it was given, without asking."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def trusted(self, lab: Lab) -> bool:
        return True

    def open(self, *_given: object, **_more: object) -> Opening:
        return Opening(self.engine)


async def measure(runs: int, directory: Path) -> list[float]:
    params = {"apiVersion": "v1", "kind": "ConfigMap", "name": "colour", "match": {"data": {"is": "blue"}}}
    step = Step("colour", "Blue", "Make it blue.", checks=(Check("blue", "resource", params, "it is blue"),))
    lab = Lab("bench", "Bench", "Bench.", "beginner", 1, directory, (Part("one", "One", (step,)),), digest="d")
    target = SandboxTarget("bench", ephemeral=True, instant=True, directory=directory / "sandbox")
    engine = Engine(lab, target, directory=directory / "session")
    app = LabrunnerApp(OneEngine(engine), lab=lab, frozen=True)
    took: list[float] = []
    async with app.run_test(size=(120, 36)):

        async def painted(mark: str) -> None:
            while not any(f"{mark} it is blue" in line for line in text(app)):
                await asyncio.sleep(0.005)

        def change(method: str, path: str, colour: str) -> None:
            transport = engine.target.kube()._connect()  # type: ignore[attr-defined]
            kind = "application/json" if method == "POST" else "application/merge-patch+json"
            body = json.dumps({"metadata": {"name": "colour"}, "data": {"is": colour}})
            answer = transport.pool.request(
                method, transport.server + path, body=body, headers={"Content-Type": kind, **transport.headers()}
            )
            assert answer.status < 300, answer.data

        while not isinstance(app.lab_screen, LabScreen) or app.lab_screen.phase != "ready":
            await asyncio.sleep(0.02)
        change("POST", PATH, "red")
        engine.check(step)
        await painted("✘")
        for number in range(runs):
            await asyncio.sleep(0.5)
            colour, mark = (("blue", "✔"), ("red", "✘"))[number % 2]
            began = time.perf_counter()
            change("PATCH", f"{PATH}/colour", colour)
            await painted(mark)
            took.append(time.perf_counter() - began)
        engine.close()
    return took


def text(app: LabrunnerApp) -> list[str]:
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as directory:
        os.environ["LABRUNNER_HOME"] = directory
        took = asyncio.run(measure(runs, Path(directory)))
    figures = Figures()
    figures.add("change in the cluster to check repainted", statistics.median(took) * 1000, "ms", LIMIT)
    figures.add("the slowest of them", max(took) * 1000, "ms", LIMIT)
    sys.exit(figures.missed)


if __name__ == "__main__":
    main()
