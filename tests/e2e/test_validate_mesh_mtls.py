"""The bundled lab mesh-mtls: proven as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from validate_labs import labrunner

from labrunner.lab.content import bundled_root, find_lab
from labrunner.lab.loader import load_lab
from labrunner.target.sandbox import sandbox_features

LAB = "mesh-mtls"
ALLOWED_SECONDS = 120.0
"""Twice what the whole lab takes on two busy cores, setup and cleanup included."""


def lacking() -> set[str]:
    return set(load_lab(find_lab(LAB)).requires.features) - sandbox_features()


needs_its_features = pytest.mark.skipif(bool(lacking()), reason=f"the sandbox here lacks {sorted(lacking())}")


@needs_its_features
def test_every_step_check_hint_and_mistake_is_proven() -> None:
    done = labrunner("validate", LAB, "--json", "-", timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    data: dict[str, Any] = json.loads(done.stdout)
    assert data["result"] == "passed"
    assert {status for status, number in data["proofs"].items() if number} == {"passed"}
    lab = load_lab(find_lab(LAB))
    assert [step["id"] for step in data["labs"][0]["steps"]] == [step.id for step in lab.steps]
    for step, proven in zip(lab.steps, data["labs"][0]["steps"], strict=True):
        names = {proof["proof"] for proof in proven["proofs"]}
        wanted = {"fails-before", "solution", "passes-after", "idempotent"}
        assert names >= wanted | {f"mistake:{mistake.id}" for mistake in step.mistakes}, step.id
        assert len(step.mistakes) >= 2, step.id
    assert data["labs"][0]["seconds"] < ALLOWED_SECONDS


@needs_its_features
def test_the_commands_that_only_show_something_run(tmp_path: Path) -> None:
    """They belong to no solution: each is added to its step's, and must end with 0."""
    for folder in ("labs", "assets"):
        shutil.copytree(bundled_root() / folder / LAB, tmp_path / folder / LAB)
    shutil.copytree(bundled_root() / "checks", tmp_path / "checks")
    shown = 0
    for step in load_lab(find_lab(LAB)).steps:
        solving = [block.id for block in step.solution]
        extra = [block.id for block in step.blocks if block.id not in solving]
        shown += len(extra)
        for file in (tmp_path / "labs" / LAB / "parts").iterdir():
            text = file.read_text()
            if f"  - id: {step.id}\n    title:" in text:
                head, own, rest = text.partition(f"  - id: {step.id}\n    title:")
                old = f"    solution: [{', '.join(solving)}]\n"
                assert old in rest
                file.write_text(head + own + rest.replace(old, f"    solution: [{', '.join([*solving, *extra])}]\n", 1))
    assert shown > 10
    done = labrunner("validate", "--yes", str(tmp_path / "labs" / LAB), timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
