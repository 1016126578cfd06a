"""Only a plain `kubectl apply` is asked as a diff: nothing else of a solution is ever run to show it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrunner.run.solution_diff import as_diff, difference, readable
from labrunner.target.sandbox import SandboxTarget

HEREDOC = (
    "kubectl apply -f - <<{word}\nkind: ConfigMap\napiVersion: v1\nmetadata: {{name: a}}\ndata: {{is: {value}}}\nEOF\n"
)


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        ("kubectl apply -f gateway.yaml\n", "kubectl diff -f gateway.yaml"),
        ('kubectl apply -n "$NS" -f "${DIR}/a.yaml"', 'kubectl diff -n "$NS" -f "${DIR}/a.yaml"'),
        ("kubectl apply -n a \\\n  -f b.yaml", "kubectl diff -n a \\\n  -f b.yaml"),
        (HEREDOC.format(word="EOF", value="x"), HEREDOC.format(word="EOF", value="x").strip().replace("apply", "diff")),
        (HEREDOC.format(word="'EOF'", value="$(id)"), "kubectl diff"),
        (HEREDOC.format(word="EOF", value="$(rm -rf x)"), None),
        (HEREDOC.format(word="EOF", value="`id`"), None),
        (HEREDOC.format(word="EOF", value="x") + "rm -rf x\n", None),
        ("kubectl apply -f a.yaml; rm -rf x", None),
        ("kubectl apply -f a.yaml && rm x", None),
        ("kubectl apply -f $(mktemp)", None),
        ("kubectl apply -f a.yaml > out", None),
        ("kubectl apply --prune -f a.yaml", None),
        ("kubectl delete -f a.yaml", None),
        ("kubectl apply -f a.yaml\nkubectl apply -f b.yaml", None),
    ],
)
def test_what_is_asked(command: str, asked: str | None) -> None:
    found = as_diff(command)
    assert found is None if asked is None else (found or "").startswith(asked)


def test_the_servers_bookkeeping_is_no_difference() -> None:
    text = (
        "diff -u -N /tmp/LIVE-1/v1.ConfigMap.default.a /tmp/MERGED-2/v1.ConfigMap.default.a\n--- /tmp/a\n+++ /tmp/b\n"
    )
    assert readable(f"{text}@@ -1 +1 @@\n metadata:\n-  generation: 1\n+  generation: 2\n") == ""
    assert readable(f"{text}@@ -1 +1 @@\n data:\n-  is: red\n+  is: blue\n") == (
        "@ v1.ConfigMap.default.a\n data:\n-  is: red\n+  is: blue"
    )


@pytest.fixture
def target(tmp_path: Path) -> Iterator[SandboxTarget]:
    made = SandboxTarget("diff", ephemeral=True, instant=True, directory=tmp_path / "sandbox")
    made.start()
    yield made
    made.stop()


def test_a_solution_is_compared_with_the_cluster_and_changes_nothing(target: SandboxTarget, tmp_path: Path) -> None:
    environment = {**os.environ, **target.environment()}
    command = HEREDOC.format(word="EOF", value="$COLOUR")
    found = difference(command, {**environment, "COLOUR": "blue"}, tmp_path)
    assert found is not None and "+  is: blue" in found
    assert target.kube().get("v1", "ConfigMap", "a", "default") is None
    subprocess.run(["bash", "-c", command], env={**environment, "COLOUR": "red"}, check=True, capture_output=True)
    found = difference(command, {**environment, "COLOUR": "blue"}, tmp_path)
    assert found is not None and "-  is: red" in found and "+  is: blue" in found
    assert difference(command, {**environment, "COLOUR": "red"}, tmp_path) == ""
    assert difference("kubectl apply -f missing.yaml", environment, tmp_path) is None
