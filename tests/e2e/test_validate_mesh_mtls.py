"""The bundled lab mesh-mtls: proven as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
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


TO_OPERATIONS = """\
      to:
        - operation:
            methods: [GET, POST]
            paths: [/anything/payments/*]
"""
FROM_ORDER = """\
    - from:
        - source:
            principals: [cluster.local/ns/tenant-a/sa/order]
      to:
"""


@needs_its_features
@pytest.mark.parametrize(
    ("part", "step", "block", "old", "new", "caught"),
    [
        ("encryption", "strict", "strict-a", "mode: STRICT", "mode: PERMISSIVE", {"outsider"}),
        ("authorization", "allow", "allow-order", TO_OPERATIONS, "", {"order-deletes", "order-elsewhere"}),
        ("authorization", "allow", "allow-order", FROM_ORDER, "    - to:\n", {"notify-reads"}),
        ("authorization", "tenants", "same-tenant", "[tenant-b]", "[tenant-b, tenant-a]", {"borders"}),
    ],
    ids=["plain text let in", "every operation", "every caller", "the neighbours too"],
)
def test_a_weakened_solution_is_caught_by_traffic(
    tmp_path: Path, part: str, step: str, block: str, old: str, new: str, caught: set[str]
) -> None:
    """What the solution applies still is accepted by the cluster, but lets more through: requests show it."""
    for folder in ("labs", "assets"):
        shutil.copytree(bundled_root() / folder / LAB, tmp_path / folder / LAB)
    shutil.copytree(bundled_root() / "checks", tmp_path / "checks")
    file = tmp_path / "labs" / LAB / "parts" / f"{part}.yaml"
    content = yaml.safe_load(file.read_text())
    weakened = next(one for one in content["steps"] if one["id"] == step)
    del weakened["mistakes"]
    weakened.pop("targetedHints", None)
    run = weakened["blocks"][block]["run"]
    assert run.count(old) == 1
    weakened["blocks"][block]["run"] = run.replace(old, new)
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    done = labrunner("validate", str(file.parents[1]), "--step", step, "--yes", "--json", "-", timeout=200)
    assert done.returncode == 1, done.stdout + done.stderr
    [proven] = json.loads(done.stdout)["labs"][0]["steps"]
    after = next(proof for proof in proven["proofs"] if proof["proof"] == "passes-after")
    assert after["status"] == "failed"
    assert all(f"'{check}'" in after["message"] for check in caught), after["message"]
