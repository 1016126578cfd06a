"""Time from asking to be back at the start of a step on the sandbox. Usage: bench/step_restore.py [RUNS]"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from figures import Figures

from labrunner.lab.model import Block, Lab, Part, Step
from labrunner.run.engine import Engine
from labrunner.target.sandbox import SandboxTarget

LIMIT = 500.0
"""Milliseconds."""


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    took: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        os.environ["LABRUNNER_HOME"] = name
        step = Step("one", "One", "")
        lab = Lab("bench", "Bench", "", "beginner", 1, directory, (Part("p", "P", (step,)),), digest="d")
        target = SandboxTarget("bench", ephemeral=True, instant=True, directory=directory / "sandbox")
        engine = Engine(lab, target, directory=directory / "session")
        engine.start()
        try:
            engine.enter(step)
            for number in range(runs):
                run = f"kubectl create deployment web{number} --image nginx --replicas 3; export N={number}; touch f"
                engine.run_block(step, Block("make", run))
                began = time.perf_counter()
                engine.go_back(step)
                took.append((time.perf_counter() - began) * 1000)
        finally:
            engine.close()
    figures = Figures()
    figures.add("back at the start of a step", statistics.median(took), "ms", LIMIT)
    figures.add("the slowest of them", max(took), "ms", LIMIT)
    sys.exit(figures.missed)


if __name__ == "__main__":
    main()
