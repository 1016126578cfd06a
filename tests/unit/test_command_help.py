"""Every command says how it is called; wrong combinations are refused before any work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labrunner import cli
from labrunner.errors import ExitCode

SANDBOX_ACTIONS = ("start", "stop", "status", "env", "exec", "snapshot")


@pytest.mark.parametrize(
    "words", [[], *([name] for name in cli.COMMANDS), *(["sandbox", action] for action in SANDBOX_ACTIONS)]
)
def test_help_has_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*words, "--help"]) == ExitCode.OK
    _, _, example = capsys.readouterr().out.partition("example")
    assert " ".join(["labrunner", *words]) in example


@pytest.mark.parametrize("words", [["--target", "live"], ["--context", "kind-kind"]])
def test_validate_wants_a_live_cluster_named_and_named_only_when_used(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["validate", *words]) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert "live" in error and "--context" in error


@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_context_that_is_not_there_is_wrong_usage(
    command: str, isolated_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [command, "apim-istio", "--target", "live", "--context", "kind-knd"]
    assert cli.run(words) == ExitCode.USAGE
    assert "does KUBECONFIG name the right file?" in capsys.readouterr().err
    Path(os.environ["KUBECONFIG"]).write_text("contexts: [{name: kind-kind, context: {cluster: c}}]")
    assert cli.run(words) == ExitCode.USAGE
    assert "Did you mean kind-kind?" in capsys.readouterr().err
    Path(os.environ["KUBECONFIG"]).write_text("contexts: [")
    assert cli.run(words) == ExitCode.ENVIRONMENT
    assert "is no YAML" in capsys.readouterr().err


def test_a_sandbox_that_does_not_run_cannot_be_traced(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["trace", "https://shop.example"]) == ExitCode.ENVIRONMENT
    assert "labrunner sandbox start" in capsys.readouterr().err
