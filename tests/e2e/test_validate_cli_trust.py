"""A lab that does not come with labrunner runs only when it was named, or with --yes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LAB = """\
apiVersion: labrunner/v1
kind: Lab
metadata: {id: stranger, title: A stranger, summary: Not one of ours., level: beginner, minutes: 1}
parts:
  - id: only
    title: Only
    steps:
      - id: touch
        title: Touch
        instructions: "Touch a file.\\n\\n```run:touch\\n```\\n"
        blocks:
          touch: {run: touch here}
        checks:
          - {id: here, title: It is here, file: {path: here}}
        hints: [One., Two.]
        solution: [touch]
        cleanup: [{id: remove, run: rm -f here}]
"""


def validate(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    import os

    environment = {**os.environ, "LABRUNNER_LABS": str(home / "mine")}
    return subprocess.run(
        [sys.executable, "-m", "labrunner", "validate", *words],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_an_unnamed_lab_of_somebody_elses_is_not_run_where_nobody_can_be_asked(isolated_home: Path) -> None:
    folder = isolated_home / "mine" / "stranger"
    folder.mkdir(parents=True)
    (folder / "lab.yaml").write_text(LAB)
    done = validate(isolated_home)
    assert done.returncode == 2, done.stderr
    assert "stranger" in done.stderr and "--yes" in done.stderr
    assert done.stdout == ""
