"""`labrunner validate` as a process, on real sandboxes."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from validate_labs import labrunner, left_of, start, write_lab

from labrunner.errors import EnvironmentFault
from labrunner.run.validation_pool import ValidationPool
from labrunner.run.waiting import wait_for
from labrunner.target.sandbox import SandboxTarget


@pytest.fixture
def home() -> Path:
    return Path(os.environ["LABRUNNER_HOME"])


def nothing_left(home: Path) -> list[str]:
    return wait_for(lambda: left_of(home), lambda left: not left, timeout=5).last


def test_a_good_lab_passes_and_both_reports_say_so(tmp_path: Path, home: Path) -> None:
    lab = write_lab(tmp_path)
    done = labrunner(
        "validate", "--yes", str(lab), "--json", str(tmp_path / "out.json"), "--junit", str(tmp_path / "out.xml"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok      small/settings mistake:wrong-colour" in done.stdout
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["result"] == "passed" and data["proofs"]["failed"] == 0
    assert [step["id"] for step in data["labs"][0]["steps"]] == ["settings", "note"]
    assert len(list(Xml.parse(tmp_path / "out.xml").getroot().iter("testcase"))) == data["proofs"]["passed"]
    assert nothing_left(home) == []


def test_a_broken_solution_exits_1_and_names_everything(tmp_path: Path, home: Path) -> None:
    lab = write_lab(tmp_path, **{"--from-literal=colour=blue": "--from-literal=colour=green"})
    done = labrunner("validate", "--yes", str(lab), "--json", "-")
    assert done.returncode == 1
    data = json.loads(done.stdout)
    proof = next(p for p in data["labs"][0]["steps"][0]["proofs"] if p["proof"] == "passes-after")
    assert (proof["status"], proof["check"]) == ("failed", "colour")
    assert "blue" in proof["expected"] and "green" in proof["observed"] and "settings" in proof["where"]
    assert "FAILED small/settings passes-after" in done.stderr
    assert nothing_left(home) == []


def test_a_cleanup_that_forgets_an_object_is_told(tmp_path: Path) -> None:
    lab = write_lab(tmp_path, **{"kubectl delete configmap settings --ignore-not-found": "echo forgotten"})
    done = labrunner("validate", "--yes", str(lab))
    assert done.returncode == 1
    assert "ConfigMap default/settings" in done.stdout


def test_one_step_alone(tmp_path: Path) -> None:
    done = labrunner("validate", "--yes", str(write_lab(tmp_path)), "--step", "note", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert [step["id"] for step in json.loads(done.stdout)["labs"][0]["steps"]] == ["note"]


def test_two_jobs_have_a_sandbox_each(tmp_path: Path, home: Path) -> None:
    done = labrunner("validate", "--yes", str(write_lab(tmp_path)), "--jobs", "2", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert [step["id"] for step in json.loads(done.stdout)["labs"][0]["steps"]] == ["settings", "note"]
    assert nothing_left(home) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_exits_130_and_leaves_nothing(tmp_path: Path, home: Path, number: int) -> None:
    lab = write_lab(tmp_path, **{"echo done > note.txt": "echo done > note.txt; setsid sleep 300 & sleep 300"})
    process = start("validate", "--yes", str(lab))
    assert wait_for(lambda: any("sleep 300" in line for line in left_of(home)), bool, timeout=30).holds
    process.send_signal(number)
    output, _ = process.communicate(timeout=15)
    assert process.returncode == 130, output
    assert "interrupted" in output and "Traceback" not in output
    assert nothing_left(home) == []


def test_a_time_limit_exits_4(tmp_path: Path, home: Path) -> None:
    lab = write_lab(tmp_path, **{"run: echo done > note.txt": "run: sleep 60\n            timeout: 1s"})
    done = labrunner("validate", "--yes", str(lab))
    assert done.returncode == 4, done.stdout + done.stderr
    assert "TIMEOUT small/note solution" in done.stdout
    assert nothing_left(home) == []


KILL_LISTENER = """\
import os, pathlib, sys
port = ":%04X" % int(sys.argv[1].rpartition(":")[2])
rows = [line.split() for line in open("/proc/net/tcp")]
sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(port) and row[3] == "0A"}
for file in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
    try:
        if os.readlink(file) in sockets:
            os.kill(int(file.parts[2]), 9)
    except OSError:
        pass
"""


def test_a_sandbox_that_dies_is_an_environment_error(tmp_path: Path) -> None:
    (tmp_path / "kill.py").write_text(KILL_LISTENER)
    server = "$(kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}')"
    lab = write_lab(tmp_path, **{"echo done > note.txt": f'python3 {tmp_path}/kill.py "{server}"; false'})
    done = labrunner("validate", "--yes", str(lab))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "ERROR   small/note solution" in done.stdout and "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["no-such-lab"], 2, "there is no lab 'no-such-lab'"),
        (["LAB", "--step", "nope"], 2, "there is no step 'nope'"),
        (["LAB", "--shard", "3/2"], 2, "not a shard"),
        (["LAB", "--jobs", "0"], 2, "not a positive number"),
        (["LAB", "--json", "/no/such/dir/x.json"], 2, "cannot write a report"),
        (["LAB", "--json", "-", "--junit", "-"], 2, "only one report"),
        (["LAB", "--target", "live", "--jobs", "2"], 2, "--jobs"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    lab = str(write_lab(tmp_path))
    done = labrunner("validate", *[lab if a == "LAB" else a for a in arguments])
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr


def test_an_invalid_lab_exits_2_with_the_place(tmp_path: Path) -> None:
    lab = write_lab(tmp_path, **{"caughtBy: colour": "caughtBy: color"})
    done = labrunner("validate", "--yes", str(lab))
    assert done.returncode == 2
    assert "lab.yaml:" in done.stderr and "Traceback" not in done.stderr


def test_a_temporary_place_that_cannot_be_written_is_an_environment_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(tmp_path / "file")])
    with pytest.raises(EnvironmentFault, match="temporary directory"):
        ValidationPool(lambda directory: SandboxTarget()).run([])


def test_a_tool_that_the_lab_needs_and_the_machine_lacks_is_an_environment_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that the sandbox has a front for, such as openssl."""
    lab = write_lab(tmp_path, **{"tools: [kubectl]": "tools: [kubectl, openssl]"})
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "bash").symlink_to(shutil.which("bash") or "/bin/bash")
    monkeypatch.setenv("PATH", str(tmp_path / "few"))
    done = labrunner("validate", "--yes", str(lab))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "needs openssl, not found on the PATH" in done.stdout and "FAILED" not in done.stdout
