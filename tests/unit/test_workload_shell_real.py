"""The shells of pretended containers against the real ones of this machine, snippet by snippet.

`shell_snippets.txt`: programs for `sh -c`, parted by lines of `%%`. dash must agree in what it prints, what it says on
standard error and its status; bash too where it is the version that is pretended.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.workload_world import World, sh

SNIPPETS = Path(__file__).with_name("shell_snippets.txt").read_text().removesuffix("\n").split("\n%%\n")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PARTS = 4


def _real(name: str, program: str, text: str, folder: Path) -> tuple[str, str, int]:
    folder.mkdir(parents=True)
    done = subprocess.run(
        [name, "-c", text], executable=program, cwd=folder, env={"PATH": _PATH, "HOME": "/root"},
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
    )  # fmt: skip
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    out, err = (
        stream.decode("utf-8", "replace").replace(str(folder), "/work") for stream in (done.stdout, done.stderr)
    )
    return out, err, status


def test_there_are_snippets_of_everything() -> None:
    assert len(SNIPPETS) > 300 and len(set(SNIPPETS)) == len(SNIPPETS)


@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize("shell", ["dash", "bash"])
async def test_it_does_what_the_real_shell_does(shell: str, part: int, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"this machine has no {shell}")
    shown = subprocess.run([program, "--version"], capture_output=True, text=True).stdout if shell == "bash" else ""
    if shell == "bash" and "version 5.2" not in shown:
        pytest.skip("bash 5.2 is what debian's image has")
    if os.getuid() != 0:
        pytest.skip("the pretended user is root")
    name = "sh" if shell == "dash" else "bash"
    world = World()
    differing = []
    for number, text in list(enumerate(SNIPPETS))[part::_PARTS]:
        expected = _real(name, program, text, tmp_path / f"{number}" / "work")
        container = world.pod(f"p{number}", "debian", command=["sleep", "infinity"], workingDir="/work")
        outcome = await sh(container, text, shell=name)
        container.kill_all(9)
        found = (outcome.out, outcome.err, outcome.code)
        if found != expected:
            differing.append(f"{text}\n  real: {expected}\n  ours: {found}")
    world.close()
    assert not differing, "\n".join(differing)
