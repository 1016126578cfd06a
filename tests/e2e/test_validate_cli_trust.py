"""A lab that does not come with labrunner is asked about before it runs; where nobody can be asked, --yes is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

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
    environment = {**os.environ, "LABRUNNER_LABS": str(home / "mine")}
    return subprocess.run(
        [sys.executable, "-m", "labrunner", "validate", *words],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def stranger(isolated_home: Path) -> Path:
    folder = isolated_home / "mine" / "stranger"
    folder.mkdir(parents=True)
    (folder / "lab.yaml").write_text(LAB.replace("touch here}", f"touch here {isolated_home}/ran}}"))
    return folder


@pytest.mark.parametrize("named", [[], ["stranger"], ["mine/stranger"]])
def test_it_is_not_run_where_nobody_can_be_asked(isolated_home: Path, stranger: Path, named: list[str]) -> None:
    done = validate(isolated_home, *[str(isolated_home / name) if "/" in name else name for name in named])
    assert done.returncode == 2, done.stderr
    assert str(stranger) in done.stderr and "--yes" in done.stderr and "apim-istio" not in done.stderr
    assert done.stdout == "" and not (isolated_home / "ran").exists()


def test_yes_runs_it_and_is_no_consent_for_the_next_time(isolated_home: Path, stranger: Path) -> None:
    done = validate(isolated_home, str(stranger), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (isolated_home / "ran").exists()
    assert validate(isolated_home, str(stranger)).returncode == 2


def test_a_consent_given_on_a_terminal_holds_until_the_lab_changes(isolated_home: Path, stranger: Path) -> None:
    asked = pexpect.spawn(
        sys.executable, ["-m", "labrunner", "validate", str(stranger)], encoding="utf-8", timeout=60,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    asked.expect("touch here")
    asked.expect_exact("[y/N]")
    assert not (isolated_home / "ran").exists()
    asked.sendline("y")
    asked.expect(pexpect.EOF)
    asked.close()
    assert asked.exitstatus == 0
    assert validate(isolated_home, str(stranger)).returncode == 0
    lab = stranger / "lab.yaml"
    lab.write_text(lab.read_text().replace("rm -f here", "rm -rf here"))
    assert validate(isolated_home, str(stranger)).returncode == 2
