"""What doctor says of a machine, and how it exits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from labrunner.cli import run
from labrunner.errors import EnvironmentFault
from labrunner.target import machine
from labrunner.target.machine import Verdict


def tool(directory: Path, name: str, script: str) -> dict[str, str]:
    """An environment with one tool on its PATH."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}"}


def test_a_missing_tool_says_how_to_get_it() -> None:
    fact = machine.tool_fact("openssl", {"PATH": "/nowhere"}, needed=True)
    assert fact.verdict is Verdict.MISSING
    assert "apt install openssl" in fact.remedy and "brew install openssl@3" in fact.remedy
    assert machine.tool_fact("openssl", {"PATH": "/nowhere"}, needed=False).verdict is Verdict.WARN
    assert machine.tool_fact("no-such-tool", {"PATH": "/nowhere"}, needed=True).remedy


def test_versions_are_asked_of_the_tool_itself(tmp_path: Path) -> None:
    env = tool(tmp_path / "bin", "openssl", "echo OpenSSL 1.0.2k")
    fact = machine.tool_fact("openssl", env, needed=True)
    assert fact.verdict is Verdict.MISSING
    assert "1.0.2k" in fact.detail and "1.1.1 or newer" in fact.detail
    env = tool(tmp_path / "bin", "curl", "echo curl 8.5.0")
    assert machine.tool_fact("curl", env, needed=True).detail.startswith("8.5.0")


@pytest.mark.parametrize(
    ("script", "words"),
    [("exit 1", "exit 1"), ("echo broken >&2; exit 2", "broken"), ("exec sleep 60", "does not say its version within")],
)
def test_a_tool_that_does_not_work_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    monkeypatch.setattr(machine, "_ANSWER_WITHIN", 0.3)
    fact = machine.tool_fact("git", tool(tmp_path / "bin", "git", script), needed=False)
    assert fact.verdict is Verdict.WARN
    assert words in fact.detail


def test_the_newer_kubectl_is_the_one_for_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = tool(tmp_path / "bundled", "kubectl", """echo '{"gitVersion": "v1.37.1"}'""")
    monkeypatch.setattr(machine, "bundled_kubectl", lambda: tmp_path / "bundled" / "kubectl")
    own = tool(tmp_path / "own", "kubectl", """echo '{"gitVersion": "v1.30.0"}'""")
    fact = machine.kubectl_fact(own)
    assert fact.detail.startswith("1.37.1") and "came with labrunner; older: 1.30.0" in fact.detail
    own = tool(tmp_path / "own", "kubectl", """echo '{"gitVersion": "v1.99.0"}'""")
    assert "your own" in machine.kubectl_fact(own).detail
    own = tool(tmp_path / "own", "kubectl", "exit 1")
    assert machine.kubectl_fact(own).verdict is Verdict.OK
    assert machine.kubectl_fact(bundled).verdict is Verdict.OK
    monkeypatch.setattr(machine, "bundled_kubectl", lambda: None)
    fact = machine.kubectl_fact({"PATH": "/nowhere"})
    assert fact.verdict is Verdict.MISSING and fact.remedy


def test_a_directory_that_cannot_be_written_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    fact = machine.directory_fact("state directory", tmp_path / "file" / "below")
    assert fact.verdict is Verdict.MISSING
    assert "LABRUNNER_HOME" in fact.remedy
    fact = machine.directory_fact("state directory", tmp_path / "not" / "yet" / "there")
    assert fact.verdict is Verdict.OK
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_a_full_disk_is_missing_and_a_nearly_full_one_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: type("U", (), {"free": 1000}))
    assert machine.directory_fact("state directory", tmp_path).verdict is Verdict.WARN

    def full(**options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", full)
    fact = machine.directory_fact("state directory", tmp_path)
    assert fact.verdict is Verdict.MISSING
    assert "No space left" in fact.detail


def test_contexts_are_named_and_a_broken_kubeconfig_is_said(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("current-context: b\ncontexts: [{name: a}, {name: b}]\n")
    assert machine.contexts_fact({"KUBECONFIG": str(path)}).detail == "a, b (current)"
    path.write_text("contexts: [")
    fact = machine.contexts_fact({"KUBECONFIG": str(path)})
    assert fact.verdict is Verdict.WARN
    assert "no YAML" in fact.detail


def test_loopback_is_there() -> None:
    assert machine.loopback_fact().verdict is Verdict.OK


def test_a_sandbox_that_does_not_start_says_why() -> None:
    def refuse() -> None:
        raise EnvironmentFault("the port is taken", hint="Free it.")

    fact = machine.sandbox_fact(refuse)
    assert (fact.verdict, fact.remedy) == (Verdict.MISSING, "Free it.")
    assert "the port is taken" in fact.detail


def test_a_labs_needs_are_looked_at(tmp_path: Path) -> None:
    env = {"PATH": "/nowhere"}
    facts = machine.lab_facts("x", ("jq",), ("kubernetes", "azure"), frozenset({"kubernetes"}), env)
    assert [(f.name, f.verdict) for f in facts] == [
        ("x: jq", Verdict.MISSING),
        ("x: kubernetes", Verdict.OK),
        ("x: azure", Verdict.WARN),
    ]


def test_doctor_prints_json_and_exits_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json", "--no-sandbox"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert {"python", "terminal", "bash", "kubectl", "state directory", "loopback"} <= {
        check["name"] for check in document["checks"]
    }


def test_doctor_exits_three_when_something_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("LABRUNNER_HOME", str(tmp_path / "file"))
    assert run(["doctor", "--no-sandbox"]) == 3
    out = capsys.readouterr()
    assert "missing state directory" in out.out
    assert "-> set LABRUNNER_HOME" in out.out
    assert "3 missing" in out.err


def test_doctor_of_an_unknown_lab_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--no-sandbox", "no-such-lab"]) == 2
    assert "no-such-lab" in capsys.readouterr().err
