"""The journal keeps what was said, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrunner.check.result import CheckResult, CheckStatus, Finding
from labrunner.errors import EnvironmentFault
from labrunner.run import events
from labrunner.run.events import Event
from labrunner.run.journal import Journal, JournalTooNew, Reader
from labrunner.run.lock import SessionHeld, SessionLock
from labrunner.run.session import Session, StepState, load

EVERY: list[Event] = [
    events.SessionStarted(at=1.0, lab="l", lab_digest="d", target="sandbox", resumed=False),
    events.SetupFinished(at=1.5),
    events.StepEntered(at=2.0, step="s"),
    events.BlockStarted(at=3.0, step="s", block="b", role="block", command="echo \x1b ü"),
    events.BlockFinished(
        at=4.0, step="s", block="b", role="block", exit=None, outcome="timeout", output="o", cwd="/", seconds=0.1
    ),
    events.ShellRestarted(at=5.0, reason="r"),
    events.CheckFinished(
        at=6.0, step="s", check="c",
        result=CheckResult("c", "C", CheckStatus.FAILED, (Finding("missing", "m", "e", "o", "w"),), "s", 0.5, 2),
    ),
    events.AttemptFinished(at=7.0, step="s", number=1, passed=False),
    events.HintShown(at=8.0, step="s", hint="#1", text="t"),
    events.SolutionShown(at=9.0, step="s"),
    events.AnswerGiven(at=10.0, step="s", check="q", answer="a"),
    events.StepStateChanged(at=11.0, step="s", state="passed"),
    events.ProofFinished(at=12.0, step="s", proof="p", status="passed", message="m", detail="d", seconds=0.1),
    events.SessionEnded(at=13.0, reason="quit"),
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def write(path: Path, said: list[Event] | None = None) -> None:
    journal = Journal(path)
    journal.open()
    for event in EVERY if said is None else said:
        journal.write(event)
    journal.close()


def test_every_event_comes_back_as_it_was(path: Path) -> None:
    write(path)
    reader = Reader(path)
    assert list(reader.read()) == EVERY
    assert reader.notes == []


def test_the_session_is_what_the_events_add_up_to(path: Path) -> None:
    write(path)
    session, _ = load(path.parent)
    record = session.record("s")
    assert (record.state, record.attempts, record.hints, record.answers) == (StepState.PASSED, 1, ["#1"], {"q": "a"})
    assert record.solution_shown and record.blocks["b"].outcome == "timeout" and session.setup_done
    assert (session.current, session.cwd, session.ended) == ("s", "/", "quit")


@pytest.mark.parametrize(
    "torn", [b"{", b'{"event":"StepStateChanged","at":1,"step":"x","state":"passed"}', b"\xff\x00"]
)
def test_a_torn_last_line_is_dropped_and_the_next_one_is_whole(path: Path, torn: bytes) -> None:
    write(path)
    with open(path, "ab") as file:
        file.write(torn)
    assert list(Reader(path).read()) == EVERY
    write(path, [events.StepEntered(at=20.0, step="next")])
    reader = Reader(path)
    assert list(reader.read()) == [*EVERY, events.StepEntered(at=20.0, step="next")]
    assert reader.notes == []


@pytest.mark.parametrize(
    "line",
    [
        b"garbage", b"[]", b'{"event":"StepEntered"}', b'{"event":"StepEntered","at":1,"step":"s","more":1}',
        b'{"event":"CheckFinished","at":1,"step":"s","check":"c","result":{"status":"odd"}}', b"\xff\xfe",
        b"[" * 100_000, b"", b"null", b'{"event":"CheckFinished","at":1,"step":"s","check":"c","result":7}',
        b'{"event":"StepEntered","at":"soon","step":"s"}', b'{"event":"StepEntered","at":1,"step":["s"]}',
        b'{"event":"AttemptFinished","at":1,"step":"s","number":{},"passed":true}', b'{"journal":1,"schema":"x"}',
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_skipped_and_noted(path: Path, line: bytes) -> None:
    write(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], line + b"\n", *lines[4:]]))
    reader = Reader(path)
    assert list(reader.read()) == EVERY
    assert len(reader.notes) == 1 and "skipped" in reader.notes[0]
    load(path.parent)


def test_an_event_of_a_newer_version_is_passed_over(path: Path) -> None:
    write(path)
    with open(path, "ab") as file:
        file.write(b'{"event":"Later","at":1,"x":2}\n')
    assert list(Reader(path).read()) == EVERY


def test_a_newer_journal_is_refused_rather_than_misread(path: Path) -> None:
    path.write_text(json.dumps({"journal": "labrunner", "schema": 99}) + "\n")
    with pytest.raises(JournalTooNew):
        list(Reader(path).read())


def test_a_reader_follows_a_growing_journal(path: Path) -> None:
    write(path, EVERY[:3])
    reader = Reader(path)
    assert len(list(reader.read())) == 3
    assert list(reader.read()) == []
    write(path, EVERY[3:5])
    assert list(reader.read()) == EVERY[3:5]


def test_a_write_that_came_only_half_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, EVERY[:3])
    journal = Journal(path)
    journal.open()
    real = os.write
    monkeypatch.setattr("labrunner.run.journal.os.write", lambda fd, data: real(fd, data[: len(data) // 2]))
    with pytest.raises(EnvironmentFault, match="No space left") as caught:
        journal.write(EVERY[3])
    assert caught.value.hint
    monkeypatch.setattr("labrunner.run.journal.os.write", real)
    journal.write(EVERY[4])
    journal.close()
    assert list(Reader(path).read()) == [*EVERY[:3], EVERY[4]]


def test_a_place_that_cannot_be_written_is_an_environment_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot open the session's journal"):
        Journal(tmp_path / "file" / "journal.jsonl").open()


def test_the_journal_is_for_its_owner_only(path: Path) -> None:
    write(path)
    assert path.stat().st_mode & 0o777 == 0o600


@given(cut=st.integers(0, 100_000))
def test_a_journal_cut_anywhere_gives_the_events_before_the_cut(tmp_path_factory: Any, cut: int) -> None:
    path = tmp_path_factory.mktemp("j") / "journal.jsonl"
    write(path)
    whole = path.read_bytes()
    kept = whole[: cut % (len(whole) + 1)]
    path.write_bytes(kept)
    lines = kept.count(b"\n")
    assert list(Reader(path).read()) == EVERY[: max(0, lines - 1)]


@given(st.binary(max_size=300))
def test_no_file_makes_loading_fail(tmp_path_factory: Any, content: bytes) -> None:
    path = tmp_path_factory.mktemp("j") / "journal.jsonl"
    path.write_bytes(content)
    session, _ = load(path.parent)
    assert isinstance(session, Session)
    write(path)
    assert list(Reader(path).read())[-len(EVERY) :] == EVERY


def test_the_lock_says_who_has_it_and_is_free_when_released(tmp_path: Path) -> None:
    first = SessionLock(tmp_path)
    first.acquire()
    with pytest.raises(SessionHeld) as caught:
        SessionLock(tmp_path).acquire()
    assert caught.value.holder is not None and caught.value.holder.pid == os.getpid()
    first.release()
    second = SessionLock(tmp_path)
    second.acquire()
    second.release()


def test_a_holder_that_does_not_answer_is_an_environment_fault(tmp_path: Path) -> None:
    first = SessionLock(tmp_path)
    first.acquire()
    with pytest.raises(EnvironmentFault, match="does not answer"):
        SessionLock(tmp_path).acquire(take_over=True, timeout=0.1)
    first.release()


def test_a_request_left_by_one_who_gave_up_does_not_end_the_next_holder(tmp_path: Path) -> None:
    (tmp_path / "take-over").write_text("1")
    lock = SessionLock(tmp_path)
    lock.acquire()
    assert not (tmp_path / "take-over").exists()
    lock.release()
