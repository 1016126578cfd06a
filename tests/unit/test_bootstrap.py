"""`tools/bootstrap.py`, which sets a checkout up: what goes wrong is said in a sentence, and can be tried again."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "bootstrap.py"


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool, on a checkout without an environment."""
    spec = importlib.util.spec_from_file_location("bootstrap", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "requirements").mkdir()
    for file in ("requirements/run.lock", "requirements/dev.lock", "pyproject.toml"):
        (tmp_path / file).write_text("")
    monkeypatch.setattr(module, "ROOT", tmp_path)

    def make(where: Path) -> None:
        (where / "bin").mkdir(parents=True)
        (where / "bin" / "python").symlink_to(sys.executable)

    monkeypatch.setattr(module, "make", make)
    return module


def fails(error: BaseException) -> Callable[..., None]:
    def run(*arguments: object, **options: object) -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (subprocess.CalledProcessError(1, ["python", "-m", "pip", "install"]), 3, "python -m pip install ... exited 1"),
        (OSError(28, "No space left on device"), 3, "No space left on device"),
        (KeyboardInterrupt(), 130, "set-up interrupted"),
    ],
)
def test_a_set_up_that_fails_is_said_and_not_taken_for_done(
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(bootstrap.subprocess, "run", fails(error))
    assert bootstrap.main(["run", "labrunner", "list"]) == code
    assert said in capsys.readouterr().err
    assert not bootstrap.ready(bootstrap.ROOT / ".venv", "run")


def test_a_set_up_is_done_once_and_again_when_the_lock_changes(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    started: list[tuple[str, list[str]]] = []

    def run(command: list[object], **options: object) -> subprocess.CompletedProcess[str]:
        ran.append([str(word) for word in command])
        return subprocess.CompletedProcess(command, 0, stdout=sys.version)

    monkeypatch.setattr(bootstrap.subprocess, "run", run)
    monkeypatch.setattr(bootstrap.os, "execve", lambda program, words, _: started.append((str(program), words[1:])))
    bootstrap.main(["run", "labrunner", "list"])
    installs = [words for words in ran if "install" in words]
    assert installs and "--require-hashes" in installs[0]
    assert started == [(str(bootstrap.ROOT / ".venv" / "bin" / "labrunner"), ["list"])]
    ran.clear()
    bootstrap.main(["run", "labrunner"])
    assert ran == []
    (bootstrap.ROOT / "requirements" / "run.lock").write_text("changed==1")
    bootstrap.main(["run", "labrunner"])
    assert any("install" in words for words in ran)
    ran.clear()
    python = bootstrap.ROOT / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(bootstrap.ROOT / "an-interpreter-that-was-removed")
    bootstrap.main(["run", "labrunner"])
    assert any("install" in words for words in ran)
