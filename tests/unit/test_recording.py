"""The shell's terminal as an asciicast: valid, timed, without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_fakes import KINDS, FakeTarget, block, lab_of

from labrunner.errors import EnvironmentFault
from labrunner.lab.model import Variable
from labrunner.run.engine import Engine
from labrunner.run.recording import Recording
from labrunner.run.redaction import Redactor


def read(path: Path) -> tuple[dict[str, object], list[list[object]]]:
    header, *events = [json.loads(line) for line in path.read_text().splitlines()]
    return header, events


def test_what_the_shell_printed_is_recorded_without_its_secrets(tmp_path: Path) -> None:
    cast = tmp_path / "my.cast"
    lab = lab_of(directory=tmp_path, variables=(Variable("TOKEN", default="s3cr3t-t0ken", secret=True),))
    engine = Engine(lab, FakeTarget(), kinds=KINDS, directory=tmp_path / "s", record=cast, rows=30, columns=90)
    engine.start()
    try:
        engine.resize(24, 80)
        engine.run_block(lab.steps[0], block("say", "echo caf\u00e9; echo token=$TOKEN"))
    finally:
        engine.close()
    header, events = read(cast)
    assert (header["version"], header["width"], header["height"]) == (2, 90, 30)
    assert [event[2] for event in events if event[1] == "r"] == ["80x24"]
    printed = "".join(str(event[2]) for event in events if event[1] == "o")
    assert "caf\u00e9" in printed and "token=" in printed and "s3cr3t-t0ken" not in printed
    times = [float(str(event[0])) for event in events]
    assert times == sorted(times)


def test_a_character_cut_in_two_is_whole(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "a.cast", Redactor(), rows=2, columns=2, title="t")
    data = "h\u00e4\n".encode()
    recording.push(data[:2])
    recording.push(data[2:])
    recording.close()
    recording.close()
    recording.push(b"after the end\n")
    assert [event[2] for event in read(tmp_path / "a.cast")[1]] == ["h\u00e4\n"]


def test_a_file_that_cannot_be_written_is_said_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="cannot record into") as caught:
        Recording(tmp_path / "missing" / "a.cast", Redactor(), rows=2, columns=2, title="t")
    assert "--record" in caught.value.hint
