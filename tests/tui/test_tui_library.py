"""The catalogue's real source, and looking on at a session that another runner has."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from scripted_lab import make_lab

from labrunner.errors import EnvironmentFault
from labrunner.run import events as ev
from labrunner.run.journal import Journal
from labrunner.run.session import session_dir
from labrunner.tui.installed_library import InstalledLibrary
from labrunner.tui.looking_on import LookingOn

LAB = """\
apiVersion: labrunner/v1
kind: Lab
metadata: {id: ID, title: TITLE, summary: s, level: LEVEL, minutes: 5REQUIRES}
parts:
  - id: p
    title: P
    steps:
      - id: one
        title: One
        instructions: Do it.
        checks: [{id: c, title: c, file: {path: f}}]
        hints: [a, b]
        solution: [{id: s, run: touch f}]
"""


def write(folder: Path, lab_id: str, title: str, level: str = "beginner", requires: str = "") -> None:
    (folder / lab_id).mkdir(parents=True)
    text = LAB.replace("ID", lab_id).replace("TITLE", title).replace("LEVEL", level).replace("REQUIRES", requires)
    (folder / lab_id / "lab.yaml").write_text(text)


def journal(lab_id: str, *events: ev.Event) -> Journal:
    made = Journal(session_dir(lab_id, "sandbox") / "journal.jsonl")
    made.open()
    for event in events:
        made.write(event)
    return made


def test_prerequisites_come_first_and_are_named_until_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "aa", "Later", requires=", requires: {labs: [zz]}")
    write(tmp_path, "zz", "Sooner")
    monkeypatch.setenv("LABRUNNER_LABS", str(tmp_path))
    entries = {entry.id: entry for entry in InstalledLibrary().entries()}
    order = list(entries)
    assert order.index("zz") < order.index("aa")
    assert entries["aa"].missing == ("Sooner",)
    journal("zz", ev.StepStateChanged(at=1, step="one", state="passed")).close()
    entries = {entry.id: entry for entry in InstalledLibrary().entries()}
    assert entries["zz"].finished and entries["zz"].steps_done == 1
    assert entries["aa"].missing == ()


def test_a_broken_lab_is_listed_with_file_line_and_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "bad", "Bad")
    file = tmp_path / "bad" / "lab.yaml"
    file.write_text(file.read_text().replace("hints:", "hintz:"))
    monkeypatch.setenv("LABRUNNER_LABS", str(tmp_path))
    entry = next(entry for entry in InstalledLibrary().entries() if entry.id == "bad")
    assert entry.lab is None and "lab.yaml:12:9" in entry.problem and "hints" in entry.problem


def test_looking_on_follows_the_journal_and_never_acts() -> None:
    lab = make_lab()
    book = journal(lab.id, ev.StepEntered(at=1, step="gateway"))
    watching = LookingOn(lab, "sandbox")
    assert [type(event) for event in watching.history()] == [ev.StepEntered]
    assert watching.current is not None and watching.current.id == "gateway"
    heard = threading.Event()
    printed: list[bytes] = []
    watching.tap(printed.append)
    watching.subscribe(lambda event: heard.set() if isinstance(event, ev.BlockFinished) else None)
    watching.start()
    try:
        book.write(ev.BlockStarted(at=2, step="gateway", block="b", role="block", command="kubectl get pods"))
        book.write(
            ev.BlockFinished(
                at=3, step="gateway", block="b", role="block", exit=0, outcome="ok", output="none", cwd="/", seconds=1
            )
        )
        assert heard.wait(5)
        assert b"kubectl get pods" in b"".join(printed) and b"none" in b"".join(printed)
        with pytest.raises(EnvironmentFault):
            watching.check(lab.steps[0])
        with pytest.raises(EnvironmentFault):
            watching.run_block(lab.steps[0], lab.steps[0].blocks[0])
    finally:
        watching.close()
        book.close()
