"""`labrunner run` and bare `labrunner`: what they say where no screen can be drawn."""

from __future__ import annotations

import io
import sys

import pytest

from labrunner.cli import catalogue, run
from labrunner.errors import ExitCode


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that say they are a terminal."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(getattr(sys, name), "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_an_unknown_lab_is_usage_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "apim-isto"]) == ExitCode.USAGE
    assert "apim-istio" in capsys.readouterr().err


def test_without_a_terminal_it_names_the_headless_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "apim-istio"]) == ExitCode.ENVIRONMENT
    said = capsys.readouterr().err
    assert "needs a terminal" in said and "labrunner validate apim-istio" in said


@pytest.mark.usefixtures("terminal")
def test_a_dumb_terminal_is_told_apart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    from labrunner.cli import run_command

    monkeypatch.setattr(run_command, "has_terminal", lambda: True)
    assert run(["run", "apim-istio"]) == ExitCode.ENVIRONMENT
    assert "TERM=dumb" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["run", "apim-istio", "--target", "live"], "--context NAME"),
        (["run", "apim-istio", "--context", "x"], "--target live"),
        (["run", "apim-istio", "--target", "moon"], "invalid choice"),
        (["run"], "LAB"),
    ],
)
def test_options_that_do_not_fit_are_usage(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argv) == ExitCode.USAGE
    assert says in capsys.readouterr().err


def test_an_unknown_step_is_usage_with_the_nearest_name() -> None:
    from labrunner.cli.run_command import read_lab
    from labrunner.errors import UsageError
    from labrunner.lab.content import find_lab

    lab = read_lab(find_lab("apim-istio"), None)
    wrong = lab.steps[0].id[:-1]
    with pytest.raises(UsageError) as caught:
        read_lab(find_lab("apim-istio"), wrong)
    assert lab.steps[0].id in caught.value.hint


def test_bare_labrunner_without_a_terminal_validates_the_first_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    from labrunner.cli import validate_command

    asked: list[list[str]] = []

    def execute(args: object) -> ExitCode:
        asked.append(list(getattr(args, "labs", [])))
        return ExitCode.CHECK_FAILED

    monkeypatch.setattr(validate_command, "execute", execute)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert catalogue.execute() is ExitCode.CHECK_FAILED
    assert asked == [["apim-istio"]]


def test_the_core_runs_without_the_interface() -> None:
    import subprocess

    code = "import sys, labrunner.run.engine, labrunner.lab.loader; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
