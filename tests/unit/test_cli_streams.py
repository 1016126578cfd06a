"""The edge of every command: streams that are closed, full or in another encoding; words that were misspelt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labrunner import cli
from labrunner.errors import ExitCode


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of sh in which `labrunner` is this one."""
    return subprocess.run(
        ["/bin/sh", "-c", f'labrunner() {{ "{sys.executable}" -m labrunner "$@"; }}; {line}'],
        env={**os.environ, **environment}, capture_output=True, text=True, errors="replace", timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_changes_nothing_about_the_outcome(closed: str) -> None:
    good, bad = shell(f"labrunner list {closed}"), shell(f"labrunner show nope {closed}")
    assert (good.returncode, bad.returncode) == (0, 2)
    assert "Traceback" not in good.stderr + bad.stderr
    assert ("apim-istio" in good.stdout) == (">&-" not in closed.replace("2>&-", ""))


def test_what_is_opened_later_never_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    program = (
        "import os, sys; from labrunner.cli import streams; streams.prepare();"
        f"descriptor = os.open({str(opened)!r}, os.O_CREAT | os.O_WRONLY); print('meant for stdout', flush=True);"
        "sys.exit(0 if descriptor > 2 else 1)"
    )
    done = subprocess.run(["/bin/sh", "-c", f'"{sys.executable}" -c "{program}" >&- 2>&- <&-'], check=False)
    assert done.returncode == 0
    assert opened.read_text() == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("command", ["list", "schema", "show apim-istio"])
def test_an_output_that_is_full_is_the_environments_fault(command: str) -> None:
    done = shell(f"labrunner {command} >/dev/full")
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = shell("labrunner list --json | head -n 1")
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_an_encoding_that_lacks_our_letters_still_gets_the_text(tmp_path: Path) -> None:
    lab = tmp_path / "accents"
    lab.mkdir()
    (lab / "lab.yaml").write_text(
        "apiVersion: labrunner/v1\nkind: Lab\n"
        "metadata: {id: accents, title: Tête, summary: Ça., level: beginner, minutes: 1}\nparts: [\n"
        "  {id: p, title: P, steps: [{id: s, title: S, instructions: Éh., checks: [{id: c, env: {name: X}}],\n"
        "   hints: [a., b.], solution: [{id: x, run: 'export X=1'}]}]}]\n",
        encoding="utf-8",
    )
    done = shell(f"labrunner show {lab}", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "T\\xeate" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["valdate"], "did you mean 'validate'?"),
        (["frobnicate"], "choose from run, list"),
        (["list", "--jsno"], "did you mean '--json'?"),
        (["validate", "--junti=x"], "did you mean '--junit'?"),
        (["run", "apim-istio", "--target", "liv"], "did you mean 'live'?"),
        (["sandbox", "snapshot", "restor", "x"], "did you mean 'restore'?"),
        (["sandbox", "start", "--nmae", "x"], "did you mean '--name'?"),
        (["lint", "/dev/null"], "'/dev/null' is no YAML file"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_one_that_was_meant(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(words) == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_an_unknown_option_shows_the_usage_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["sandbox", "stop", "--nope"]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("usage: labrunner sandbox stop")


def test_an_unknown_snapshot_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["sandbox", "snapshot", "delete", "nope"]) == ExitCode.USAGE
    assert "there is no snapshot 'nope'" in capsys.readouterr().err
