"""Every command says how it is called; wrong combinations are refused before any work."""

from __future__ import annotations

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
