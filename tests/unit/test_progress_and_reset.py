"""`labrunner progress` and `labrunner reset`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labrunner.cli import run
from labrunner.run import events
from labrunner.run.journal import Journal
from labrunner.run.lock import SessionLock
from labrunner.run.session import session_dir


def session(lab: str = "gone-lab", target: str = "live") -> Path:
    """A session of a lab that is not there (any more), with one step passed."""
    directory = session_dir(lab, target)
    journal = Journal(directory / "journal.jsonl")
    journal.open()
    for event in (
        events.SessionStarted(at=time.time(), lab=lab, lab_digest="d", target=target, resumed=False),
        events.StepEntered(at=time.time(), step="one"),
        events.AttemptFinished(at=time.time(), step="one", number=3, passed=True),
        events.StepStateChanged(at=time.time(), step="one", state="passed"),
        events.HintShown(at=time.time(), step="two", hint="#1", text="t"),
    ):
        journal.write(event)
    journal.close()
    (directory / "work").mkdir()
    (directory / "work" / "mine.yaml").write_text("x")
    return directory


def test_progress_without_sessions_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["progress"]) == 0
    assert capsys.readouterr().out == "you have not begun any lab yet\n"


def test_progress_counts_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    session()
    assert run(["progress"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["LAB", "TARGET", "STEPS", "ATTEMPTS", "HINTS", "LAST"]
    assert row.split()[:5] == ["gone-lab", "live", "1/?", "3", "1"]
    assert run(["progress", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["sessions"][0]
    assert (data["lab"], data["passed"], data["states"]["one"]) == ("gone-lab", 1, "passed")


def test_progress_of_an_unknown_lab_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["progress", "no-such-lab"]) == 2
    assert "there is no lab 'no-such-lab'" in capsys.readouterr().err


def test_progress_survives_a_journal_it_cannot_read_fully(capsys: pytest.CaptureFixture[str]) -> None:
    directory = session()
    with open(directory / "journal.jsonl", "ab") as file:
        file.write(b"\xff\xfe\n{torn")
    (directory / "progress.json").write_text("{")
    assert run(["progress"]) == 0
    assert "gone-lab" in capsys.readouterr().out


def test_reset_without_a_terminal_names_what_it_would_delete_and_refuses(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = session()
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert run(["reset", "gone-lab"]) == 2
    said = capsys.readouterr().err
    assert "mine.yaml" in said and "1 steps passed" in said and "--yes" in said
    assert directory.exists()


def test_reset_forgets_the_session(capsys: pytest.CaptureFixture[str]) -> None:
    directory = session()
    assert run(["reset", "gone-lab", "--yes"]) == 0
    assert not directory.exists()
    assert "what it made in the cluster is still there" in capsys.readouterr().out
    assert run(["progress"]) == 0
    assert "not begun" in capsys.readouterr().out


def test_reset_of_only_one_target_leaves_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    live, sandbox = session(), session(target="sandbox")
    assert run(["reset", "gone-lab", "--target", "live", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["deleted"][0]["target"] == "live"
    assert not live.exists() and sandbox.exists()


def test_reset_of_a_lab_that_is_open_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    directory = session()
    lock = SessionLock(directory)
    lock.acquire()
    try:
        assert run(["reset", "gone-lab", "--yes"]) == 3
    finally:
        lock.release()
    assert "already open" in capsys.readouterr().err and directory.exists()


@pytest.mark.parametrize("name", ["no-such-lab", "..", "../..", "/etc", "."])
def test_reset_of_what_is_no_lab_deletes_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    directory = session()
    assert run(["reset", name, "--yes"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert directory.exists()


def test_headless_parts_load_no_interface_and_progress_loads_no_client() -> None:
    code = (
        "import sys, labrunner.run.validation_pool, labrunner.run.engine, labrunner.report.junit, "
        "labrunner.report.terminal, labrunner.report.json_report, labrunner.cli.progress_command\n"
        "bad = {'textual', 'kubernetes', 'aiohttp', 'rich', 'pexpect'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(bad)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
