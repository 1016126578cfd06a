"""The commands that the sandbox puts on the learner's PATH."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from labrunner.sandbox import bin as sandbox_bin


def tool(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "openssl").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "openssl").chmod(0o755)


def test_openssl_has_a_front_only_where_there_is_an_openssl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands, own = tmp_path / "sandbox" / "bin", tmp_path / "own"
    tool(own, 'echo "really: $*"')
    monkeypatch.setenv("PATH", os.pathsep.join([str(commands), str(own), "/usr/bin", "/bin"]))
    sandbox_bin.install(commands)
    done = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True)
    assert done.stdout == "really: version\n"
    monkeypatch.setenv("PATH", os.pathsep.join([str(commands), str(tmp_path / "nothing")]))
    sandbox_bin.install(commands)
    assert not (commands / "openssl").exists()
    assert {"istioctl", "labrunner"} <= {each.name for each in commands.iterdir()}
