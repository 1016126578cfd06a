"""`labrunner lint`, `schema`, `list` and `show` as a user calls them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

LAB = """\
apiVersion: labrunner/v1
kind: Lab
metadata: {id: tiny, title: Tiny, summary: A tiny lab., level: beginner, minutes: 1}
parts:
  - id: only
    title: Only
    steps:
      - id: ask
        title: Ask
        instructions: Think.
        checks:
          - id: question
            quiz: {question: "One and one?", answer: "2"}
        hints: [Count., Use your fingers.]
"""


def labrunner(*args: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labrunner", *args],
        capture_output=True, text=True, timeout=60, cwd=cwd, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def labs(tmp_path: Path) -> Path:
    directory = tmp_path / "labs" / "tiny"
    directory.mkdir(parents=True)
    (directory / "lab.yaml").write_text(LAB)
    return tmp_path


def test_the_shipped_content_is_clean() -> None:
    done = labrunner("lint")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no problems" in done.stderr


def test_a_wrong_key_exits_2_with_file_line_and_column(labs: Path) -> None:
    file = labs / "labs/tiny/lab.yaml"
    file.write_text(LAB.replace("        hints:", "        hint:"))
    done = labrunner("lint", "labs/tiny", cwd=labs)
    assert done.returncode == 2
    assert "labs/tiny/lab.yaml:14:9: error: unknown key 'hint' in a step; did you mean 'hints'?" in done.stdout
    assert "Traceback" not in done.stderr


def test_problems_are_sorted_and_counted(labs: Path) -> None:
    file = labs / "labs/tiny/lab.yaml"
    file.write_text(LAB.replace("minutes: 1", "minutes: x").replace("answer:", "answr:"))
    done = labrunner("lint", "--json", ".", cwd=labs)
    report = json.loads(done.stdout)
    assert done.returncode == 2
    assert report["labs"] == 1
    assert report["errors"] == len([p for p in report["problems"] if p["severity"] == "error"]) >= 2
    places = [(p["line"], p["column"]) for p in report["problems"]]
    assert places == sorted(places)
    assert {"file", "line", "column", "severity", "rule", "message", "suggestion", "text"} == set(report["problems"][0])


def test_warnings_are_errors_only_when_asked(labs: Path) -> None:
    (labs / "labs/tiny/lab.yaml").write_text(LAB.replace("[Count., Use your fingers.]", "[Count.]"))
    assert labrunner("lint", "labs/tiny", cwd=labs).returncode == 0
    assert labrunner("lint", "--strict", "labs/tiny", cwd=labs).returncode == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"kind: \xff", "byte 0xff is not UTF-8"),
        (b"", "the file is empty"),
        (b"a:\n\tb: 1", "a tab cannot indent YAML"),
        (b"- a\n- b", "must be a mapping"),
        (b"a: [", "never closed"),
    ],
)
def test_bad_files_get_one_clear_line(labs: Path, content: bytes, says: str) -> None:
    (labs / "labs/tiny/lab.yaml").write_bytes(content)
    done = labrunner("lint", "labs/tiny/lab.yaml", cwd=labs)
    assert done.returncode == 2
    assert says in done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_what_is_not_there_exits_2_with_the_way_out(labs: Path) -> None:
    done = labrunner("lint", "apim-itsio", cwd=labs)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'apim-istio'?" in done.stderr
    (labs / "empty").mkdir()
    assert labrunner("lint", "empty", cwd=labs).returncode == 2


def on_a_terminal(*args: str, cwd: Path, **environment: str) -> str:
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "labrunner", *args], stdout=theirs, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        cwd=cwd, env={**os.environ, "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(theirs)
    output = b""
    try:
        while chunk := os.read(ours, 65536):
            output += chunk
    except OSError:
        pass  # Linux says EIO when the last writer closes a terminal.
    finally:
        os.close(ours)
        process.wait(30)
    return output.decode()


def test_a_terminal_gets_the_source_line_a_caret_and_colour(labs: Path) -> None:
    (labs / "labs/tiny/lab.yaml").write_text(LAB.replace("        hints:", "        hint:"))
    shown = on_a_terminal("lint", "labs/tiny", cwd=labs)
    assert "\x1b[31m" in shown
    plain = on_a_terminal("lint", "labs/tiny", cwd=labs, NO_COLOR="1")
    assert "\x1b" not in plain
    lines = plain.replace("\r", "").split("\n")
    at = next(n for n, line in enumerate(lines) if "unknown key 'hint'" in line)
    assert lines[at + 1].endswith("        hint: [Count., Use your fingers.]")
    assert lines[at + 2].index("^") == lines[at + 1].index("hint:")


def test_the_schema_is_printed_as_json() -> None:
    done = labrunner("schema")
    assert done.returncode == 0
    assert json.loads(done.stdout)["title"] == "Lab file"


def test_list_shows_every_lab_and_names_the_broken_ones(labs: Path) -> None:
    broken = labs / "labs/broken"
    broken.mkdir()
    (broken / "lab.yaml").write_text("kind: Lab")
    done = labrunner("list", LABRUNNER_LABS=str(labs))
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["LAB", "apim-istio", "mesh-mtls", "tiny"]
    assert "broken: " in done.stderr
    report = json.loads(labrunner("list", "--json", LABRUNNER_LABS=str(labs)).stdout)
    assert [(lab["id"], lab["steps"], lab["done"]) for lab in report["labs"] if lab["id"] == "tiny"] == [("tiny", 1, 0)]
    assert [lab["id"] for lab in report["invalid"]] == ["broken"]


def test_show_says_what_a_lab_and_a_step_are_about(labs: Path) -> None:
    done = labrunner("show", "tiny", LABRUNNER_LABS=str(labs))
    assert done.returncode == 0
    assert "A tiny lab." in done.stdout
    for name in ("ask", "1"):
        step = labrunner("show", "tiny", name, LABRUNNER_LABS=str(labs))
        assert "Think." in step.stdout
        assert "fingers" not in step.stdout
    assert "fingers" in labrunner("show", "tiny", "ask", "--solution", LABRUNNER_LABS=str(labs)).stdout
    wrong = labrunner("show", "tiny", "aks", LABRUNNER_LABS=str(labs))
    assert (wrong.returncode, "Did you mean 'ask'?" in wrong.stderr) == (2, True)
    assert json.loads(labrunner("show", "tiny", "--json", LABRUNNER_LABS=str(labs)).stdout)["id"] == "tiny"


@pytest.mark.parametrize("command", ["lint", "schema", "list", "show"])
def test_help_has_an_example(command: str) -> None:
    done = labrunner(command, "--help")
    assert done.returncode == 0
    assert f"examples:\n  labrunner {command}" in done.stdout
